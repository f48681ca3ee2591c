//! What can go wrong for a caller, told apart by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use opstead_schema::{ErrorCode, ErrorObject};

/// Why something did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The time given was over. A call that timed out may still take effect.
    #[error("timed out")]
    TimedOut,
    /// There is no connection, or it was lost before the answer. It is being made anew.
    #[error("not connected to the daemon")]
    Disconnected,
    /// The daemon refused: code, message and data are its own.
    #[error("{0}")]
    Refused(ErrorObject),
    /// Alerts after the place asked for are no longer kept. What is there begins after
    /// `oldest_cursor`; what was missed can only be read as it stands now.
    #[error("alerts from there on are no longer kept; the oldest place is {oldest_cursor}")]
    CursorExpired {
        /// From where to go on.
        oldest_cursor: u64,
    },
    /// Nobody could be reached there.
    #[error("cannot connect to {target}")]
    Connect {
        /// Where.
        target: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token could not be had.
    #[error("cannot read the token from {path}")]
    Token {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The parameters cannot be written as JSON.
    #[error("the parameters are no JSON")]
    Params(#[source] serde_json::Error),
    /// The daemon said what this client cannot read.
    #[error("the daemon's answer is not understood: {0}")]
    Protocol(String),
}

impl Error {
    /// The error that the daemon answered a call with.
    pub(crate) fn from_daemon(error: ErrorObject) -> Self {
        let oldest_cursor = (error.known() == Some(ErrorCode::CursorExpired))
            .then(|| error.details()?.oldest_cursor)
            .flatten();
        match oldest_cursor {
            Some(oldest_cursor) => Self::CursorExpired { oldest_cursor },
            None => Self::Refused(error),
        }
    }

    /// Which of the daemon's own errors a refusal is.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => error.known(),
            Self::CursorExpired { .. } => Some(ErrorCode::CursorExpired),
            _ => None,
        }
    }

    /// Whether the daemon said that the same request may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.code().is_some_and(ErrorCode::retryable)
    }
}
