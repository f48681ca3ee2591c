//! Housekeeping: checkpoints, and letting go of what has been kept long enough. All of it happens
//! beside the loop, which only decides when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opstead_core::{Cursor, Purged, State, Time};
use tokio::sync::oneshot;

use super::EngineHandle;
use super::handle::{PurgeTarget, Request};
use crate::journal::{Entry, Journal, Reader};

/// A checkpoint is due after so many events, whichever daemon wrote them.
const CHECKPOINT_EVENTS: Cursor = 200_000;

/// Or after about so many bytes, since only what a checkpoint covers can be let go of.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// The least time between two looks at what is kept.
const LOOK_INTERVAL_MS: u64 = 10_000;

/// The most operations that are purged in one block.
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
    /// About the bytes appended since then, as far as this daemon knows.
    appended_bytes: u64,
    looked: Time,
    /// There is more to trim than one call takes.
    trims_on: bool,
    purge_under_way: Arc<AtomicBool>,
}

impl Housekeeping {
    /// The newest checkpoint is the one at `checkpoint`.
    pub(super) fn new(retention: Retention, checkpoint: Cursor) -> Self {
        Self {
            retention,
            checkpoint,
            checkpoint_under_way: false,
            appended_bytes: 0,
            looked: Time(0),
            trims_on: false,
            purge_under_way: Arc::default(),
        }
    }

    /// Takes note of a block of about so many bytes.
    pub(super) fn appended(&mut self, bytes: usize) {
        self.appended_bytes += bytes as u64;
    }

    /// With a newer checkpoint more can be let go of.
    pub(super) fn checkpoint_written(&mut self) {
        self.checkpoint_under_way = false;
        self.trims_on = true;
    }

    /// Begins whatever is due.
    pub(super) fn tick(
        &mut self,
        handle: &EngineHandle,
        state: &State,
        journal: &mut dyn Journal,
        now: Time,
    ) {
        if self.is_checkpoint_due(state.head()) && !self.checkpoint_under_way {
            self.checkpoint = state.head();
            self.appended_bytes = 0;
            self.checkpoint_under_way = true;
            begin_checkpoint(handle.clone(), state.clone());
        }
        let looks = now.0 - self.looked.0 >= LOOK_INTERVAL_MS;
        if looks || self.trims_on {
            self.trim(journal, now);
        }
        if looks {
            self.looked = now;
            begin_purge(
                handle,
                self.retention.clone(),
                now,
                self.purge_under_way.clone(),
            );
        }
    }

    fn is_checkpoint_due(&self, head: Cursor) -> bool {
        // Otherwise a small bound would not be kept before a large one is reached.
        let most_bytes = CHECKPOINT_BYTES.min(self.retention.alerts_bytes / 2);
        head - self.checkpoint >= CHECKPOINT_EVENTS || self.appended_bytes > most_bytes
    }

    fn trim(&mut self, journal: &mut dyn Journal, now: Time) {
        let before = earlier(now, self.retention.alerts);
        self.trims_on = journal
            .trim(before, self.retention.alerts_bytes)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "old alerts could not be removed");
                false
            });
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

/// Purges ended operations that were kept long enough, on a thread of its own unless one is at it.
fn begin_purge(handle: &EngineHandle, retention: Retention, now: Time, under_way: Arc<AtomicBool>) {
    if handle.reader().archive().is_empty() || under_way.swap(true, Ordering::AcqRel) {
        return;
    }
    let handle = handle.clone();
    let at_it = under_way.clone();
    let purge = move || {
        purge(&handle, &retention, now);
        at_it.store(false, Ordering::Release);
    };
    if let Err(error) = std::thread::Builder::new()
        .name("purge".to_owned())
        .spawn(purge)
    {
        under_way.store(false, Ordering::Release);
        tracing::error!(%error, "old operations could not be removed");
    }
}

/// Purges one batch after another, the longest ended first, each once the one before is durable.
fn purge(handle: &EngineHandle, retention: &Retention, now: Time) {
    let reader = handle.reader();
    let archive = reader.archive();
    let is_over = || reader.archive_bytes() > retention.operations_bytes;
    let before = earlier(now, retention.operations);
    let over = is_over();
    let mut due: Vec<&Entry> = archive
        .after(0)
        .filter(|entry| over || entry.finished_at < before)
        .collect();
    due.sort_by_key(|entry| entry.finished_at);
    for batch in due.chunks(PURGE_BATCH) {
        let is_old = batch.iter().any(|entry| entry.finished_at < before);
        if !is_old && !is_over() {
            return;
        }
        let operations = batch
            .iter()
            .filter_map(|entry| purged(&**reader, entry))
            .collect();
        let (reply, answer) = oneshot::channel();
        let sent = handle.send(Request::Purge(PurgeTarget::Operations(operations), reply));
        if sent.is_err() || !matches!(answer.blocking_recv(), Ok(Ok(_))) {
            // The loop has ended, or will say itself what is wrong.
            return;
        }
    }
}

/// What the core needs to know of an ended operation that goes.
fn purged(reader: &dyn Reader, entry: &Entry) -> Option<Purged> {
    reader
        .record(entry)
        .ok()?
        .map(|operation| Purged::from(&*operation))
}
