//! The program: the daemon, or one of its clients.

use std::process::ExitCode;
use std::time::Duration;

use opstead::app::{ServeOptions, serve};
use opstead::cli::{self, Command, ExecGuardArguments, ServeArguments};
use opstead::subsystems::process;

/// A registration allocates some dozens of small pieces on one thread and frees them on another,
/// which is what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse() {
        Command::Serve(arguments) => daemon(arguments),
        Command::ExecGuard(arguments) => guard(arguments),
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
            // With every cause, on one line.
            eprintln!("opstead: {:#}.", anyhow::Error::from(error));
            ExitCode::FAILURE
        }
    }
}

fn guard(arguments: ExecGuardArguments) -> ExitCode {
    process::guard(
        Duration::from_millis(arguments.kill_after_ms),
        &arguments.program,
    )
}
