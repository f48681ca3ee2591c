//! `completions`: what makes a shell complete.

use std::io::{self, Write};

use crate::cli::arguments::CompletionsArguments;
use crate::cli::completion;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

pub(super) fn run(arguments: &CompletionsArguments) -> Result<Exit, CliError> {
    let script = completion::script(arguments.shell)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(script.as_bytes())?;
    stdout.flush()?;
    Ok(Exit::Done)
}
