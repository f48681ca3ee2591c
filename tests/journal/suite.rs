//! One suite for every journal.

use std::sync::Arc;

use opstead::journal::{
    AppendError, Block, Fingerprint, InjectedFault, Journal, MemoryDisk, MemoryJournal, Options,
    ReadError, Reader, SledJournal, fingerprint,
};
use opstead_core::checkpoint::Record;
use opstead_core::{Cursor, Json, Time};
use tempfile::TempDir;

use crate::folder::raw;
use crate::samples::{
    append, append_registrations, ends, id, kwargs, noise, operation, purge, purged, registrations,
    time,
};

/// Something that journals are opened on, again and again.
trait Ground {
    fn with(fingerprint: Fingerprint) -> Self;
    fn open(&self) -> Box<dyn Journal>;

    /// Keys under which records of ended operations lie, where there are keys. The journal must
    /// be closed.
    fn archive_keys(&self) -> usize {
        0
    }

    fn new() -> Self
    where
        Self: Sized,
    {
        Self::with(fingerprint)
    }
}

impl Ground for MemoryDisk {
    fn with(fingerprint: Fingerprint) -> Self {
        Self::new(fingerprint)
    }

    fn open(&self) -> Box<dyn Journal> {
        Box::new(MemoryJournal::open(&self.copy()))
    }
}

/// A memory disk that is written on, not copied, at each opening.
struct SameDisk(MemoryDisk);

impl Ground for SameDisk {
    fn with(fingerprint: Fingerprint) -> Self {
        Self(MemoryDisk::new(fingerprint))
    }

    fn open(&self) -> Box<dyn Journal> {
        Box::new(MemoryJournal::open(&self.0))
    }
}

/// A folder; the latest blocks are kept in memory up to so many bytes.
struct Folder<const RING_BYTES: usize> {
    folder: TempDir,
    options: Options,
}

impl<const RING_BYTES: usize> Ground for Folder<RING_BYTES> {
    fn with(fingerprint: Fingerprint) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            options: Options {
                ring_bytes: RING_BYTES,
                fingerprint,
                ..Options::default()
            },
        }
    }

    fn open(&self) -> Box<dyn Journal> {
        Box::new(SledJournal::open(self.folder.path(), &self.options).unwrap())
    }

    fn archive_keys(&self) -> usize {
        raw(self.folder.path()).scan_prefix("a").count()
    }
}

macro_rules! suite {
    ($($name:ident)*) => {
        mod memory { $(#[test] fn $name() { super::$name::<super::SameDisk>(); })* }
        mod sled { $(#[test] fn $name() { super::$name::<super::Folder<{1 << 20}>>(); })* }
        mod sled_without_ring { $(#[test] fn $name() { super::$name::<super::Folder<0>>(); })* }
    };
}

suite! {
    begins_empty
    appends_only_at_the_head
    reads_from_every_cursor
    limits_a_read_to_whole_blocks
    keeps_big_blocks
    keeps_all_after_opening_again
    finds_ended_operations
    tells_ids_with_the_same_fingerprint_apart
    forgets_purged_operations
    forgets_operations_purged_in_the_block_they_end_in
    leaves_views_of_the_archive_alone
    keeps_a_checkpoint
    trims_by_age_what_a_checkpoint_covers
    trims_by_size
    opens_from_checkpoint_and_the_blocks_after_it
}

/// All events from a cursor on, with their cursors, as text.
fn events(reader: &dyn Reader, mut after: Cursor, bytes: usize) -> Vec<(Cursor, String)> {
    let mut events = Vec::new();
    loop {
        let blocks = reader.read(after, bytes).unwrap();
        let Some(last) = blocks.last() else {
            return events;
        };
        let reached = last.last();
        for block in &blocks {
            events.extend(
                texts(block)
                    .into_iter()
                    .filter(|(cursor, _)| *cursor > after),
            );
        }
        after = reached;
    }
}

fn texts(block: &Block) -> Vec<(Cursor, String)> {
    let text = |event| serde_json::to_string(event).unwrap();
    block
        .events()
        .map(|(cursor, event)| (cursor, text(event)))
        .collect()
}

fn write_checkpoint(reader: &dyn Reader, head: Cursor) {
    reader
        .write_checkpoint(head, &mut records(head).into_iter())
        .unwrap();
}

fn records(head: Cursor) -> Vec<Record> {
    let operations = (1..=300).map(|sequence| operation(sequence, sequence, kwargs()));
    let mut records = vec![Record::Head(head)];
    records.extend(operations.map(Record::Operation));
    records
}

fn begins_empty<G: Ground>() {
    let ground = G::new();
    let journal = ground.open();
    let reader = journal.reader();
    assert_eq!((journal.head(), reader.head(), reader.oldest()), (0, 0, 0));
    assert_eq!(reader.log_id().len(), 26);
    assert!(reader.read(0, 1000).unwrap().is_empty());
    assert!(reader.checkpoint().unwrap().is_none());
    assert!(reader.archive().is_empty());
    assert_eq!(reader.archive_bytes(), 0);
    assert!(!journal.is_low_on_space());
}

fn appends_only_at_the_head<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append(&mut *journal, &registrations(1, 3, &kwargs()));
    for after in [0, 2, 4] {
        let refused = journal.append(after, &registrations(after + 1, 1, &kwargs()));
        let Err(AppendError::NotHead { after: asked, head }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((asked, head), (after, 3));
    }
    append(&mut *journal, &registrations(4, 1, &kwargs()));
    assert_eq!(journal.reader().head(), 4);
    assert_eq!(events(&*journal.reader(), 0, 1 << 20).len(), 4);
}

fn reads_from_every_cursor<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    let mut all = Vec::new();
    for count in [1, 5, 2, 1, 7] {
        let block = registrations(journal.head() + 1, count, &kwargs());
        append(&mut *journal, &block);
        all.extend(texts(&block));
    }
    let reader = journal.reader();
    for after in 0..=all.len() {
        for bytes in [0, 3000, 1 << 20] {
            assert_eq!(events(&*reader, after as Cursor, bytes), all[after..]);
        }
    }
    assert!(reader.read(1000, 1 << 20).unwrap().is_empty());
}

fn limits_a_read_to_whole_blocks<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append_registrations(&mut *journal, 10);
    let reader = journal.reader();
    let one = reader.read(0, 0).unwrap();
    assert_eq!(one.len(), 1);
    let length = serde_json::to_string(&one[0].events).unwrap().len();
    assert_eq!(reader.read(0, length * 4 + length / 2).unwrap().len(), 4);
    assert_eq!(reader.read(8, 1 << 20).unwrap().len(), 2);
}

/// Kwargs of 20 KB and 200 KB are what a plain sled loses in a power cut; 3 MB spans several of
/// its segments.
fn keeps_big_blocks<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    let mut all = Vec::new();
    for (seed, bytes) in [20_000, 200, 200_000, 10, 3_000_000, 1]
        .into_iter()
        .enumerate()
    {
        let block = registrations(journal.head() + 1, 1, &noise(seed as u64, bytes));
        append(&mut *journal, &block);
        all.extend(texts(&block));
    }
    assert!(events(&*journal.reader(), 0, 1000) == all);
    drop(journal);
    assert!(events(&*ground.open().reader(), 0, 1000) == all);
}

fn keeps_all_after_opening_again<G: Ground>() {
    let ground = G::new();
    let log_id = ground.open().reader().log_id().to_owned();
    for round in 0..4 {
        let mut journal = ground.open();
        assert_eq!(journal.head(), round * 5);
        assert_eq!(journal.reader().log_id(), log_id);
        append_registrations(&mut *journal, 5);
        assert_eq!(
            events(&*journal.reader(), 0, 1000).len() as u64,
            round * 5 + 5
        );
    }
}

fn finds_ended_operations<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append(&mut *journal, &registrations(1, 6, &kwargs()));
    append(&mut *journal, &ends(7, &[5, 2]));
    append(&mut *journal, &ends(9, &[3]));
    let check = |reader: &dyn Reader| {
        for (sequence, cursor) in [(2, 8), (3, 9), (5, 7)] {
            let found = reader.ended(&id(sequence)).unwrap().unwrap();
            assert_eq!(found, operation(sequence, cursor, kwargs()));
        }
        assert!(reader.ended(&id(1)).unwrap().is_none());
        let archive = reader.archive();
        let sequences: Vec<Cursor> = archive.after(2).map(|entry| entry.sequence).collect();
        assert_eq!((archive.len(), sequences), (3, vec![3, 5]));
        let entry = archive.after(4).next().unwrap();
        assert_eq!(entry.finished_at, time(7));
        assert_eq!(reader.record(entry).unwrap().unwrap().subject.sequence, 5);
        assert!(archive.after(Cursor::MAX).next().is_none());
        assert!(reader.archive_bytes() > 0);
    };
    check(&*journal.reader());
    drop(journal);
    check(&*ground.open().reader());
}

fn tells_ids_with_the_same_fingerprint_apart<G: Ground>() {
    let ground = G::with(|id| id.len() as u64);
    let mut journal = ground.open();
    append(&mut *journal, &registrations(1, 4, &kwargs()));
    append(&mut *journal, &ends(5, &[1, 2, 3]));
    append(&mut *journal, &purge(8, &[2]));
    let check = |reader: &dyn Reader| {
        for sequence in [1, 3] {
            let found = reader.ended(&id(sequence)).unwrap().unwrap();
            assert_eq!(found.subject.sequence, sequence);
        }
        assert!(reader.ended(&id(2)).unwrap().is_none());
        assert!(reader.ended(&id(4)).unwrap().is_none());
    };
    check(&*journal.reader());
    drop(journal);
    check(&*ground.open().reader());
}

fn forgets_purged_operations<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append(&mut *journal, &registrations(1, 4, &noise(1, 9000)));
    append(&mut *journal, &ends(5, &[1, 2]));
    append(&mut *journal, &ends(7, &[3]));
    let reader = journal.reader();
    let archive = reader.archive();
    append(&mut *journal, &purge(8, &[1]));
    assert_eq!(reader.archive().len(), 2);
    assert!(reader.ended(&id(1)).unwrap().is_none());
    assert!(reader.ended(&id(2)).unwrap().is_some());
    assert!(
        reader
            .record(archive.after(0).next().unwrap())
            .unwrap()
            .is_none()
    );
    append(&mut *journal, &purge(9, &[2, 3]));
    let check = |reader: &dyn Reader| {
        assert!(reader.archive().is_empty());
        assert_eq!(reader.archive_bytes(), 0);
        assert!(reader.ended(&id(2)).unwrap().is_none());
        assert_eq!(events(reader, 0, 1 << 20).len(), 9);
    };
    check(&*reader);
    drop((journal, reader));
    check(&*ground.open().reader());
}

fn forgets_operations_purged_in_the_block_they_end_in<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append(&mut *journal, &registrations(1, 4, &kwargs()));
    let mut block = Block::clone(&ends(5, &[1, 2]));
    block.events.push(purged(7, &[1, 2]));
    append(&mut *journal, &Arc::new(block));
    assert_eq!(journal.reader().archive_bytes(), 0);
    drop(journal);
    assert_eq!(ground.archive_keys(), 0);
    let mut journal = ground.open();
    assert_eq!(journal.head(), 7);
    assert!(journal.reader().archive().is_empty());
    assert!(journal.reader().ended(&id(1)).unwrap().is_none());
    // One that stays keeps the records of its block.
    let mut block = Block::clone(&ends(8, &[3, 4]));
    block.events.push(purged(10, &[3]));
    append(&mut *journal, &Arc::new(block));
    assert!(journal.reader().ended(&id(3)).unwrap().is_none());
    drop(journal);
    let mut journal = ground.open();
    assert!(journal.reader().ended(&id(4)).unwrap().is_some());
    append(&mut *journal, &purge(11, &[4]));
    drop(journal);
    assert_eq!(ground.archive_keys(), 0);
}

fn leaves_views_of_the_archive_alone<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append(&mut *journal, &registrations(1, 3, &kwargs()));
    append(&mut *journal, &ends(4, &[1, 2]));
    let view = journal.reader().archive();
    append(&mut *journal, &purge(6, &[1]));
    append(&mut *journal, &ends(7, &[3]));
    let sequences: Vec<Cursor> = view.after(0).map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [1, 2]);
}

fn keeps_a_checkpoint<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append_registrations(&mut *journal, 9);
    for head in [3, 7] {
        write_checkpoint(&*journal.reader(), head);
    }
    let check = |reader: &dyn Reader| {
        let checkpoint = reader.checkpoint().unwrap().unwrap();
        let found: Vec<Record> = checkpoint.records.collect::<Result<_, _>>().unwrap();
        assert_eq!(checkpoint.head, 7);
        assert_eq!(found, records(7));
    };
    check(&*journal.reader());
    // A slow writer of an older one must not take its place.
    write_checkpoint(&*journal.reader(), 5);
    check(&*journal.reader());
    append_registrations(&mut *journal, 3);
    drop(journal);
    let journal = ground.open();
    assert_eq!(journal.head(), 12);
    check(&*journal.reader());
    drop(journal.reader().checkpoint());
}

fn trim(journal: &mut dyn Journal, before: Time, most_bytes: u64) {
    while journal.trim(before, most_bytes).unwrap() {}
}

fn trims_by_age_what_a_checkpoint_covers<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append_registrations(&mut *journal, 700);
    let reader = journal.reader();
    trim(&mut *journal, time(1000), u64::MAX);
    assert_eq!(reader.oldest(), 0, "no checkpoint covers anything");
    write_checkpoint(&*reader, 650);
    trim(&mut *journal, time(600), u64::MAX);
    assert_eq!(reader.oldest(), 599, "the block of that time is kept");
    trim(&mut *journal, time(1000), u64::MAX);
    assert_eq!(
        reader.oldest(),
        650,
        "what the checkpoint does not cover is kept"
    );
    let Err(ReadError::Trimmed { oldest: 650 }) = reader.read(649, 1000) else {
        panic!("trimmed events were read");
    };
    assert_eq!(events(&*reader, 650, 1000).len(), 50);
    write_checkpoint(&*reader, 700);
    trim(&mut *journal, time(1000), u64::MAX);
    assert_eq!(reader.oldest(), 699, "the newest block is kept");
    drop((journal, reader));
    let mut journal = ground.open();
    assert_eq!((journal.head(), journal.reader().oldest()), (700, 699));
    append_registrations(&mut *journal, 2);
    assert_eq!(events(&*journal.reader(), 699, 1000).len(), 3);
}

fn trims_by_size<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    for _ in 0..10 {
        let block = registrations(journal.head() + 1, 1, &noise(7, 10_000));
        append(&mut *journal, &block);
    }
    write_checkpoint(&*journal.reader(), 10);
    trim(&mut *journal, Time(0), 1_000_000);
    assert_eq!(journal.reader().oldest(), 0);
    trim(&mut *journal, Time(0), 55_000);
    assert_eq!(journal.reader().oldest(), 5);
    drop(journal);
    let mut journal = ground.open();
    trim(&mut *journal, Time(0), 35_000);
    assert_eq!(journal.reader().oldest(), 7);
    trim(&mut *journal, Time(0), 0);
    assert_eq!(journal.reader().oldest(), 9);
}

/// Frames are decoded side by side; every number of them comes back in order, to the last.
#[test]
fn a_checkpoint_of_many_frames_comes_back_in_order() {
    let ground = Folder::<0>::new();
    let mut journal = ground.open();
    append_registrations(&mut *journal, 1);
    for count in 0..7 {
        let mut written = vec![Record::Head(1)];
        let operations =
            (1..=count).map(|sequence| operation(sequence, sequence, noise(sequence, 400_000)));
        written.extend(operations.map(Record::Operation));
        let reader = journal.reader();
        reader
            .write_checkpoint(count + 1, &mut written.clone().into_iter())
            .unwrap();
        let found = reader.checkpoint().unwrap().unwrap().records;
        assert!(found.map(Result::unwrap).eq(written));
        append_registrations(&mut *journal, 1);
    }
}

/// The index of the archive is written piece by piece, so a block whose operations were registered
/// far apart comes in several.
#[test]
fn a_checkpoint_keeps_blocks_of_operations_registered_far_apart() {
    let ground = Folder::<0>::new();
    let mut journal = ground.open();
    let far: Vec<Cursor> = (2..=5001).collect();
    append(&mut *journal, &registrations(1, 5002, &Json::null()));
    append(&mut *journal, &ends(5003, &[1, 5002]));
    append(&mut *journal, &ends(5005, &far));
    let head = journal.head();
    let bytes = journal.reader().archive_bytes();
    write_checkpoint(&*journal.reader(), head);
    drop(journal);
    let mut journal = ground.open();
    assert_eq!(journal.reader().archive().len(), 5002);
    assert_eq!(journal.reader().archive_bytes(), bytes);
    append(&mut *journal, &purge(head + 1, &[1]));
    assert!(journal.reader().ended(&id(5002)).unwrap().is_some());
    append(&mut *journal, &purge(head + 2, &[5002]));
    append(&mut *journal, &purge(head + 3, &far));
    assert_eq!(journal.reader().archive_bytes(), 0);
    drop(journal);
    assert_eq!(ground.archive_keys(), 0);
}

/// Appends wait while blocks are removed.
#[test]
fn one_call_trims_a_bounded_number_of_bytes() {
    let ground = Folder::<0>::new();
    let mut journal = ground.open();
    for seed in 1..=4 {
        append(
            &mut *journal,
            &registrations(seed, 1, &noise(seed, 3 << 20)),
        );
    }
    write_checkpoint(&*journal.reader(), 4);
    assert!(journal.trim(time(1000), u64::MAX).unwrap());
    assert_eq!(journal.reader().oldest(), 2);
    assert!(!journal.trim(time(1000), u64::MAX).unwrap());
    assert_eq!(journal.reader().oldest(), 3);
}

fn opens_from_checkpoint_and_the_blocks_after_it<G: Ground>() {
    let ground = G::new();
    let mut journal = ground.open();
    append(&mut *journal, &registrations(1, 8, &kwargs()));
    append(&mut *journal, &ends(9, &[1, 2, 3]));
    append(&mut *journal, &purge(12, &[2]));
    // The archive may be ahead of the state that a checkpoint is made of.
    write_checkpoint(&*journal.reader(), 8);
    append(&mut *journal, &ends(13, &[4, 5]));
    append(&mut *journal, &purge(15, &[1, 3, 4]));
    write_checkpoint(&*journal.reader(), 8);
    trim(&mut *journal, time(1000), u64::MAX);
    let bytes = journal.reader().archive_bytes();
    drop(journal);
    let journal = ground.open();
    let reader = journal.reader();
    assert_eq!((reader.oldest(), reader.head()), (8, 15));
    let left: Vec<Cursor> = reader
        .archive()
        .after(0)
        .map(|entry| entry.sequence)
        .collect();
    assert_eq!(left, [5]);
    assert_eq!(reader.archive_bytes(), bytes);
    assert!(reader.ended(&id(5)).unwrap().is_some());
    assert!(reader.ended(&id(4)).unwrap().is_none());
}

#[test]
fn a_memory_disk_fails_when_told_to() {
    for (fault, kept) in [(InjectedFault::Lost, 2), (InjectedFault::Kept, 3)] {
        let disk = MemoryDisk::default();
        let mut journal = MemoryJournal::open(&disk);
        append_registrations(&mut journal, 1);
        disk.fail_append(2, fault);
        append_registrations(&mut journal, 1);
        for _ in 0..2 {
            let failed = journal.append(2, &registrations(3, 1, &Json::null()));
            assert!(matches!(failed, Err(AppendError::Storage(_))));
        }
        assert_eq!(disk.copy().head(), kept);
        let mut journal = disk.open();
        append_registrations(&mut *journal, 1);
        assert_eq!(disk.copy().head(), kept, "a copy is a disk of its own");
        disk.set_low_on_space(true);
        assert!(MemoryJournal::open(&disk).is_low_on_space());
    }
}

#[test]
fn a_memory_disk_holds_appends() {
    let disk = MemoryDisk::default();
    let mut journal = MemoryJournal::open(&disk);
    disk.hold_appends();
    let writer = std::thread::spawn(move || append_registrations(&mut journal, 1));
    disk.wait_for_held_append();
    assert_eq!(disk.head(), 0);
    disk.release_appends();
    writer.join().unwrap();
    assert_eq!(Arc::new(disk).head(), 1);
}
