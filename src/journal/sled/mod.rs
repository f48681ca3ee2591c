//! The journal on disk: sled holds the log and the archive, files beside it the checkpoints.
//!
//! A data folder holds `lock`, `marker.json`, `checkpoint.<cursor>` and sled's folder `log`. sled
//! is run with care: one writer; one atomic batch a block, of values of at most 4 KiB; then its
//! own flush, then a sync of ours; only then is a block durable. What sled itself promises about
//! damaged files is not relied on: checksums, unbroken cursors and a marker prove the log whole.

mod block;
mod checkpoint;
mod durable;
mod envelope;
mod inspect;
mod keys;
mod lock;
mod marker;
mod open;
mod reader;
mod scan;
mod space;
mod tail;

use std::io;
use std::path::Path;
use std::sync::Arc;

use opstead_core::{Cursor, Time};
use sled::Batch;
use tracing::warn;

use self::block::{BlockHead, Encoded, encode};
use self::durable::DataFiles;
use self::envelope::peek;
use self::keys::{Kind, Parted};
use self::marker::Marker;
use self::open::Opened;
use self::reader::Shared;
use self::space::Space;
use self::tail::Tail;
use super::{AppendError, Block, Journal, Reader};

pub use inspect::{CheckpointReport, Damage, InspectError, Inspection, InspectionReport};
pub use lock::Stopped;
pub use open::{OpenError, OpenReport, Options};

/// The marker is written anew after so many blocks, and more often right after opening.
const MARKED_BLOCKS: u64 = 1024;

/// One call of `trim` removes so many bytes or parts, or one block: appends wait for it.
const TRIMMED_BYTES: u64 = 4 * 1024 * 1024;
const TRIMMED_PARTS: usize = 1024;

/// The journal on disk.
pub struct SledJournal {
    shared: Arc<Shared>,
    files: DataFiles,
    marker: Marker,
    report: OpenReport,
    space: Space,
    /// Blocks since opening.
    appended: u64,
    /// What went wrong; nothing is written any more.
    failed: Option<String>,
}

/// The oldest blocks that may be removed together.
#[derive(Default)]
struct Needless {
    batch: Batch,
    parts: usize,
    bytes: u64,
    /// The cursor of the last event among them; 0 for none.
    last: Cursor,
    /// Whether there are others behind them.
    more: bool,
}

impl Needless {
    fn is_full(&self) -> bool {
        self.bytes >= TRIMMED_BYTES || self.parts >= TRIMMED_PARTS
    }
}

impl SledJournal {
    /// Opens the journal in a folder, or begins one if the folder is new.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let Opened {
            shared,
            files,
            marker,
            report,
        } = open::open(folder, options)?;
        Ok(Self {
            space: Space::new(&shared.folder, options.least_free_bytes),
            shared: Arc::new(shared),
            files,
            marker,
            report,
            appended: 0,
            failed: None,
        })
    }

    /// What opening found and mended.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Runs what writes, unless something failed before. After a failure memory and disk may
    /// differ, so nothing is written any more.
    fn write<T>(&mut self, run: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, AppendError> {
        if let Some(failed) = &self.failed {
            let error = io::Error::other(format!("the journal failed before: {failed}"));
            return Err(AppendError::Storage(error));
        }
        run(self).map_err(|error| {
            self.failed = Some(error.to_string());
            AppendError::Storage(error)
        })
    }

    fn commit(&mut self, batch: Batch) -> io::Result<()> {
        self.shared.db.apply_batch(batch)?;
        self.shared.db.flush()?;
        self.files.sync()
    }

    /// Moves the marker now and then. The block is durable already, so a marker that stays behind
    /// is no failure.
    fn mark(&mut self, acknowledged: Cursor) {
        self.appended += 1;
        if self.appended.is_power_of_two() || self.appended.is_multiple_of(MARKED_BLOCKS) {
            self.write_marker(acknowledged);
        }
    }

    fn write_marker(&mut self, acknowledged: Cursor) {
        self.marker.acknowledged = acknowledged;
        if let Err(error) = self.marker.write(&self.shared.folder) {
            warn!(%error, "the marker could not be written");
        }
    }

    /// Finds blocks that may be removed. Only their heads are looked at, unchecked: a damaged block
    /// must not keep what is as old from being removed, nor stop the writer.
    fn needless(&self, before: Time, most_bytes: u64) -> sled::Result<Needless> {
        let covered = self.shared.covered();
        let (oldest, mut kept_bytes) = {
            let tail = self.shared.tail();
            (tail.oldest, tail.written_bytes - tail.removed_bytes)
        };
        let mut needless = Needless::default();
        let blocks = Parted::between(&self.shared.db, Kind::Block, oldest + 1, Cursor::MAX);
        let mut blocks = blocks.peekable();
        while let Some(block) = blocks.next() {
            let (first, parts) = block?;
            // The next block tells where this one ends; the newest is kept.
            let last = match blocks.peek() {
                Some(Ok((next, _))) => next - 1,
                Some(Err(error)) => return Err(error.clone()),
                None => break,
            };
            let is_old = kept_bytes > most_bytes || is_before(before, first, &parts[0].bytes);
            if !is_old || last > covered {
                break;
            }
            if needless.is_full() {
                needless.more = true;
                break;
            }
            let bytes: u64 = parts.iter().map(|part| part.bytes.len() as u64).sum();
            kept_bytes = kept_bytes.saturating_sub(bytes);
            needless.bytes += bytes;
            needless.parts += parts.len();
            needless.last = last;
            for part in parts {
                needless.batch.remove(part.key);
            }
        }
        Ok(needless)
    }

    fn remove_blocks(&mut self, needless: Needless) -> io::Result<()> {
        if needless.last == 0 {
            return Ok(());
        }
        // Readers are told first, so that none takes the gap for damage.
        {
            let mut tail = self.shared.change_tail();
            tail.oldest = needless.last;
            // Where parts were missing, there was less than was written.
            tail.removed_bytes = tail.written_bytes.min(tail.removed_bytes + needless.bytes);
        }
        self.commit(needless.batch)
    }
}

/// Whether the last event of a block is older than `before`. Nobody can read a block without a
/// head, so it goes as soon as it is the oldest.
fn is_before(before: Time, first: Cursor, part: &[u8]) -> bool {
    match peek::<BlockHead>(part) {
        Ok(head) => head.time < before,
        Err(what) => {
            warn!(first, what, "a damaged block is removed from the log");
            true
        }
    }
}

impl Journal for SledJournal {
    fn head(&self) -> Cursor {
        self.shared.tail().head
    }

    fn append(&mut self, after: Cursor, block: &Arc<Block>) -> Result<Cursor, AppendError> {
        assert!(!block.events.is_empty(), "a block holds at least one event");
        let (encoded, batch) = {
            let tail = self.shared.tail();
            let head = tail.head;
            if after != head || block.first != after + 1 {
                return Err(AppendError::NotHead { after, head });
            }
            let offset = tail.written_bytes;
            encode(block, tail.checksum, offset, self.shared.fingerprint)
                .map(|encoded| {
                    let batch = batch(&encoded, &tail);
                    (encoded, batch)
                })
                .map_err(|error| AppendError::Storage(error.into()))?
        };
        self.write(|journal| journal.commit(batch))?;
        let head = encoded.head.last();
        {
            let mut tail = self.shared.change_tail();
            tail.head = head;
            tail.checksum = encoded.block.checksum;
            tail.written_bytes += encoded.block.bytes.len() as u64;
            tail.index(block.first, &encoded.index);
            tail.ring.push(block.clone(), encoded.length);
        }
        self.mark(head);
        Ok(head)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.shared.clone()
    }

    fn is_low_on_space(&self) -> bool {
        self.space.is_low()
    }

    fn trim(&mut self, before: Time, most_bytes: u64) -> Result<bool, AppendError> {
        let needless = self
            .needless(before, most_bytes)
            .map_err(|error| AppendError::Storage(error.into()))?;
        let more = needless.more;
        self.write(|journal| journal.remove_blocks(needless))?;
        Ok(more)
    }
}

impl Drop for SledJournal {
    fn drop(&mut self) {
        let head = self.head();
        if self.failed.is_none() && head != self.marker.acknowledged {
            self.write_marker(head);
        }
    }
}

/// All that a block changes in sled.
fn batch(encoded: &Encoded, tail: &Tail) -> Batch {
    let mut batch = Batch::default();
    let first = encoded.head.first;
    keys::insert(&mut batch, Kind::Block, first, &encoded.block.bytes);
    if let Some(archive) = &encoded.archive {
        keys::insert(&mut batch, Kind::Archive, first, &archive.bytes);
    }
    for (block, bytes) in tail.emptied_by(&encoded.index.purged) {
        keys::remove(&mut batch, Kind::Archive, block, bytes);
    }
    batch
}

/// Ends the process when one of sled's own threads panics: nothing it holds can be trusted then,
/// and its callers would wait for ever. To be called once, by the program.
pub fn abort_when_storage_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        let thread = std::thread::current();
        if thread.name().is_some_and(|name| name.starts_with("sled-")) {
            std::process::abort();
        }
    }));
}

/// Keeps panics of sled off stderr, for who tells of them in words of its own: sled panics on
/// damaged files.
pub fn silence_storage_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_of_sled = |place: &std::panic::Location<'_>| place.file().contains("/sled-");
        if !panic.location().is_some_and(is_of_sled) {
            report(panic);
        }
    }));
}
