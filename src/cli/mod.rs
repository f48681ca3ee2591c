//! The commands of the program, all but `serve`: each asks a daemon through the Rust client and
//! shows the answer, for a person or as JSON. Nothing here knows the daemon from inside; who reads
//! the journal of a stopped one is handed in.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `arguments`, `help` | the command line, and the help that comes from tables |
//! | `exit`, `error` | the exit codes, and what is said when something does not succeed |
//! | `interrupt` | Ctrl-C |
//! | `connection` | which daemon is meant |
//! | `document`, `flow_file` | a file with its places, and the flow that it describes |
//! | `values` | `key=value` arguments, typed by a method's schema |
//! | `schema` | a method's schema in words, and a call as an example |
//! | `terminal`, `output`, `pretty`, `table`, `words`, `reasons`, `failure`, `outcome`, `progress`, `tree` | what is shown |
//! | `similar` | what was meant by a name that is not known |
//! | `follow`, `pages` | an operation followed to its end, listings read page after page |
//! | `completion` | what a shell completes, asked from the daemon |
//! | `stopped` | what is to be known of a stopped daemon's journal |
//! | `commands` | one file a command |
//! | `demo` | the whole daemon shown in a quarter of a minute |

mod arguments;
mod help;

mod commands;
mod demo;

mod completion;
mod document;

mod connection;
mod flow_file;
mod follow;
mod interrupt;
mod pages;
mod schema;
mod similar;
mod stopped;
mod values;

mod failure;
mod outcome;
mod output;
mod pretty;
mod progress;
mod reasons;
mod table;
mod terminal;
mod tree;
mod words;

mod error;
mod exit;

use std::process::ExitCode;

pub use arguments::{ClientCommand, Command, GuardArguments, JournalArguments, ServeArguments};
pub use exit::Exit;
pub use stopped::{
    Checkpoint, Damage, Entry, Interrupted, JournalFault, NextStart, Recovered, Sizes,
    StoppedJournal, Summary, Which,
};

use self::error::CliError;

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
    run_to_end(json, commands::run(command))
}

/// Runs `journal` to its end, by who can read one.
#[must_use]
pub fn journal<S: StoppedJournal>(arguments: JournalArguments) -> ExitCode {
    let json = arguments.json;
    run_to_end(json, commands::journal::run::<S>(arguments))
}

/// Says on stderr why the daemon did not start, or ended.
#[must_use]
pub fn refuse(exit: Exit, message: &str, hint: &str) -> ExitCode {
    // Some messages show where in a file something is wrong, on lines of their own.
    error::tell(
        format!("opstead: {message}.").lines().map(str::to_owned),
        hint,
    );
    exit.into()
}

fn run_to_end(json: bool, work: impl Future<Output = Result<Exit, CliError>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(work);
            // A write that is stuck would be waited for.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(CliError::System(error)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => error.report(json).into(),
    }
}
