//! Frozen samples: what version 1 wrote is read for ever. The files are never written again; a
//! new version gets files of its own beside them (`OPSTEAD_FREEZE=<folder>` writes samples of the
//! present version there).

use std::fs;
use std::path::Path;

use opstead::journal::{Journal, Options, SledJournal};
use opstead_core::checkpoint::Record;
use tempfile::TempDir;

use crate::folder::{open, raw};
use crate::samples::{append, ends, id, kwargs, operation, registrations};

const LOG_ID: &str = "01KAPX0000000000000000000A";

/// Values as they lie in sled, with their keys.
const VALUES: [(&str, &[u8], &[u8]); 3] = [
    (
        "block-1",
        b"b\0\0\0\0\0\0\0\x01\0\0\0\0",
        include_bytes!("frozen/v1-block-1.bin"),
    ),
    (
        "block-4",
        b"b\0\0\0\0\0\0\0\x04\0\0\0\0",
        include_bytes!("frozen/v1-block-4.bin"),
    ),
    (
        "archive-4",
        b"a\0\0\0\0\0\0\0\x04\0\0\0\0",
        include_bytes!("frozen/v1-archive-4.bin"),
    ),
];

const CHECKPOINT: &[u8] = include_bytes!("frozen/v1-checkpoint.bin");

fn records() -> Vec<Record> {
    vec![
        Record::Head(5),
        Record::Operation(operation(1, 1, kwargs())),
    ]
}

fn thaw(with_checkpoint: bool) -> (TempDir, SledJournal) {
    let folder = TempDir::new().unwrap();
    let log = raw(folder.path());
    log.insert("log", LOG_ID).unwrap();
    for (_, key, value) in VALUES {
        log.insert(key, value).unwrap();
    }
    drop(log);
    let marker = format!(r#"{{"version":1,"logId":"{LOG_ID}","acknowledged":5}}"#);
    fs::write(folder.path().join("marker.json"), marker).unwrap();
    if with_checkpoint {
        let name = format!("checkpoint.{:020}", 5);
        fs::write(folder.path().join(name), CHECKPOINT).unwrap();
    }
    let journal = open(folder.path()).unwrap();
    (folder, journal)
}

#[test]
fn version_1_is_read() {
    for with_checkpoint in [false, true] {
        let (_folder, journal) = thaw(with_checkpoint);
        let reader = journal.reader();
        let blocks = reader.read(0, 1 << 20).unwrap();
        assert_eq!(blocks[0].events, registrations(1, 3, &kwargs()).events);
        assert_eq!(blocks[1].events, ends(4, &[2, 3]).events);
        let ended = reader.ended(&id(3)).unwrap().unwrap();
        assert_eq!(ended, operation(3, 5, kwargs()));
        let checkpoint = reader.checkpoint().unwrap();
        assert_eq!(checkpoint.is_some(), with_checkpoint);
        if let Some(checkpoint) = checkpoint {
            let found: Vec<Record> = checkpoint.records.collect::<Result<_, _>>().unwrap();
            assert_eq!(found, records());
        }
    }
}

/// Not a test: writes samples of the present version.
#[test]
fn freeze() {
    let Some(samples) = std::env::var_os("OPSTEAD_FREEZE") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let log = raw(folder.path());
    log.insert("log", LOG_ID).unwrap();
    drop(log);
    let marker = format!(r#"{{"version":1,"logId":"{LOG_ID}","acknowledged":0}}"#);
    fs::write(folder.path().join("marker.json"), marker).unwrap();
    let mut journal = SledJournal::open(folder.path(), &Options::default()).unwrap();
    append(&mut journal, &registrations(1, 3, &kwargs()));
    append(&mut journal, &ends(4, &[2, 3]));
    let write = journal
        .reader()
        .write_checkpoint(5, &mut records().into_iter());
    write.unwrap();
    drop(journal);
    let samples = Path::new(&samples);
    let log = raw(folder.path());
    for (name, key, _) in VALUES {
        let value = log.get(key).unwrap().unwrap();
        fs::write(samples.join(format!("v1-{name}.bin")), value).unwrap();
    }
    let checkpoint = folder.path().join(format!("checkpoint.{:020}", 5));
    fs::copy(checkpoint, samples.join("v1-checkpoint.bin")).unwrap();
}
