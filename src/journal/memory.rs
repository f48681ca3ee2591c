//! A journal in memory, for tests: its disk outlives it, can be copied at any moment as a crash
//! would leave it, and fails when told to. It never touches a file.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use opstead_core::checkpoint::Record;
use opstead_core::{Cursor, Operation, Time};

use super::{
    AppendError, Archive, Block, Checkpoint, Entry, Fingerprint, Journal, ReadError, Reader,
    fingerprint,
};

/// What happens to an append that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// The block is not on the disk.
    Lost,
    /// The block is on the disk, though the writer is told of a failure.
    Kept,
}

/// What a journal in memory leaves behind. A clone is the same disk.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Device>);

struct Device {
    disk: Mutex<Disk>,
    /// Told of every change of `gate`.
    gate_changed: Condvar,
    log_id: String,
    fingerprint: Fingerprint,
}

#[derive(Clone, Default)]
struct Disk {
    blocks: VecDeque<Stored>,
    head: Cursor,
    oldest: Cursor,
    archive: Archive,
    records: HashMap<Cursor, (Arc<Operation>, u64)>,
    archive_bytes: u64,
    /// The cursor it includes, and its records as JSON, so that what is not written is not read.
    checkpoint: Option<(Cursor, Arc<[String]>)>,
    low_on_space: bool,
    /// Appends until the one that fails, and how.
    fault: Option<(u64, InjectedFault)>,
    gate: Gate,
}

#[derive(Clone)]
struct Stored {
    block: Arc<Block>,
    bytes: u64,
}

/// Whether appends may go on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Gate {
    #[default]
    Open,
    Closed,
    /// Closed, and an append waits before it.
    Awaited,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new(fingerprint)
    }
}

impl MemoryDisk {
    /// An empty disk whose archive uses these fingerprints.
    pub fn new(fingerprint: Fingerprint) -> Self {
        Self(Arc::new(Device {
            disk: Mutex::default(),
            gate_changed: Condvar::new(),
            log_id: ulid::Ulid::generate().to_string(),
            fingerprint,
        }))
    }

    /// What is on the disk now, as a disk of its own without faults: what a crash would leave.
    pub fn copy(&self) -> Self {
        let mut disk = self.lock().clone();
        disk.low_on_space = false;
        disk.fault = None;
        disk.gate = Gate::Open;
        Self(Arc::new(Device {
            disk: Mutex::new(disk),
            gate_changed: Condvar::new(),
            log_id: self.0.log_id.clone(),
            fingerprint: self.0.fingerprint,
        }))
    }

    /// The `nth` append from now on fails; 1 is the next.
    pub fn fail_append(&self, nth: u64, fault: InjectedFault) {
        self.lock().fault = Some((nth, fault));
    }

    /// What `is_low_on_space` answers.
    pub fn set_low_on_space(&self, low: bool) {
        self.lock().low_on_space = low;
    }

    /// Lets appends wait, before anything is written, until they are released.
    pub fn hold_appends(&self) {
        self.lock().gate = Gate::Closed;
    }

    /// Waits until an append is held.
    pub fn wait_for_held_append(&self) {
        let mut disk = self.lock();
        while disk.gate != Gate::Awaited {
            disk = wait(&self.0.gate_changed, disk);
        }
    }

    /// Lets appends go on.
    pub fn release_appends(&self) {
        self.lock().gate = Gate::Open;
        self.0.gate_changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        // A test that panicked while it held the lock must not hide behind others that do.
        self.0.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_gate(&self) -> MutexGuard<'_, Disk> {
        let mut disk = self.lock();
        while disk.gate != Gate::Open {
            disk.gate = Gate::Awaited;
            self.0.gate_changed.notify_all();
            disk = wait(&self.0.gate_changed, disk);
        }
        disk
    }
}

fn wait<'a>(changed: &Condvar, disk: MutexGuard<'a, Disk>) -> MutexGuard<'a, Disk> {
    changed.wait(disk).unwrap_or_else(PoisonError::into_inner)
}

/// The journal in memory.
pub struct MemoryJournal {
    disk: MemoryDisk,
    failed: bool,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::open(&MemoryDisk::default())
    }
}

impl MemoryJournal {
    /// Opens what is on the disk.
    pub fn open(disk: &MemoryDisk) -> Self {
        Self {
            disk: disk.clone(),
            failed: false,
        }
    }

    /// The disk it writes to.
    pub fn disk(&self) -> &MemoryDisk {
        &self.disk
    }
}

impl Journal for MemoryJournal {
    fn head(&self) -> Cursor {
        self.disk.lock().head
    }

    fn append(&mut self, after: Cursor, block: &Arc<Block>) -> Result<Cursor, AppendError> {
        if self.failed {
            return Err(injected());
        }
        assert!(!block.events.is_empty(), "a block holds at least one event");
        let mut disk = self.disk.pass_gate();
        if after != disk.head || block.first != after + 1 {
            let head = disk.head;
            return Err(AppendError::NotHead { after, head });
        }
        let fault = disk.next_fault();
        self.failed = fault.is_some();
        if fault != Some(InjectedFault::Lost) {
            disk.keep(block, self.disk.0.fingerprint);
        }
        if self.failed {
            return Err(injected());
        }
        Ok(disk.head)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(self.disk.clone())
    }

    fn is_low_on_space(&self) -> bool {
        self.disk.lock().low_on_space
    }

    fn trim(&mut self, before: Time, most_bytes: u64) -> Result<bool, AppendError> {
        let mut disk = self.disk.lock();
        let covered = disk.checkpoint.as_ref().map_or(0, |(head, _)| *head);
        let mut bytes: u64 = disk.blocks.iter().map(|stored| stored.bytes).sum();
        while disk.blocks.len() > 1 {
            let oldest = &disk.blocks[0];
            let is_old = oldest.block.time() < before || bytes > most_bytes;
            if oldest.block.last() > covered || !is_old {
                break;
            }
            bytes -= oldest.bytes;
            disk.oldest = oldest.block.last();
            disk.blocks.pop_front();
        }
        Ok(false)
    }
}

fn injected() -> AppendError {
    AppendError::Storage(io::Error::other("a fault was injected"))
}

impl Disk {
    fn next_fault(&mut self) -> Option<InjectedFault> {
        let (left, fault) = self.fault?;
        self.fault = (left > 1).then_some((left - 1, fault));
        (left <= 1).then_some(fault)
    }

    fn keep(&mut self, block: &Arc<Block>, fingerprint: Fingerprint) {
        for entry in block.entries(fingerprint) {
            let operation = &block.ended[entry.index as usize];
            let bytes = json_bytes(operation);
            self.archive.insert(entry);
            self.archive_bytes += bytes;
            self.records
                .insert(entry.sequence, (operation.clone(), bytes));
        }
        for sequence in block.purged() {
            if self.archive.remove(sequence).is_some() {
                let removed = self.records.remove(&sequence);
                self.archive_bytes -= removed.map_or(0, |(_, bytes)| bytes);
            }
        }
        self.head = block.last();
        self.blocks.push_back(Stored {
            block: block.clone(),
            bytes: json_bytes(&block.events),
        });
    }
}

fn json_bytes<T: serde::Serialize + ?Sized>(value: &T) -> u64 {
    let text = serde_json::to_vec(value).expect("records have string keys only");
    text.len() as u64
}

impl Reader for MemoryDisk {
    fn log_id(&self) -> &str {
        &self.0.log_id
    }

    fn head(&self) -> Cursor {
        self.lock().head
    }

    fn oldest(&self) -> Cursor {
        self.lock().oldest
    }

    fn read(&self, after: Cursor, bytes: usize) -> Result<Vec<Arc<Block>>, ReadError> {
        let disk = self.lock();
        if after < disk.oldest {
            let oldest = disk.oldest;
            return Err(ReadError::Trimmed { oldest });
        }
        let from = disk
            .blocks
            .partition_point(|stored| stored.block.last() <= after);
        let mut taken = 0;
        let blocks = disk.blocks.range(from..).take_while(|stored| {
            let is_first = taken == 0;
            taken += stored.bytes;
            is_first || taken <= bytes as u64
        });
        Ok(blocks.map(|stored| stored.block.clone()).collect())
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ReadError> {
        let Some((head, lines)) = self.lock().checkpoint.clone() else {
            return Ok(None);
        };
        let records = (0..lines.len()).map(move |index| {
            serde_json::from_str(&lines[index]).map_err(|error| ReadError::Damaged {
                at: head,
                what: error.to_string(),
            })
        });
        let records = Box::new(records);
        Ok(Some(Checkpoint { head, records }))
    }

    fn write_checkpoint(
        &self,
        head: Cursor,
        records: &mut dyn Iterator<Item = Record>,
    ) -> Result<(), ReadError> {
        let lines = records
            .map(|record| serde_json::to_string(&record))
            .collect::<Result<_, _>>()
            .map_err(|error| ReadError::Storage(error.into()))?;
        let mut disk = self.lock();
        if disk.checkpoint.as_ref().is_none_or(|(at, _)| *at <= head) {
            disk.checkpoint = Some((head, lines));
        }
        Ok(())
    }

    fn archive(&self) -> Archive {
        self.lock().archive.clone()
    }

    fn ended(&self, id: &str) -> Result<Option<Arc<Operation>>, ReadError> {
        let disk = self.lock();
        let mut candidates = disk
            .archive
            .with_fingerprint((self.0.fingerprint)(id))
            .filter_map(|entry| disk.records.get(&entry.sequence));
        Ok(candidates
            .find(|(operation, _)| &*operation.subject.id == id)
            .map(|(operation, _)| operation.clone()))
    }

    fn archive_bytes(&self) -> u64 {
        self.lock().archive_bytes
    }

    fn record(&self, entry: &Entry) -> Result<Option<Arc<Operation>>, ReadError> {
        let disk = self.lock();
        let found = disk.records.get(&entry.sequence);
        Ok(found.map(|(operation, _)| operation.clone()))
    }
}
