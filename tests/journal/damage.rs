//! Damage: an unfinished end is cut off and said so, anything else is refused, and nothing that
//! was acknowledged is ever missing without a word.

use std::fs;
use std::ops::Range;
use std::path::Path;

use opstead::journal::{Journal, OpenError, ReadError};
use opstead_core::checkpoint::Record;
use opstead_core::{Cursor, Time};

use crate::folder::{filled, open, raw, refusal};
use crate::samples::{
    append, append_registrations, ends, id, noise, operation, registrations, time,
};

pub(crate) fn block_key(first: Cursor, part: u32) -> Vec<u8> {
    [&b"b"[..], &first.to_be_bytes(), &part.to_be_bytes()].concat()
}

/// Changes the log behind the journal's back.
pub(crate) fn change(folder: &Path, run: impl FnOnce(&sled::Db)) {
    let log = raw(folder);
    run(&log);
}

pub(crate) fn flip(folder: &Path, key: &[u8]) {
    change(folder, |log| {
        let mut value = log.get(key).unwrap().unwrap().to_vec();
        let middle = value.len() / 2;
        value[middle] ^= 1;
        log.insert(key, value).unwrap();
    });
}

/// Makes the marker say that less was acknowledged, as if the process had died before moving it.
pub(crate) fn set_acknowledged(folder: &Path, acknowledged: Cursor) {
    let path = folder.join("marker.json");
    let mut marker: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    marker["acknowledged"] = acknowledged.into();
    fs::write(path, marker.to_string()).unwrap();
}

#[test]
fn a_torn_end_is_cut_off_and_reported() {
    let folder = filled();
    let mut journal = open(folder.path()).unwrap();
    append(&mut journal, &registrations(11, 1, &noise(1, 9000)));
    append(&mut journal, &registrations(12, 1, &noise(2, 9000)));
    drop(journal);
    set_acknowledged(folder.path(), 10);
    change(folder.path(), |log| {
        log.remove(block_key(11, 2)).unwrap();
        log.remove(block_key(12, 0)).unwrap();
    });
    let mut journal = open(folder.path()).unwrap();
    assert_eq!(journal.report().cut_after, Some(10));
    assert_eq!(journal.head(), 10);
    append_registrations(&mut journal, 2);
    drop(journal);
    let journal = open(folder.path()).unwrap();
    assert_eq!((journal.head(), journal.report().cut_after), (12, None));
}

#[test]
fn a_torn_end_without_its_ended_operations_is_cut_off() {
    let folder = filled();
    let mut journal = open(folder.path()).unwrap();
    append(&mut journal, &ends(11, &[3]));
    drop(journal);
    set_acknowledged(folder.path(), 10);
    change(folder.path(), |log| {
        let key = [&b"a"[..], &block_key(11, 0)[1..]].concat();
        log.remove(key).unwrap().unwrap();
    });
    let journal = open(folder.path()).unwrap();
    assert_eq!((journal.head(), journal.report().cut_after), (10, Some(10)));
    assert!(journal.reader().ended(&id(3)).unwrap().is_none());
}

#[test]
fn a_torn_end_that_was_acknowledged_is_refused() {
    let folder = filled();
    flip(folder.path(), &block_key(10, 0));
    let OpenError::Shorter { head, acknowledged } = refusal(folder.path()) else {
        panic!("another refusal");
    };
    assert_eq!((head, acknowledged), (9, 10));
}

#[test]
fn a_shorter_log_is_refused() {
    let folder = filled();
    change(folder.path(), |log| {
        log.remove(block_key(10, 0)).unwrap();
    });
    assert!(matches!(
        refusal(folder.path()),
        OpenError::Shorter { head: 9, .. }
    ));
    change(folder.path(), |log| {
        for first in 1..10 {
            log.remove(block_key(first, 0)).unwrap();
        }
    });
    assert!(matches!(
        refusal(folder.path()),
        OpenError::Shorter { head: 0, .. }
    ));
}

#[test]
fn damage_in_the_middle_is_refused() {
    let folder = filled();
    flip(folder.path(), &block_key(5, 0));
    assert!(matches!(
        refusal(folder.path()),
        OpenError::Damaged { at: 5, .. }
    ));
    flip(folder.path(), &block_key(5, 0));
    change(folder.path(), |log| {
        log.remove(block_key(5, 0)).unwrap();
    });
    assert!(matches!(
        refusal(folder.path()),
        OpenError::Damaged { at: 5, .. }
    ));
    // A block that is whole by itself but of another history.
    let other = filled();
    change(other.path(), |log| {
        let value = log.get(block_key(5, 0)).unwrap().unwrap();
        change(folder.path(), |log| {
            log.insert(block_key(5, 0), value).unwrap();
        });
    });
    open(folder.path()).unwrap();
    let mut journal = open(other.path()).unwrap();
    append(&mut journal, &registrations(11, 1, &noise(1, 10)));
    drop(journal);
    let mut journal = open(folder.path()).unwrap();
    append(&mut journal, &registrations(11, 1, &noise(2, 10)));
    append_registrations(&mut journal, 1);
    drop(journal);
    change(other.path(), |log| {
        let value = log.get(block_key(11, 0)).unwrap().unwrap();
        change(folder.path(), |log| {
            log.insert(block_key(11, 0), value).unwrap();
        });
    });
    assert!(matches!(
        refusal(folder.path()),
        OpenError::Damaged { at: 12, .. }
    ));
}

#[test]
fn a_beginning_that_is_missing_is_refused() {
    let folder = filled();
    change(folder.path(), |log| {
        log.remove(block_key(1, 0)).unwrap();
    });
    assert!(matches!(
        refusal(folder.path()),
        OpenError::NoCheckpoint { oldest: 1 }
    ));
}

/// sled panics on most of these, opens some, and sometimes forgets a part without a word.
#[test]
fn a_flipped_byte_in_the_database_never_loses_anything_silently() {
    let folder = filled();
    let database = folder.path().join("log").join("db");
    let whole = fs::read(&database).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for place in 0..12 {
        let mut bytes = whole.clone();
        bytes[used * place / 12 + 7] ^= 0x10;
        fs::write(&database, bytes).unwrap();
        match open(folder.path()) {
            Err(_) => refused += 1,
            Ok(journal) => {
                let blocks = journal.reader().read(0, 1 << 20).unwrap();
                assert_eq!(blocks.len(), 10);
            }
        }
    }
    assert!(refused > 0);
}

/// Where the frames of a checkpoint lie, their lengths included; the last is the footer.
fn frames(checkpoint: &[u8]) -> Vec<Range<usize>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < checkpoint.len() {
        let length = u32::from_le_bytes(checkpoint[at..at + 4].try_into().unwrap());
        let end = at + 4 + length as usize;
        frames.push(at..end);
        at = end;
    }
    frames
}

#[test]
fn a_damaged_checkpoint_is_passed_over_while_the_log_reaches_back() {
    let folder = filled();
    let journal = open(folder.path()).unwrap();
    checkpoint(&journal, 6);
    drop(journal);
    let path = folder.path().join(format!("checkpoint.{:020}", 6));
    let whole = fs::read(&path).unwrap();
    let frames = frames(&whole);
    let footer = frames.last().unwrap();
    let lengths = frames
        .iter()
        .map(|frame| frame.start)
        .flat_map(|at| at..at + 4);
    let some = (0..whole.len()).step_by(64);
    for place in some.chain(lengths).chain(footer.clone()) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
        let journal = open(folder.path()).unwrap();
        assert_eq!(journal.report().checkpoints_skipped, 1, "byte {place}");
        assert!(journal.reader().checkpoint().unwrap().is_none());
        assert_eq!(journal.reader().read(0, 1 << 20).unwrap().len(), 10);
    }
    let footless = &whole[..footer.start];
    fs::write(&path, footless).unwrap();
    assert_eq!(open(folder.path()).unwrap().report().checkpoints_skipped, 1);
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    fs::write(path.with_extension("tmp"), "unfinished").unwrap();
    assert_eq!(open(folder.path()).unwrap().report().checkpoints_skipped, 1);
    assert!(!path.with_extension("tmp").exists());

    // An older one that is whole is as good.
    fs::write(
        path.with_file_name(format!("checkpoint.{:020}", 9)),
        "damaged",
    )
    .unwrap();
    fs::write(&path, whole).unwrap();
    let mut journal = open(folder.path()).unwrap();
    assert_eq!(journal.report().checkpoint, Some(6));
    while journal.trim(Time(u64::MAX), 0).unwrap() {}
    assert_eq!(journal.reader().oldest(), 6);
    drop(journal);
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        refusal(folder.path()),
        OpenError::NoCheckpoint { oldest: 6 }
    ));
}

/// A checkpoint that is damaged between opening and reading never gives a part for the whole.
#[test]
fn a_checkpoint_damaged_after_opening_is_told_to_its_reader() {
    let folder = filled();
    let journal = open(folder.path()).unwrap();
    let records =
        (1..=4).map(|seed| Record::Operation(operation(seed, seed, noise(seed, 400_000))));
    let written = journal.reader().write_checkpoint(6, &mut { records });
    written.unwrap();
    let path = folder.path().join(format!("checkpoint.{:020}", 6));
    let whole = fs::read(&path).unwrap();
    let frames = frames(&whole);
    let is_refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let records = journal.reader().checkpoint().unwrap().unwrap().records;
        records.last().unwrap().is_err()
    };
    assert!(!is_refused(&whole));
    for frame in &frames[1..] {
        assert!(is_refused(&whole[..frame.start]), "cut off");
        let without = [&whole[..frame.start], &whole[frame.end..]].concat();
        assert!(is_refused(&without), "one is missing");
        let mut flipped = whole.clone();
        flipped[frame.end - 1] ^= 1;
        assert!(is_refused(&flipped), "one is damaged");
    }
}

/// Blocks that a checkpoint covers are not read at opening, so their damage shows when somebody
/// asks for them.
#[test]
fn damage_behind_a_checkpoint_is_told_to_its_reader() {
    let folder = filled();
    let journal = open(folder.path()).unwrap();
    checkpoint(&journal, 10);
    drop(journal);
    flip(folder.path(), &block_key(5, 0));
    let journal = open(folder.path()).unwrap();
    assert_eq!(journal.report().blocks_checked, 0);
    let read = journal.reader().read(2, 1 << 20);
    assert!(
        matches!(read, Err(ReadError::Damaged { at: 5, .. })),
        "{read:?}"
    );
    assert_eq!(journal.reader().read(5, 1 << 20).unwrap().len(), 5);
    drop(journal);

    change(folder.path(), |log| {
        log.remove(block_key(10, 0)).unwrap();
    });
    assert!(matches!(
        refusal(folder.path()),
        OpenError::Shorter { head: 9, .. }
    ));
}

/// Blocks that a checkpoint covers are not read at opening: their damage must neither keep them for
/// ever nor end the daemon when they are removed.
#[test]
fn damaged_blocks_are_removed_like_others() {
    for (place, most_bytes) in [(4, 0), (4, u64::MAX), (usize::MAX, 0), (20, u64::MAX)] {
        let folder = filled();
        checkpoint(&open(folder.path()).unwrap(), 10);
        change(folder.path(), |log| {
            for first in [1, 5] {
                let mut value = log.get(block_key(first, 0)).unwrap().unwrap().to_vec();
                let place = place.min(value.len() - 1);
                value[place] = b'\0';
                log.insert(block_key(first, 0), value).unwrap();
            }
        });
        let mut journal = open(folder.path()).unwrap();
        while journal.trim(time(7), most_bytes).unwrap() {}
        let left = if most_bytes == 0 { 9 } else { 6 };
        assert_eq!(journal.reader().oldest(), left);
        append_registrations(&mut journal, 1);
        let events = journal.reader().read(left, 1 << 20).unwrap();
        assert_eq!(events.len() as Cursor, 11 - left);
    }
}

#[test]
fn a_damaged_beginning_does_not_make_the_log_look_longer() {
    let folder = filled();
    let mut journal = open(folder.path()).unwrap();
    checkpoint(&journal, 10);
    while journal.trim(time(5), u64::MAX).unwrap() {}
    drop(journal);
    let mut kept_bytes = 0;
    change(folder.path(), |log| {
        let values = log.scan_prefix("b").values();
        kept_bytes = values.map(|value| value.unwrap().len() as u64).sum();
    });
    flip(folder.path(), &block_key(5, 0));
    let mut journal = open(folder.path()).unwrap();
    while journal.trim(Time(0), kept_bytes).unwrap() {}
    assert_eq!(journal.reader().oldest(), 4);
}

fn checkpoint(journal: &dyn Journal, head: Cursor) {
    let records = (0..20).map(|_| Record::Head(head));
    journal
        .reader()
        .write_checkpoint(head, &mut { records })
        .unwrap();
}
