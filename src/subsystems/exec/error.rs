//! What can go wrong with programs, and the subsystem's own error codes: the one table of both.

use std::io;
use std::path::PathBuf;

use opstead_core::{Failure, Json};
use serde::Serialize;
use thiserror::Error;

use super::output::Output;

/// Why an operation of the subsystem failed.
#[derive(Debug, Error)]
pub(super) enum ExecError {
    /// It is missing, not executable, or its arguments are too long, among others.
    #[error("the program {} cannot be started: {source}", .path.display())]
    ProgramNotStarted {
        /// Which program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What a kwarg says cannot or may not be an argument.
    #[error("kwarg {kwarg:?} {fault}")]
    ArgumentNotAllowed {
        /// Which kwarg.
        kwarg: String,
        /// What is wrong and what is allowed.
        fault: &'static str,
    },
    /// The program ended by itself, and not with status 0.
    #[error("the program exited with status {status}{}", last_line(.output))]
    ProgramFailed {
        /// Its exit status.
        status: i32,
        /// What it had written.
        output: Output,
    },
    /// A signal ended the program, and not on behalf of the operation.
    #[error("the program was ended by signal {signal}{}", last_line(.output))]
    ProgramKilled {
        /// Which signal.
        signal: i32,
        /// What it had written.
        output: Output,
    },
    /// What carried the program out was itself ended. The program is ended too.
    #[error("the guard of the program was ended from outside")]
    GuardLost {
        /// What the program had written.
        output: Output,
    },
    /// It is ended, and everything that it had started.
    #[error("the program took longer than {timeout_ms} ms and was ended")]
    TimedOut {
        /// What was declared.
        timeout_ms: u128,
        /// What it had written.
        output: Output,
    },
    /// The kwargs are of an operation that was registered under another declaration.
    #[error("invalid kwargs: {0}")]
    InvalidKwargs(String),
    /// Somebody canceled the operation, or the daemon ends.
    #[error("canceled on request")]
    Canceled,
}

/// `data` of a failure, in the order in which it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    reason: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(flatten)]
    output: Option<&'a Output>,
}

impl ExecError {
    /// The failure as the caller is told it.
    pub(super) fn into_failure(self) -> Failure {
        let (code, reason, retryable) = match &self {
            Self::ProgramNotStarted { .. } => (3101, "programNotStarted", true),
            Self::ArgumentNotAllowed { .. } => (3102, "argumentNotAllowed", false),
            Self::ProgramFailed { .. } => (3103, "programFailed", true),
            Self::ProgramKilled { .. } => (3104, "programKilled", true),
            Self::GuardLost { .. } => (3106, "guardLost", true),
            Self::TimedOut { .. } => (2002, "attemptTimedOut", true),
            Self::InvalidKwargs(_) => (-32602, "invalidParams", false),
            Self::Canceled => return Failure::canceled(),
        };
        let (exit_status, signal, output) = match &self {
            Self::ProgramFailed { status, output } => (Some(*status), None, Some(output)),
            Self::ProgramKilled { signal, output } => (None, Some(*signal), Some(output)),
            Self::GuardLost { output } | Self::TimedOut { output, .. } => {
                (None, None, Some(output))
            }
            _ => (None, None, None),
        };
        let data = Data {
            reason,
            retryable,
            exit_status,
            signal,
            output,
        };
        Failure {
            code,
            message: self.to_string().into(),
            data: Some(Json::from_value(&data).expect("data is JSON")),
        }
    }
}

/// The non-fatal error of a program that left something running, which was ended.
pub(super) fn processes_left(count: u32) -> Failure {
    let processes = if count == 1 { "process" } else { "processes" };
    let message = format!("the program left {count} {processes} running, and they were killed");
    Failure::new(3105, &message, "processesLeft", false)
}

/// The last line of output for a message: what a program says last is mostly why it failed.
fn last_line(output: &Output) -> String {
    match output.last_line() {
        Some(line) => format!(": {line}"),
        None => String::new(),
    }
}
