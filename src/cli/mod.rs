//! The commands of the program, all but `serve`: each asks a daemon through the Rust client and
//! shows the answer, for a person or as JSON. Nothing here knows the daemon from inside.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `arguments`, `help` | the command line, and the help that comes from tables |
//! | `exit`, `error` | the exit codes, and what is said when something does not succeed |
//! | `connection` | which daemon is meant |
//! | `values` | `key=value` arguments, typed by a method's schema |
//! | `output`, `pretty`, `table`, `words`, `progress` | what is shown |
//! | `follow` | an operation followed to its end |
//! | `commands` | one file a command |
//! | `demo` | the whole daemon shown in a quarter of a minute |

mod arguments;
mod help;

mod commands;
mod demo;

mod connection;
mod follow;
mod values;

mod output;
mod pretty;
mod progress;
mod table;
mod words;

mod error;
mod exit;

use std::process::ExitCode;

pub use arguments::{ClientCommand, Command, ExecGuardArguments, ServeArguments};

/// Reads the command line. What it does not understand ends the program with 2, as help ends it
/// with 0.
#[must_use]
pub fn parse() -> Command {
    help::parse()
}

/// Runs a command to its end; what goes wrong is said on stderr.
#[must_use]
pub fn run(command: ClientCommand) -> ExitCode {
    let json = command.json();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(command)),
        Err(error) => Err(error::CliError::System(error)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => error.report(json).into(),
    }
}
