//! Data folders that must be refused, and what is left in them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use opstead::journal::{Journal, OpenError, Options, SledJournal};
use rustix::fs::{FlockOperation, flock, inotify};
use tempfile::TempDir;

use crate::samples::append_registrations;

/// A folder with a journal of ten blocks, closed.
pub(crate) fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut journal = open(folder.path()).unwrap();
    append_registrations(&mut journal, 10);
    folder
}

pub(crate) fn open(folder: &Path) -> Result<SledJournal, OpenError> {
    SledJournal::open(folder, &Options::default())
}

/// The log as sled itself sees it, once whoever had it open before is gone: its threads may
/// outlive it a little.
pub(crate) fn raw(folder: &Path) -> sled::Db {
    let log = folder.join("log");
    if let Ok(database) = fs::File::open(log.join("db")) {
        flock(&database, FlockOperation::LockExclusive).unwrap();
        // A child process that is just being started may have a copy of it.
        flock(&database, FlockOperation::Unlock).unwrap();
    }
    sled::open(log).unwrap()
}

/// The error of an opening that must fail.
pub(crate) fn refusal(folder: &Path) -> OpenError {
    match open(folder) {
        Ok(journal) => panic!("it opened with head {}", journal.head()),
        Err(error) => error,
    }
}

#[test]
fn a_second_opener_is_refused() {
    let folder = filled();
    let journal = open(folder.path()).unwrap();
    let reader = journal.reader();
    assert!(matches!(refusal(folder.path()), OpenError::InUse { .. }));
    drop(journal);
    // As long as somebody reads, sled is open.
    assert!(matches!(refusal(folder.path()), OpenError::InUse { .. }));
    drop(reader);
    assert_eq!(open(folder.path()).unwrap().head(), 10);
}

/// What merely is left over of a lock goes soon: it is no other daemon.
#[test]
fn a_lock_that_is_let_go_soon_is_waited_for() {
    for name in ["lock", "log/db"] {
        let folder = filled();
        let locked = folder.path().join(name);
        let left_over = fs::File::open(&locked).unwrap();
        flock(&left_over, FlockOperation::LockExclusive).unwrap();
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, &locked, inotify::WatchFlags::OPEN).unwrap();
        let path = folder.path().to_owned();
        let opening = thread::spawn(move || open(&path).map(|journal| journal.head()));
        rustix::io::read(&watch, &mut [0; 1024]).unwrap();
        drop(left_over);
        assert_eq!(opening.join().unwrap().unwrap(), 10, "{name}");
    }
}

/// A child process that is just being started has a copy of every open file, locks included.
#[test]
fn children_being_started_do_not_keep_a_folder_locked() {
    let folder = filled();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let child = Command::new("true").status();
                    assert!(child.unwrap().success());
                }
            });
        }
        let opened: Vec<_> = (0..40).map(|_| open(folder.path()).map(drop)).collect();
        done.store(true, Ordering::Relaxed);
        for result in opened {
            result.unwrap();
        }
    });
}

#[test]
fn another_format_is_refused() {
    let folder = filled();
    let marker = folder.path().join("marker.json");
    fs::write(&marker, r#"{"version":2,"somethingElse":true}"#).unwrap();
    let OpenError::OtherVersion { found: 2, known: 1 } = refusal(folder.path()) else {
        panic!("another refusal");
    };
    fs::write(&marker, "{").unwrap();
    assert!(matches!(
        refusal(folder.path()),
        OpenError::DamagedMarker(_)
    ));
}

#[test]
fn a_missing_log_is_not_taken_for_a_new_one() {
    let folder = filled();
    let log = folder.path().join("log");
    fs::remove_dir_all(&log).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Missing { .. }));
    // Nor is an empty one, or that of another folder.
    raw(folder.path()).insert("x", "y").unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Missing { .. }));
    let other = filled();
    fs::remove_dir_all(&log).unwrap();
    fs::rename(other.path().join("log"), &log).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Missing { .. }));
}

#[test]
fn a_log_without_marker_is_not_taken_over() {
    let folder = filled();
    fs::remove_file(folder.path().join("marker.json")).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::MissingMarker));
}

#[test]
fn a_beginning_that_was_cut_short_begins_anew() {
    let folder = TempDir::new().unwrap();
    let log = raw(folder.path());
    log.insert("log", "01J0000000000000000000000X").unwrap();
    drop(log);
    let journal = open(folder.path()).unwrap();
    assert!(journal.report().created);
    assert_ne!(journal.reader().log_id(), "01J0000000000000000000000X");
}

#[test]
fn bad_snapshot_files_are_removed() {
    for (name, bytes) in [
        ("snap.0000000000000000.generating", &b"half"[..]),
        ("snap.FFFFFFFFFFFFFFF0", b""),
        (
            "snap.FFFFFFFFFFFFFFF0",
            b"no snapshot, but long enough to be read as one",
        ),
    ] {
        let folder = filled();
        let path = folder.path().join("log").join(name);
        fs::write(&path, bytes).unwrap();
        let journal = open(folder.path()).unwrap();
        assert!(journal.report().snapshots_removed > 0, "{name}");
        assert_eq!(journal.head(), 10);
        assert!(!path.exists());
    }
}

#[test]
fn a_nearly_full_disk_is_noticed() {
    let folder = TempDir::new().unwrap();
    let options = Options {
        least_free_bytes: u64::MAX,
        ..Options::default()
    };
    let journal = SledJournal::open(folder.path(), &options).unwrap();
    assert!(journal.is_low_on_space());
}
