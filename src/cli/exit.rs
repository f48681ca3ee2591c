//! Exit codes: the one table, which the help prints too.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// It was asked wrongly.
    Usage = 2,
    /// It conflicts with what there is.
    Rejected = 65,
    /// Who or what is needed cannot be had now.
    Unreachable = 69,
    /// It took too long.
    TimedOut = 75,
    /// The user may not.
    NotPermitted = 77,
    /// Ctrl-C.
    Interrupted = 130,
}

/// Every way to end, in the order of the numbers.
pub(super) const EXITS: &[(Exit, &str)] = &[
    (Exit::Done, "done, or registered"),
    (
        Exit::Failed,
        "failed: the operation or query failed, the operation was canceled, skipped or reverted, the \
         daemon cannot start or go on, or a journal is damaged",
    ),
    (
        Exit::Usage,
        "usage: the command line, the configuration, a method, an argument or a filter is not as it \
         should be",
    ),
    (
        Exit::Rejected,
        "rejected: the request is understood, but conflicts with what there is",
    ),
    (
        Exit::Unreachable,
        "unreachable: no daemon is there, or it cannot serve just now; or a daemon is in the way, at \
         the same address or in the same data folder",
    ),
    (Exit::TimedOut, "timed out"),
    (Exit::NotPermitted, "not permitted"),
    (
        Exit::Interrupted,
        "interrupted with Ctrl-C; an operation that was waited for goes on",
    ),
];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
