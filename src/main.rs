//! The program: the daemon, or one of its clients.

use std::process::ExitCode;
use std::time::Duration;

use opstead::app::{Fault, ServeOptions, StoppedFolder, serve};
use opstead::cli::{self, Command, Exit, GuardArguments, ServeArguments};
use opstead::subsystems::process;

/// A registration allocates some dozens of small pieces on one thread and frees them on another,
/// which is what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse() {
        Command::Serve(arguments) => daemon(arguments),
        Command::Journal(arguments) => cli::journal::<StoppedFolder>(arguments),
        Command::Guard(arguments) => guard(arguments),
        Command::Client(command) => cli::run(command),
    }
}

fn daemon(arguments: ServeArguments) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let ServeArguments {
        data,
        listen,
        config,
    } = arguments;
    let options = ServeOptions {
        data,
        listen,
        config,
    };
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (fault, hint) = error.advice();
            let exit = match fault {
                Fault::Usage => Exit::Usage,
                Fault::InUse => Exit::Unreachable,
                Fault::NotPermitted => Exit::NotPermitted,
                Fault::Failed => Exit::Failed,
            };
            // With every cause, in one sentence.
            let message = format!("{:#}", anyhow::Error::from(error));
            cli::refuse(exit, &message, hint)
        }
    }
}

fn guard(arguments: GuardArguments) -> ExitCode {
    process::guard(
        Duration::from_millis(arguments.kill_after_ms),
        &arguments.program,
    )
}
