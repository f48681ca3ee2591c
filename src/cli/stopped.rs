//! What the command `journal` wants to know of a stopped daemon's data folder. The commands know
//! nothing of journals, so whoever puts the program together hands them somebody who does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use opstead_client::Filter;
use opstead_client::schema::{Alert, InterruptPolicy, Operation, OperationState, Timestamp};
use serde::Serialize;

use super::exit::Exit;

/// Reads the journal of a stopped daemon.
pub trait StoppedJournal: Sized + Send + 'static {
    /// Copies what it needs of a data folder into the folder `workspace`, which is empty and ours,
    /// and reads it there. Nothing in the data folder is changed. It ends soon after `is_over` says
    /// so, and nothing is written into `workspace` after it returns.
    fn open(
        folder: &Path,
        workspace: &Path,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, JournalFault>;

    /// What it holds.
    fn summary(&self) -> &Summary;

    /// The record of an operation; nothing if none of that id is kept. The error is a sentence.
    fn operation(&self, id: &str) -> Result<Option<Operation>, String>;

    /// Goes through events in the order of the log, until `see` says no more.
    fn events(&self, which: &Which, see: &mut dyn FnMut(Entry) -> bool)
    -> Result<(), JournalFault>;
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Those after this place.
    pub after: u64,
    /// Those of these alert names.
    pub filter: Option<Filter>,
    /// Those of this operation.
    pub operation: Option<String>,
}

/// Something in the log.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// An event that subscribers were told of, or would have been.
    Alert(Alert),
    /// Another event.
    #[serde(rename_all = "camelCase")]
    Other {
        /// Its place.
        cursor: u64,
        /// When.
        time: Timestamp,
        /// What has happened.
        event: &'static str,
        /// To what.
        detail: String,
    },
    /// Where nothing can be read.
    Damage {
        /// What is wrong there.
        damage: Damage,
    },
}

impl Entry {
    /// Its place.
    #[must_use]
    pub const fn cursor(&self) -> u64 {
        match self {
            Self::Alert(alert) => alert.cursor,
            Self::Other { cursor, .. } => *cursor,
            Self::Damage { damage } => damage.cursor,
        }
    }
}

/// A place in the log where something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The first event that is concerned.
    pub cursor: u64,
    /// What was found.
    pub what: String,
}

/// What a journal holds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The data folder.
    pub folder: PathBuf,
    /// Which log it is, as far as anything says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// The last event that can be read with all before it.
    pub cursor: u64,
    /// Events up to here are no longer kept.
    pub oldest_cursor: u64,
    /// Up to here the daemon surely answered; nothing if its marker cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<u64>,
    /// The newest first.
    pub checkpoints: Vec<Checkpoint>,
    /// Bytes of it.
    pub sizes: Sizes,
    /// What is damaged in the log, in its order.
    pub damage: Vec<Damage>,
    /// Whether more is damaged than is told here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_damage: bool,
    /// What the next start of the daemon would find.
    pub next_start: NextStart,
    /// What would be recovered, or what there was before the damage; nothing if there is no telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Recovered>,
}

/// A checkpoint of the state.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// The last event that it includes, by its name.
    pub cursor: u64,
    /// How long the file is.
    pub bytes: u64,
    /// Why it is of no use; nothing if it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// The files of the log, which were copied to be read.
    pub log_bytes: u64,
    /// The blocks of events in it.
    pub event_bytes: u64,
    /// The records of ended operations in it.
    pub ended_operation_bytes: u64,
}

/// What the next start of the daemon would find.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextStart {
    /// Why it would not start; nothing if it would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// It would begin a new log, because there is no marker and nothing in the log.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub begins_anew: bool,
    /// An unfinished end of the log after this cursor would be cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_after: Option<u64>,
    /// The checkpoint that it would begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
}

/// The state at a place.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    /// The last event that it includes.
    pub cursor: u64,
    /// Operations by state.
    pub counts: BTreeMap<OperationState, u64>,
    /// How many objects there are.
    pub objects: u64,
    /// The operations whose attempts were interrupted, in registration order.
    pub interrupted: Vec<Interrupted>,
}

/// An operation with an attempt that was interrupted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupted {
    /// Its id.
    pub id: String,
    /// Its method.
    pub method_name: String,
    /// Its state.
    pub state: OperationState,
    /// The attempt.
    pub attempt: u32,
    /// What its method declares for that.
    pub on_interrupt: InterruptPolicy,
}

/// Why a journal was not looked into.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalFault {
    /// There is none.
    #[error("{} is no data folder of a daemon", .0.display())]
    NoJournal(PathBuf),
    /// A daemon runs on it.
    #[error("a daemon runs on {}", .0.display())]
    InUse(PathBuf),
    /// The user may not read it.
    #[error("{0}")]
    NotPermitted(String),
    /// The copy does not fit.
    #[error("{} has {free_bytes} bytes free, and a copy of the log takes {needed_bytes}", .folder.display())]
    NoRoom {
        /// Where the copy was to be.
        folder: PathBuf,
        /// How many bytes are needed.
        needed_bytes: u64,
        /// How many there are.
        free_bytes: u64,
    },
    /// The filter is none.
    #[error("{0}")]
    Filter(String),
    /// No such operation.
    #[error("no operation {0} is kept, and there are no events of it")]
    NoOperation(String),
    /// A place that the log has not come to.
    #[error("the log ends at cursor {head}, before {after}")]
    Beyond {
        /// The place.
        after: u64,
        /// Where the log ends.
        head: u64,
    },
    /// Something else failed.
    #[error("{0}")]
    Failed(String),
}

impl JournalFault {
    /// In one word, and whether trying again may help.
    pub(super) const fn reason(&self) -> (&'static str, bool) {
        match self {
            Self::NoJournal(_) => ("noJournal", false),
            Self::InUse(_) => ("inUse", true),
            Self::NotPermitted(_) => ("notPermitted", false),
            Self::NoRoom { .. } => ("noRoom", true),
            Self::Filter(_) => ("invalidFilter", false),
            Self::NoOperation(_) => ("operationNotFound", false),
            Self::Beyond { .. } => ("cursorUnknown", false),
            Self::Failed(_) => ("failed", false),
        }
    }

    pub(super) fn advice(&self) -> (Exit, String) {
        let (exit, hint) = match self {
            Self::NoJournal(_) => (Exit::Usage, "DIR is what opstead serve has as --data"),
            Self::InUse(folder) => {
                let hint = format!(
                    "stop the daemon first, with SIGTERM; while it runs, ask it: opstead status --data {}",
                    folder.display()
                );
                return (Exit::Unreachable, hint);
            }
            Self::NoOperation(_) => (
                Exit::Rejected,
                "opstead journal DIR --after 0 shows all events, and whose they are",
            ),
            Self::Beyond { .. } => (Exit::Rejected, "--after 0 begins with the oldest event"),
            Self::NotPermitted(_) => (
                Exit::NotPermitted,
                "a data folder can be read by the daemon's own user and by root",
            ),
            Self::NoRoom { .. } => (
                Exit::Failed,
                "the environment's TMPDIR names another folder",
            ),
            Self::Filter(_) => (
                Exit::Usage,
                "a filter is a glob like storage.*, or a regular expression with --type regexp",
            ),
            Self::Failed(_) => (Exit::Failed, ""),
        };
        (exit, hint.to_owned())
    }
}
