//! Looking into a stopped daemon's folder: what is found, what is readable in spite of damage, and
//! that nothing in the folder changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use opstead::journal::{Damage, InspectError, Inspection, Journal, OpenError};
use opstead_core::Cursor;
use opstead_core::checkpoint::Record;
use tempfile::TempDir;

use crate::damage::{block_key, change, flip, set_acknowledged};
use crate::folder::{filled, open};
use crate::samples::{append, ends, id, noise, registrations};

/// Every file with its bytes and when it was changed.
fn contents(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(path.clone(), (fs::read(&path).unwrap(), changed));
        }
    }
    found
}

/// Looks into a folder, which must be left as it was.
fn inspect<T>(folder: &Path, look: impl FnOnce(&Inspection) -> T) -> T {
    let before = contents(folder);
    let workspace = TempDir::new().unwrap();
    let inspection = Inspection::open(folder, workspace.path(), &|| false).unwrap();
    let seen = look(&inspection);
    drop(inspection);
    assert!(contents(folder) == before, "something was changed");
    seen
}

/// The first cursors of the blocks that can be read, and where one cannot.
fn found(inspection: &Inspection, after: Cursor) -> (Vec<Cursor>, Vec<Cursor>) {
    let mut found = (Vec::new(), Vec::new());
    for block in inspection.blocks(after) {
        match block {
            Ok(block) => found.0.push(block.first),
            Err(Damage { at, .. }) => found.1.push(at),
        }
    }
    found
}

fn write_checkpoint(folder: &Path, head: Cursor) {
    let journal = open(folder).unwrap();
    let written = journal
        .reader()
        .write_checkpoint(head, &mut [Record::Head(head)].into_iter());
    written.unwrap();
}

#[test]
fn a_whole_journal_is_read_whole() {
    let folder = filled();
    let mut journal = open(folder.path()).unwrap();
    append(&mut journal, &ends(11, &[3]));
    drop(journal);
    write_checkpoint(folder.path(), 8);
    inspect(folder.path(), |inspection| {
        let report = inspection.report();
        assert_eq!(report.opened.as_ref().unwrap().checkpoint, Some(8));
        assert_eq!(report.acknowledged, Some(11));
        let [checkpoint] = &report.checkpoints[..] else {
            panic!("{report:?}");
        };
        assert_eq!((checkpoint.head, &checkpoint.fault), (8, &None));
        let reader = inspection.reader().unwrap();
        assert_eq!(reader.head(), 11);
        assert_eq!(Some(reader.log_id()), report.log_id.as_deref());
        assert!(reader.ended(&id(3)).unwrap().is_some());
        assert_eq!(inspection.damage(), (vec![], false));
        assert_eq!(found(inspection, 0), ((1..=11).collect(), vec![]));
        assert_eq!(found(inspection, 9), (vec![10, 11], vec![]));
    });
}

#[test]
fn a_torn_end_is_told() {
    let folder = filled();
    let mut journal = open(folder.path()).unwrap();
    append(&mut journal, &registrations(11, 1, &noise(1, 9000)));
    drop(journal);
    set_acknowledged(folder.path(), 10);
    change(folder.path(), |log| {
        log.remove(block_key(11, 2)).unwrap();
    });
    inspect(folder.path(), |inspection| {
        let opened = inspection.report().opened.as_ref().unwrap();
        assert_eq!(opened.cut_after, Some(10));
        assert_eq!(found(inspection, 0), ((1..=10).collect(), vec![]));
    });
    assert_eq!(open(folder.path()).unwrap().report().cut_after, Some(10));
}

#[test]
fn damage_is_told_and_what_lies_around_it_is_shown() {
    let folder = filled();
    flip(folder.path(), &block_key(5, 0));
    change(folder.path(), |log| {
        log.remove(block_key(8, 0)).unwrap();
    });
    inspect(folder.path(), |inspection| {
        let opened = &inspection.report().opened;
        assert!(
            matches!(opened, Err(OpenError::Damaged { at: 5, .. })),
            "{opened:?}"
        );
        assert_eq!(inspection.reader().unwrap().head(), 4);
        let damaged: Vec<_> = inspection
            .damage()
            .0
            .iter()
            .map(|damage| damage.at)
            .collect();
        assert_eq!(damaged, [5, 8]);
        let readable = vec![1, 2, 3, 4, 6, 7, 9, 10];
        assert_eq!(found(inspection, 0), (readable, vec![5, 8]));
    });
}

/// What a start does not look at, because a checkpoint covers it.
#[test]
fn damage_behind_a_checkpoint_is_told() {
    let folder = filled();
    let mut journal = open(folder.path()).unwrap();
    append(&mut journal, &ends(11, &[3]));
    append(&mut journal, &registrations(12, 1, &noise(1, 10)));
    drop(journal);
    write_checkpoint(folder.path(), 12);
    flip(folder.path(), &block_key(5, 0));
    let records = [&b"a"[..], &block_key(11, 0)[1..]].concat();
    flip(folder.path(), &records);
    inspect(folder.path(), |inspection| {
        assert!(inspection.report().opened.is_ok());
        let (damage, _) = inspection.damage();
        assert_eq!(
            damage.iter().map(|damage| damage.at).collect::<Vec<_>>(),
            [5, 11]
        );
        assert!(damage[1].what.contains("ended operations"), "{damage:?}");
    });
}

#[test]
fn a_damaged_checkpoint_is_told() {
    let folder = filled();
    write_checkpoint(folder.path(), 6);
    let path = folder.path().join(format!("checkpoint.{:020}", 6));
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::write(path.with_extension("tmp"), "unfinished").unwrap();
    inspect(folder.path(), |inspection| {
        let report = inspection.report();
        assert!(report.checkpoints[0].fault.is_some(), "{report:?}");
        assert_eq!(report.checkpoints.len(), 1);
        assert_eq!(report.opened.as_ref().unwrap().checkpoints_skipped, 1);
    });
}

#[test]
fn without_a_good_marker_the_log_is_still_shown() {
    for marker in [None, Some("{"), Some(r#"{"version":2}"#)] {
        let folder = filled();
        let path = folder.path().join("marker.json");
        match marker {
            None => fs::remove_file(path).unwrap(),
            Some(text) => fs::write(path, text).unwrap(),
        }
        inspect(folder.path(), |inspection| {
            let report = inspection.report();
            assert_eq!(report.acknowledged, None);
            assert!(report.log_id.is_some(), "the log itself says so");
            let opened = &report.opened;
            assert!(
                matches!(
                    opened,
                    Err(OpenError::MissingMarker
                        | OpenError::DamagedMarker(_)
                        | OpenError::OtherVersion { found: 2, .. })
                ),
                "{opened:?}"
            );
            assert_eq!(found(inspection, 0), ((1..=10).collect(), vec![]));
        });
    }
}

#[test]
fn a_missing_log_is_told() {
    let folder = filled();
    fs::remove_dir_all(folder.path().join("log")).unwrap();
    inspect(folder.path(), |inspection| {
        let opened = &inspection.report().opened;
        assert!(
            matches!(opened, Err(OpenError::Missing { .. })),
            "{opened:?}"
        );
        assert!(inspection.reader().is_none());
        assert_eq!(inspection.blocks(0).count(), 0);
    });
}

/// sled panics on most of these.
#[test]
fn a_flipped_byte_in_the_database_is_survived() {
    let folder = filled();
    let database = folder.path().join("log/db");
    let whole = fs::read(&database).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut told = 0;
    for place in 0..12 {
        let mut bytes = whole.clone();
        bytes[used * place / 12 + 7] ^= 0x10;
        fs::write(&database, bytes).unwrap();
        inspect(folder.path(), |inspection| {
            let (readable, _) = found(inspection, 0);
            match inspection.report().opened {
                Ok(_) => assert_eq!(readable.len(), 10),
                Err(_) => told += 1,
            }
        });
    }
    assert!(told > 0);
}

#[test]
fn what_is_no_stopped_journal_is_refused() {
    let workspace = TempDir::new().unwrap();
    let refusal = |folder: &Path| match Inspection::open(folder, workspace.path(), &|| false) {
        Ok(_) => panic!("it was looked into"),
        Err(error) => error,
    };
    let folder = filled();
    let journal = open(folder.path()).unwrap();
    assert!(matches!(refusal(folder.path()), InspectError::InUse(_)));
    drop(journal);
    let empty = TempDir::new().unwrap();
    let file = empty.path().join("file");
    for nothing in [empty.path(), &file] {
        let refused = refusal(nothing);
        assert!(matches!(refused, InspectError::NoJournal(_)), "{refused}");
    }
    fs::write(&file, "").unwrap();
    let refused = refusal(&file);
    assert!(matches!(refused, InspectError::NoJournal(_)), "{refused}");
    assert_eq!(fs::read_dir(workspace.path()).unwrap().count(), 0);
}

/// A file system of the kernel's own has no room at all.
#[test]
fn a_copy_that_does_not_fit_is_refused_before_it_is_begun() {
    let folder = filled();
    match Inspection::open(folder.path(), Path::new("/sys"), &|| false) {
        Err(InspectError::NoRoom {
            needed_bytes,
            free_bytes: 0,
        }) => assert!(needed_bytes > 0),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was copied"),
    }
}

/// As long as somebody copies, no daemon starts; two may copy at once.
#[test]
fn daemons_and_copies_keep_out_of_each_others_way() {
    let folder = filled();
    let stopped = opstead::journal::Stopped::hold(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::InUse { .. })));
    inspect(folder.path(), |inspection| {
        assert!(inspection.report().opened.is_ok());
    });
    drop(stopped);
    open(folder.path()).unwrap();
}
