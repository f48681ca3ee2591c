//! Why the daemon did not start, or ended: one sentence, whose fault it is, and what helps.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;

use super::{ConfigError, KeyError};
use crate::engine::{RecoveryError, StartError};
use crate::journal::{AppendError, OpenError};
use crate::rpc::{self, BindError, TokenError};

/// Why the daemon did not start, or ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A socket cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The data folder cannot be made or used.
    #[error("the data folder {} cannot be used", .path.display())]
    Data {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal cannot be opened.
    #[error("the data folder {} cannot be opened", .path.display())]
    Open {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The state cannot be recovered.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The token file cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The key of secrets cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A subsystem cannot start.
    #[error("the subsystem {subsystem} cannot start")]
    Subsystem {
        /// Which.
        subsystem: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The server did not start.
    #[error(transparent)]
    Rpc(#[from] rpc::StartError),
    /// The operating system gave no thread or signal.
    #[error("the daemon could not be set up")]
    Setup(#[source] io::Error),
    /// The journal failed while the daemon ran. What was acknowledged is on disk.
    #[error("the journal failed; start again once the cause is mended, acknowledged work is kept")]
    Journal(#[from] AppendError),
}

/// Who can help, which the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command line or the configuration.
    Usage,
    /// Another process has what is needed.
    InUse,
    /// The user may not.
    NotPermitted,
    /// Anything else.
    Failed,
}

const JOURNAL_HINT: &str = "opstead journal DIR shows what is readable and changes nothing";

impl ServeError {
    /// Who can help, and a hint; empty if there is none to give.
    #[must_use]
    pub fn advice(&self) -> (Fault, &'static str) {
        match self {
            Self::Config(ConfigError::Read { source, .. }) => {
                (of(source, Fault::Usage), "--config names a TOML file")
            }
            Self::Config(_) => (
                Fault::Usage,
                "the README shows every member of the configuration",
            ),
            Self::Bind(BindError::Tcp { source, .. }) => tcp(source),
            Self::Bind(BindError::Unix { source, .. }) => unix(source),
            Self::Data { source, .. } => (
                of(source, Fault::Usage),
                "--data names a folder that this user can write, or that can be made",
            ),
            Self::Open { source, .. } => open(source),
            Self::Recovery(_) => (Fault::Failed, JOURNAL_HINT),
            Self::Token(TokenError::File { source, .. }) => (
                of(source, Fault::Failed),
                "the file belongs to the daemon's own user",
            ),
            Self::Token(TokenError::Unusable { .. }) => (
                Fault::Failed,
                "without the file the next start makes a new token",
            ),
            Self::Key(KeyError::File { source, .. }) => (
                of(source, Fault::Failed),
                "the file belongs to the daemon's own user",
            ),
            Self::Key(KeyError::Unusable { .. }) => (
                Fault::Failed,
                "put the right file back; without it the next start makes a new key, and secrets kept so far are lost",
            ),
            Self::Subsystem {
                subsystem: "exec", ..
            } => (
                Fault::Failed,
                "end what an earlier daemon left running, and start again",
            ),
            Self::Subsystem { source, .. } => (
                of(source, Fault::Usage),
                "its section of the configuration says which folders it uses",
            ),
            Self::Journal(_) => (Fault::Failed, "the disk may be full or failing"),
            Self::Engine(_) | Self::Rpc(_) | Self::Setup(_) => (Fault::Failed, ""),
        }
    }
}

/// Whose fault an error of the system is; `otherwise` where its kind does not tell.
fn of(error: &io::Error, otherwise: Fault) -> Fault {
    match error.kind() {
        ErrorKind::PermissionDenied => Fault::NotPermitted,
        ErrorKind::AddrInUse | ErrorKind::WouldBlock => Fault::InUse,
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::OutOfMemory => Fault::Failed,
        _ => otherwise,
    }
}

fn tcp(error: &io::Error) -> (Fault, &'static str) {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => {
            "somebody listens there already, perhaps another daemon: take another address with \
             --listen, where port 0 is any free one"
        }
        ErrorKind::PermissionDenied => "ports below 1024 are for root: take another with --listen",
        _ => "--listen takes an address of this machine, as 127.0.0.1:6770",
    };
    (of(error, Fault::Usage), hint)
}

fn unix(error: &io::Error) -> (Fault, &'static str) {
    match error.kind() {
        ErrorKind::InvalidInput => (
            Fault::Usage,
            "the path of a socket is short by the system's own limit: take a data folder with a \
             shorter path",
        ),
        ErrorKind::AlreadyExists => (
            Fault::Failed,
            "the daemon's socket has this name: move the file away",
        ),
        _ => (
            of(error, Fault::Failed),
            "the daemon's socket lies in its data folder",
        ),
    }
}

fn open(error: &OpenError) -> (Fault, &'static str) {
    match error {
        OpenError::InUse { .. } => (
            Fault::InUse,
            "that daemon is asked with --data DIR; another one takes a folder of its own",
        ),
        OpenError::OtherVersion { .. } => (
            Fault::Failed,
            "start the version of opstead that wrote the folder",
        ),
        OpenError::Storage(source) => (
            of(source, Fault::Failed),
            "the folder and all in it belong to the daemon's own user, and need room on the disk",
        ),
        _ => (Fault::Failed, JOURNAL_HINT),
    }
}
