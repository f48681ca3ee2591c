//! Housekeeping: checkpoints, and letting go of what has been kept long enough. All of it happens
//! beside the loop, which only decides when.

use std::time::Duration;

use opstead_core::{Cursor, Purged, State, Time};

use super::EngineHandle;
use super::handle::{PurgeTarget, Request};
use crate::journal::{Entry, Journal, Reader};

/// A checkpoint is due after so many events.
const CHECKPOINT_EVENTS: Cursor = 200_000;

/// The least time between two looks at what is kept.
const LOOK_INTERVAL_MS: u64 = 10_000;

/// The most operations that one look purges.
const PURGE_BATCH: usize = 1_000;

/// How long things are kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// How long alerts can be replayed.
    pub alerts: Duration,
    /// The most bytes of alerts, which can make that shorter.
    pub alerts_bytes: u64,
    /// How long ended operations and their ids are kept.
    pub operations: Duration,
    /// The most bytes of ended operations, which can make that shorter.
    pub operations_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            alerts: 7 * DAY,
            alerts_bytes: 4 << 30,
            operations: 30 * DAY,
            operations_bytes: 8 << 30,
        }
    }
}

/// When what is due.
pub(super) struct Housekeeping {
    retention: Retention,
    /// The head of the newest checkpoint, or of the one being written.
    checkpoint: Cursor,
    checkpoint_under_way: bool,
    looked: Time,
}

impl Housekeeping {
    /// The state was recovered at `head`.
    pub(super) fn new(retention: Retention, head: Cursor) -> Self {
        Self {
            retention,
            checkpoint: head,
            checkpoint_under_way: false,
            looked: Time(0),
        }
    }

    pub(super) fn checkpoint_written(&mut self) {
        self.checkpoint_under_way = false;
    }

    /// Begins whatever is due.
    pub(super) fn tick(
        &mut self,
        handle: &EngineHandle,
        state: &State,
        journal: &mut dyn Journal,
        now: Time,
    ) {
        let is_due = state.head() - self.checkpoint >= CHECKPOINT_EVENTS;
        if is_due && !self.checkpoint_under_way {
            self.checkpoint = state.head();
            self.checkpoint_under_way = true;
            begin_checkpoint(handle.clone(), state.clone());
        }
        if now.0 - self.looked.0 < LOOK_INTERVAL_MS {
            return;
        }
        self.looked = now;
        let before = earlier(now, self.retention.alerts);
        if let Err(error) = journal.trim(before, self.retention.alerts_bytes) {
            tracing::error!(%error, "old alerts could not be removed");
        }
        begin_purge(handle, self.retention.clone(), now);
    }
}

fn earlier(now: Time, by: Duration) -> Time {
    Time(now.0.saturating_sub(by.as_millis() as u64))
}

/// Writes a checkpoint on a thread of its own.
fn begin_checkpoint(handle: EngineHandle, state: State) {
    let write = move || {
        let head = state.head();
        match handle.reader().write_checkpoint(head, &mut state.records()) {
            Ok(()) => tracing::info!(head, "a checkpoint was written"),
            Err(error) => tracing::error!(%error, head, "a checkpoint could not be written"),
        }
        // The loop may have ended meanwhile.
        let _ = handle.send(Request::CheckpointWritten);
    };
    if let Err(error) = std::thread::Builder::new()
        .name("checkpoint".to_owned())
        .spawn(write)
    {
        tracing::error!(%error, "a checkpoint could not be begun");
    }
}

/// Purges ended operations that were kept long enough, some at a time, on a thread of its own.
fn begin_purge(handle: &EngineHandle, retention: Retention, now: Time) {
    let archive = handle.reader().archive();
    if archive.is_empty() {
        return;
    }
    let handle = handle.clone();
    let purge = move || {
        let reader = handle.reader();
        let over = reader.archive_bytes() > retention.operations_bytes;
        let before = earlier(now, retention.operations);
        let mut due: Vec<&Entry> = archive
            .after(0)
            .filter(|entry| over || entry.finished_at < before)
            .collect();
        due.sort_by_key(|entry| entry.finished_at);
        due.truncate(PURGE_BATCH);
        let operations = due
            .iter()
            .filter_map(|entry| purged(&**reader, entry))
            .collect();
        let (reply, _) = tokio::sync::oneshot::channel();
        let _ = handle.send(Request::Purge(PurgeTarget::Operations(operations), reply));
    };
    if let Err(error) = std::thread::Builder::new()
        .name("purge".to_owned())
        .spawn(purge)
    {
        tracing::error!(%error, "old operations could not be removed");
    }
}

/// What the core needs to know of an ended operation that goes.
fn purged(reader: &dyn Reader, entry: &Entry) -> Option<Purged> {
    reader
        .record(entry)
        .ok()?
        .map(|operation| Purged::from(&*operation))
}
