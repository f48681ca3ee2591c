//! Housekeeping: checkpoints, and letting go of what has been kept long enough. What takes long
//! happens beside the loop, which only decides when.

use std::thread::JoinHandle;
use std::time::Duration;

use opstead_core::{Cursor, Purged, State, Time};

use super::request::PurgeTarget;
use super::{EngineConfig, EngineHandle};
use crate::journal::{Entry, Journal, ReadError, Reader};

/// A checkpoint is due after so many bytes of events, if not sooner.
const CHECKPOINT_BYTES: u64 = 512 << 20;

/// The least time between two looks at what is kept.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// As soon as there are so many operations, they are purged in one block. A flow is not parted from
/// its steps.
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
    checkpoint_events: Cursor,
    /// The head of the newest checkpoint, or of the one being written.
    checkpoint: Cursor,
    /// Bytes of events since then, about.
    bytes: u64,
    checkpointing: Worker,
    /// A checkpoint was begun; when it is there, more can be trimmed.
    trims_after_checkpoint: bool,
    purging: Worker,
    next_trim: Duration,
    next_purge: Duration,
}

/// Work beside the loop, of which there is never more than one at a time.
#[derive(Default)]
struct Worker(Option<JoinHandle<()>>);

impl Worker {
    fn is_idle(&self) -> bool {
        self.0.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn begin(&mut self, name: &str, work: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(name.to_owned());
        match thread.spawn(work) {
            Ok(worker) => self.0 = Some(worker),
            Err(error) => tracing::error!(%error, name, "no thread for housekeeping"),
        }
    }
}

impl Housekeeping {
    /// The newest checkpoint was made at `checkpoint`.
    pub(super) fn new(config: &EngineConfig, checkpoint: Cursor) -> Self {
        Self {
            retention: config.retention.clone(),
            checkpoint_events: config.checkpoint_events,
            checkpoint,
            bytes: 0,
            checkpointing: Worker::default(),
            trims_after_checkpoint: false,
            purging: Worker::default(),
            next_trim: Duration::ZERO,
            next_purge: Duration::ZERO,
        }
    }

    /// A block of about so many bytes is durable.
    pub(super) fn appended(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Begins whatever is due. All of the state must be durable: a checkpoint ahead of the log is
    /// of no log at all. `now` is the time of day, `uptime` never goes back.
    pub(super) fn tick(
        &mut self,
        handle: &EngineHandle,
        state: &State,
        journal: &mut dyn Journal,
        now: Time,
        uptime: Duration,
    ) {
        if self.trims_after_checkpoint && self.checkpointing.is_idle() {
            self.trims_after_checkpoint = false;
            self.next_trim = uptime;
        }
        if self.is_checkpoint_due(state) && self.checkpointing.is_idle() {
            self.checkpoint = state.head();
            self.bytes = 0;
            self.trims_after_checkpoint = true;
            let (handle, state) = (handle.clone(), state.clone());
            self.checkpointing
                .begin("checkpoint", move || checkpoint(&handle, &state));
        }
        if uptime >= self.next_trim {
            let before = earlier(now, self.retention.alerts);
            let trimmed = journal.trim(before, self.retention.alerts_bytes);
            // What one call leaves follows with the next tick.
            if !matches!(trimmed, Ok(true)) {
                self.next_trim = uptime + LOOK_INTERVAL;
            }
            if let Err(error) = trimmed {
                tracing::error!(%error, "old alerts could not be removed");
            }
        }
        if uptime >= self.next_purge && self.purging.is_idle() {
            self.next_purge = uptime + LOOK_INTERVAL;
            let (handle, retention) = (handle.clone(), self.retention.clone());
            self.purging
                .begin("purge", move || purge(&handle, &retention, now));
        }
    }

    fn is_checkpoint_due(&self, state: &State) -> bool {
        // Only what a checkpoint covers can be let go of, so a small bound wants more of them.
        let most_bytes = CHECKPOINT_BYTES.min(self.retention.alerts_bytes / 2);
        // A large state is written seldom enough that writing it stays a small part of the work.
        let most_events = self
            .checkpoint_events
            .max(2 * state.open_operations() as Cursor);
        state.head() - self.checkpoint >= most_events || self.bytes > most_bytes
    }
}

fn earlier(now: Time, by: Duration) -> Time {
    Time(now.0.saturating_sub(by.as_millis() as u64))
}

/// Writes a checkpoint.
fn checkpoint(handle: &EngineHandle, state: &State) {
    let head = state.head();
    match handle.reader().write_checkpoint(head, &mut state.records()) {
        Ok(()) => tracing::info!(head, "a checkpoint was written"),
        Err(error) => tracing::error!(%error, head, "a checkpoint could not be written"),
    }
}

/// Purges every ended operation that was kept long enough, a batch at a time, those registered
/// first before the others.
fn purge(handle: &EngineHandle, retention: &Retention, now: Time) {
    let before = earlier(now, retention.operations);
    let archive = handle.reader().archive();
    let mut entries = archive.after(0).peekable();
    while entries.peek().is_some() {
        let is_full = handle.reader().archive_bytes() > retention.operations_bytes;
        let mut operations = Vec::new();
        for entry in entries.by_ref() {
            if is_full || entry.finished_at < before {
                operations.extend(purged(handle, entry));
            }
            if operations.len() >= PURGE_BATCH {
                break;
            }
        }
        if operations.is_empty() {
            continue;
        }
        let Ok(answer) = handle.order_purge(PurgeTarget::Operations(operations)) else {
            break;
        };
        if !matches!(answer.blocking_recv(), Ok(Ok(_))) {
            break;
        }
    }
}

/// What the core needs to know of an ended operation that goes, and of what goes with it.
fn purged(handle: &EngineHandle, entry: &Entry) -> Vec<Purged> {
    purged_with(handle.reader().as_ref(), entry).unwrap_or_else(|error| {
        tracing::error!(%error, sequence = entry.sequence, "an ended operation cannot be read");
        Vec::new()
    })
}

/// What goes when an ended operation does: with a flow its steps, and these never without it.
pub fn purged_with(reader: &dyn Reader, entry: &Entry) -> Result<Vec<Purged>, ReadError> {
    let Some(operation) = reader.record(entry)?.filter(|known| !known.is_step()) else {
        return Ok(Vec::new());
    };
    let mut purged = vec![Purged::from(&*operation)];
    let archive = reader.archive();
    for sequence in operation.step_sequences() {
        if let Some(entry) = archive.get(sequence)
            && let Some(step) = reader.record(entry)?
        {
            purged.push(Purged::from(&*step));
        }
    }
    Ok(purged)
}
