//! Exit codes: the one table, which the help prints too.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Rejected = 65,
    Unreachable = 69,
    TimedOut = 75,
    NotPermitted = 77,
    Interrupted = 130,
}

/// Every way to end, in the order of the numbers.
pub(super) const EXITS: &[(Exit, &str)] = &[
    (Exit::Done, "done, or registered"),
    (
        Exit::Failed,
        "the operation or query failed, or the operation was canceled",
    ),
    (
        Exit::Usage,
        "usage: the command line, a method, an argument or a filter is not as it should be",
    ),
    (
        Exit::Rejected,
        "rejected: the request is understood, but conflicts with what there is",
    ),
    (
        Exit::Unreachable,
        "unreachable: no daemon is there, or it cannot serve just now",
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
