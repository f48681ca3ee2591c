//! The reading side: the latest blocks from memory, older ones from sled, whose reads do not wait
//! for its writer. It changes nothing but checkpoints.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::iter;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use imbl::OrdMap;
use opstead_core::checkpoint::Record;
use opstead_core::{Cursor, Json, Operation, OperationState, Time};
use sled::Db;

use super::block::{decode_archive, decode_record, open_block};
use super::checkpoint::{self, Group, Header, Place};
use super::keys::{self, Kind, Values};
use super::lock::FolderLock;
use super::open::Options;
use super::scan::Scanned;
use super::tail::{Kept, Tail};
use crate::journal::{Archive, Block, Checkpoint, Entry, Fingerprint, ReadError, Reader};

/// Lists walk the archive in registration order, in which neighbours mostly ended together.
const CACHED_ARCHIVE_BLOCKS: usize = 8;

/// So many entries of the archive are grouped by block at a time.
const GROUPED_ENTRIES: usize = 4096;

/// What writer and readers share.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) db: Db,
    pub(super) log_id: String,
    pub(super) fingerprint: Fingerprint,
    tail: RwLock<Tail>,
    newest_checkpoint: Mutex<Option<Place>>,
    /// Held while a checkpoint is written: one at a time.
    writing_checkpoint: Mutex<()>,
    archive_cache: Mutex<ArchiveCache>,
    /// Keeps other processes away for as long as sled is open.
    _lock: FolderLock,
}

/// Records of the blocks looked at last.
type ArchiveCache = VecDeque<(Cursor, Arc<Vec<Json>>)>;

impl Shared {
    pub(super) fn new(
        folder: PathBuf,
        db: Db,
        log_id: String,
        options: &Options,
        scanned: Scanned,
        lock: FolderLock,
    ) -> Self {
        Self {
            folder,
            db,
            log_id,
            fingerprint: options.fingerprint,
            tail: RwLock::new(scanned.tail),
            newest_checkpoint: Mutex::new(scanned.newest),
            writing_checkpoint: Mutex::default(),
            archive_cache: Mutex::default(),
            _lock: lock,
        }
    }

    pub(super) fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail
            .read()
            .expect("the tail is changed without panics")
    }

    pub(super) fn change_tail(&self) -> RwLockWriteGuard<'_, Tail> {
        self.tail
            .write()
            .expect("the tail is changed without panics")
    }

    /// The cursor up to which the newest checkpoint makes the log needless for opening.
    pub(super) fn covered(&self) -> Cursor {
        lock(&self.newest_checkpoint)
            .as_ref()
            .map_or(0, |place| place.head)
    }

    fn read_stored(
        &self,
        after: Cursor,
        most_bytes: usize,
        head: Cursor,
    ) -> Result<Vec<Arc<Block>>, ReadError> {
        let from = keys::block_at(&self.db, after + 1).map_err(sled_error)?;
        let mut expected = from.unwrap_or(after + 1);
        let mut blocks = Vec::new();
        let mut taken = 0;
        // Behind the head there may be parts of a block that is just being written.
        for value in Values::between(&self.db, Kind::Block, expected, head) {
            let (first, bytes) = value.map_err(sled_error)?;
            if first != expected {
                return Err(damaged(expected, "a block is missing"));
            }
            let envelope = open_block(first, &bytes).map_err(|what| damaged(first, what))?;
            taken += envelope.length;
            if !blocks.is_empty() && taken > most_bytes {
                return Ok(blocks);
            }
            let block = envelope.decode().map_err(|what| damaged(first, what))?;
            expected = block.last() + 1;
            blocks.push(Arc::new(block));
        }
        let reached = expected - 1;
        match reached == head {
            true => Ok(blocks),
            false => Err(damaged(expected, "a block is missing")),
        }
    }

    fn records_of(&self, block: Cursor) -> Result<Option<Arc<Vec<Json>>>, ReadError> {
        let cached = lock(&self.archive_cache)
            .iter()
            .find(|(cached, _)| *cached == block)
            .map(|(_, records)| records.clone());
        if cached.is_some() {
            return Ok(cached);
        }
        let Some(bytes) = keys::get(&self.db, Kind::Archive, block).map_err(sled_error)? else {
            return Ok(None);
        };
        let records = decode_archive(block, &bytes).map_err(|what| damaged(block, what))?;
        let records = Arc::new(records);
        let mut cache = lock(&self.archive_cache);
        cache.push_back((block, records.clone()));
        if cache.len() > CACHED_ARCHIVE_BLOCKS {
            cache.pop_front();
        }
        Ok(Some(records))
    }

    /// The record of an entry, whether or not it was purged meanwhile.
    fn stored_record(&self, entry: &Entry) -> Result<Option<Arc<Operation>>, ReadError> {
        let Some(records) = self.records_of(entry.block)? else {
            return Ok(None);
        };
        decode_record(&records, entry.index)
            .map(Some)
            .map_err(|what| damaged(entry.block, what))
    }
}

impl Reader for Shared {
    fn log_id(&self) -> &str {
        &self.log_id
    }

    fn head(&self) -> Cursor {
        self.tail().head
    }

    fn oldest(&self) -> Cursor {
        self.tail().oldest
    }

    fn read(&self, after: Cursor, bytes: usize) -> Result<Vec<Arc<Block>>, ReadError> {
        let head = {
            let tail = self.tail();
            if after < tail.oldest {
                let oldest = tail.oldest;
                return Err(ReadError::Trimmed { oldest });
            }
            if after >= tail.head {
                return Ok(Vec::new());
            }
            if let Some(blocks) = tail.ring.read(after, bytes) {
                return Ok(blocks);
            }
            tail.head
        };
        self.read_stored(after, bytes, head).map_err(|error| {
            // What is missing may have been trimmed while it was read.
            let oldest = self.tail().oldest;
            match after < oldest {
                true => ReadError::Trimmed { oldest },
                false => error,
            }
        })
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ReadError> {
        let newest = lock(&self.newest_checkpoint);
        let Some(place) = newest.as_ref() else {
            return Ok(None);
        };
        let records = place.stream().map_err(ReadError::Storage)?;
        Ok(Some(Checkpoint {
            head: place.head,
            records: Box::new(records),
        }))
    }

    fn write_checkpoint(
        &self,
        head: Cursor,
        records: &mut dyn Iterator<Item = Record>,
    ) -> Result<(), ReadError> {
        let _writing = lock(&self.writing_checkpoint);
        if lock(&self.newest_checkpoint)
            .as_ref()
            .is_some_and(|place| place.head >= head)
        {
            return Ok(());
        }
        let (header, archive, kept) = {
            let tail = self.tail();
            let header = Header {
                log_id: self.log_id.clone(),
                head,
                log_head: tail.head,
                checksum: tail.checksum,
                written_bytes: tail.written_bytes,
            };
            (header, tail.archive.clone(), tail.kept.clone())
        };
        if head > header.log_head {
            let error = io::Error::other("a checkpoint cannot be ahead of the log");
            return Err(ReadError::Storage(error));
        }
        let groups = group(&archive, &kept);
        let place = checkpoint::write(&self.folder, &header, groups, records)
            .map_err(ReadError::Storage)?;
        let path = place.path.clone();
        *lock(&self.newest_checkpoint) = Some(place);
        for old in checkpoint::list(&self.folder).map_err(ReadError::Storage)? {
            if old != path {
                fs::remove_file(old).map_err(ReadError::Storage)?;
            }
        }
        Ok(())
    }

    fn archive(&self) -> Archive {
        self.tail().archive.clone()
    }

    fn ended(&self, id: &str) -> Result<Option<Arc<Operation>>, ReadError> {
        let candidates: Vec<Entry> = self
            .tail()
            .archive
            .with_fingerprint((self.fingerprint)(id))
            .copied()
            .collect();
        for entry in candidates {
            let record = self.record(&entry)?;
            if let Some(operation) = record.filter(|operation| &*operation.subject.id == id) {
                return Ok(Some(operation));
            }
        }
        Ok(None)
    }

    fn archive_bytes(&self) -> u64 {
        self.tail().archive_bytes
    }

    fn record(&self, entry: &Entry) -> Result<Option<Arc<Operation>>, ReadError> {
        {
            let tail = self.tail();
            if tail.archive.get(entry.sequence) != Some(entry) {
                return Ok(None);
            }
            if let Some(operation) = tail.ring.record(entry) {
                return Ok(Some(operation));
            }
        }
        match self.stored_record(entry) {
            Ok(Some(operation)) => Ok(Some(operation)),
            // It may have been purged while it was read.
            _ if self.tail().archive.get(entry.sequence) != Some(entry) => Ok(None),
            Ok(None) => Err(damaged(
                entry.block,
                "the records of ended operations are missing",
            )),
            Err(error) => Err(error),
        }
    }
}

/// The archive in registration order, so many entries at a time grouped by block: a block may have
/// several groups, and little is in memory at once.
fn group(archive: &Archive, kept: &OrdMap<Cursor, Kept>) -> impl Iterator<Item = Group> {
    let mut entries = archive.after(0);
    let some = move || {
        let mut some: Vec<&Entry> = entries.by_ref().take(GROUPED_ENTRIES).collect();
        some.sort_by_key(|entry| entry.block);
        (!some.is_empty()).then_some(some)
    };
    iter::from_fn(some).flat_map(|some| {
        some.chunk_by(|left, right| left.block == right.block)
            .map(|entries| Group {
                block: entries[0].block,
                bytes: kept.get(&entries[0].block).map_or(0, |kept| kept.bytes),
                entries: entries.iter().copied().map(row).collect(),
            })
            .collect::<Vec<_>>()
    })
}

fn row(entry: &Entry) -> (Cursor, OperationState, Time, u64, u32) {
    (
        entry.sequence,
        entry.state,
        entry.finished_at,
        entry.fingerprint,
        entry.index,
    )
}

/// What these locks guard is replaced as a whole, so a panic leaves nothing half done behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn damaged(at: Cursor, what: impl Into<String>) -> ReadError {
    let what = what.into();
    ReadError::Damaged { at, what }
}

pub(super) fn sled_error(error: sled::Error) -> ReadError {
    ReadError::Storage(error.into())
}
