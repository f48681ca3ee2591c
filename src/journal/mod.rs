//! The journal: the log of events, made durable block by block, with a checkpoint of the state it
//! leads to and the archive of ended operations.
//!
//! Callers know operations by name and blocks by cursor; under which key a record lies is each
//! implementation's own business. Every implementation passes the suite in `tests/journal`.

mod archive;
mod memory;
mod sled;

use std::sync::Arc;

use opstead_core::checkpoint::Record;
use opstead_core::{Cursor, Event, Operation, Time};
use thiserror::Error;

pub use self::sled::{
    CheckpointReport, Damage, InspectError, Inspection, InspectionReport, OpenError, OpenReport,
    Options, SledJournal, Stopped, abort_when_storage_panics, silence_storage_panics,
};
pub use archive::{Archive, Entry, Fingerprint, fingerprint};
pub use memory::{InjectedFault, MemoryDisk, MemoryJournal};

/// Events that became durable together, and the operations that ended with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The cursor of the first event; the others follow without gaps.
    pub first: Cursor,
    /// At least one.
    pub events: Vec<Event>,
    /// The whole records of operations that one of these events ended. They leave the state and
    /// are kept in the archive. A block that is read back may come without them.
    pub ended: Vec<Arc<Operation>>,
}

impl Block {
    /// The cursor of the last event.
    pub fn last(&self) -> Cursor {
        self.first + self.events.len() as Cursor - 1
    }

    /// The time of the last event.
    pub fn time(&self) -> Time {
        self.events
            .last()
            .map_or(Time::default(), |event| event.time)
    }

    /// The events with their cursors.
    pub fn events(&self) -> impl Iterator<Item = (Cursor, &Event)> {
        (self.first..).zip(&self.events)
    }
}

/// The writing side: one owner, which is the engine's thread.
pub trait Journal: Send {
    /// The cursor of the last durable event; 0 before the first.
    fn head(&self) -> Cursor;

    /// Appends a block right behind `after`, which must be the head. Durable when it returns, also
    /// against a power cut. Operations in `ended` enter the archive with it, those that a `Purged`
    /// event names leave it; their disk space is free as soon as whole blocks are.
    fn append(&mut self, after: Cursor, block: &Arc<Block>) -> Result<Cursor, AppendError>;

    /// The reading side.
    fn reader(&self) -> Arc<dyn Reader>;

    /// Whether new operations should be refused, because the disk has just enough room left to
    /// finish what is open, to compact and to open again.
    fn is_low_on_space(&self) -> bool;

    /// Removes blocks that only alerts need: older than `before` by the time of their last event,
    /// or the oldest ones while more than `most_bytes` are kept. Blocks that the newest checkpoint
    /// does not cover are kept, and the newest block always. One call removes a bounded number;
    /// `true`: call again, there is more.
    fn trim(&mut self, before: Time, most_bytes: u64) -> Result<bool, AppendError>;
}

/// The reading side, shared by many threads; none of its calls blocks the writer.
pub trait Reader: Send + Sync {
    /// Names this log; another log has other cursors. A ULID.
    fn log_id(&self) -> &str;

    /// The cursor of the last durable event.
    fn head(&self) -> Cursor;

    /// The cursor from which on everything can be replayed: `read` from any cursor `>=
    /// oldest()` gives all events after it.
    fn oldest(&self) -> Cursor;

    /// Whole blocks that hold events after `after`, in order, some `bytes` of them at the most but
    /// at least one, if there is one. The first may also hold events up to `after`.
    fn read(&self, after: Cursor, bytes: usize) -> Result<Vec<Arc<Block>>, ReadError>;

    /// The newest checkpoint with the cursor it includes, as a stream of records; nothing if none
    /// was written yet.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, ReadError>;

    /// Writes a checkpoint of the state as it was at `head` beside the log, on the caller's
    /// thread, without keeping the writer from appending.
    fn write_checkpoint(
        &self,
        head: Cursor,
        records: &mut dyn Iterator<Item = Record>,
    ) -> Result<(), ReadError>;

    /// The archive as it stands: a view that later ends and purges do not change.
    fn archive(&self) -> Archive;

    /// The ended operation of that id.
    fn ended(&self, id: &str) -> Result<Option<Arc<Operation>>, ReadError>;

    /// How many bytes the archive takes on disk, about.
    fn archive_bytes(&self) -> u64;

    /// The record of an entry; nothing if it was purged meanwhile.
    fn record(&self, entry: &Entry) -> Result<Option<Arc<Operation>>, ReadError>;
}

/// A stream of checkpoint records, with the cursor of the last event they include.
pub struct Checkpoint {
    /// The cursor of the last event included.
    pub head: Cursor,
    /// The records.
    pub records: Box<dyn Iterator<Item = Result<Record, ReadError>> + Send>,
}

/// Why a block was not appended.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Somebody else has appended; nothing was written.
    #[error("the head of the log is {head}, not {after}")]
    NotHead {
        /// Where the block should have gone.
        after: Cursor,
        /// Where the log ends.
        head: Cursor,
    },
    /// The storage failed. Whether the block is there is unknown; the journal takes no more.
    #[error("the journal could not be written")]
    Storage(#[source] std::io::Error),
}

/// Why something could not be read or a checkpoint not be written.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The storage failed.
    #[error("the journal could not be read")]
    Storage(#[source] std::io::Error),
    /// What is there is not what was written.
    #[error("the journal is damaged at cursor {at}: {what}")]
    Damaged {
        /// Where.
        at: Cursor,
        /// What was found.
        what: String,
    },
    /// The events asked for are not kept any more.
    #[error("the log begins after cursor {oldest}")]
    Trimmed {
        /// The oldest cursor to read from.
        oldest: Cursor,
    },
}
