//! `journal`: a stopped daemon's folder, looked into without a change.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{Daemon, Ran, Running, program};

/// So many pieces of 64 KiB are 4 GiB, which takes longer to copy than a signal to arrive.
const MOST_PIECES: usize = 65_536;

/// A stopped daemon's folder: `storage.Image.a` was created, `diagnostic.wait` was running.
struct Stopped {
    daemon: Daemon,
    /// Where copies are made.
    temporary: TempDir,
}

impl Stopped {
    fn new() -> Self {
        let mut daemon = Daemon::start();
        let create = ["call", "storage.createImage", "image=a", "sizeBytes=4096"];
        daemon.json(&[&create[..], &["--id", "create-a", "--wait"]].concat());
        daemon.hold("held", "a", "read");
        daemon.kill();
        Self {
            daemon,
            temporary: TempDir::new().unwrap(),
        }
    }

    fn data(&self) -> PathBuf {
        self.daemon.folder().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .arg("journal")
            .arg(self.data())
            .args(arguments)
            .env("TMPDIR", self.temporary.path());
        command
    }

    /// Runs it; the folder must be as it was, and no copy be left.
    fn run(&self, arguments: &[&str]) -> Ran {
        let before = contents(&self.data());
        let ran = Ran::of(&mut self.command(arguments));
        assert!(contents(&self.data()) == before, "something was changed");
        assert_eq!(fs::read_dir(self.temporary.path()).unwrap().count(), 0);
        ran
    }

    fn json_lines(&self, arguments: &[&str]) -> Vec<Value> {
        let ran = self.run(&[arguments, &["--json"]].concat());
        let lines = ran.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.is_file() {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn it_tells_what_a_stopped_daemon_has_left() {
    let mut stopped = Stopped::new();
    let ran = stopped.run(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let lines = ran.lines();
    let interrupted = "Interrupted held (diagnostic.wait) in attempt 1: its method lets it be tried \
                       again";
    assert!(lines.iter().any(|line| line == interrupted), "{lines:#?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains(": 1 running, 1 completed;")),
        "{lines:#?}"
    );

    let summary = stopped.run(&["--json"]).document();
    assert_eq!(summary["nextStart"], serde_json::json!({}));
    assert_eq!(summary["damage"], serde_json::json!([]));
    assert_eq!(summary["state"]["cursor"], summary["cursor"]);
    assert!(summary["sizes"]["logBytes"].as_u64().unwrap() > 0);
    // The daemon says the same when it is back.
    stopped.daemon.start_again();
    let status = stopped.daemon.json(&["status"]);
    assert_eq!(status["logId"], summary["logId"]);
    let ran = Ran::of(&mut stopped.command(&[]));
    assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{ran:?}");
    assert!(ran.stderr.contains("a daemon runs on "), "{ran:?}");
}

#[test]
fn events_are_chosen_by_place_number_name_and_operation() {
    let stopped = Stopped::new();
    let cursors = |events: &[Value]| -> Vec<u64> {
        let cursors = events.iter().map(|event| event["cursor"].as_u64().unwrap());
        cursors.collect()
    };
    let all = stopped.json_lines(&["--after", "0"]);
    assert_eq!(cursors(&all), (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!(all[0]["event"], "capacity");
    let some = stopped.run(&["--after", "2", "--limit", "3", "--json"]);
    let numbers = some.stdout.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["cursor"].as_u64().unwrap()
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [3, 4, 5]);
    assert!(some.stderr.contains("go on with --after 5"), "{some:?}");

    let named = stopped.json_lines(&["storage.Image.[ab]"]);
    assert_eq!(named[0]["event"], "registered");
    assert!(
        named
            .iter()
            .all(|event| event["alertName"] == "storage.Image.a")
    );
    assert_eq!(
        named,
        stopped.json_lines(&["storage[.]Image[.](a|b)", "--type", "regexp"])
    );

    let story = stopped.json_lines(&["--id", "create-a"]);
    assert_eq!(story[0]["state"], "completed", "its record");
    assert_eq!(story[1..], named);
    let held = stopped.json_lines(&["--id", "held"]);
    assert_eq!(held[0]["state"], "running");
    let ran = stopped.run(&["--id", "never"]);
    assert!(ran.stderr.contains("No operation never is kept"), "{ran:?}");
    let ran = stopped.run(&["a[b"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
}

#[test]
fn a_table_has_a_line_for_each_event() {
    let stopped = Stopped::new();
    let lines = stopped.run(&["storage.*", "--limit", "2"]).lines();
    let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    assert_eq!(words[0][2..], ["registered", "storage.Image.a", "Waiting"]);
    assert_eq!(words[1][2..4], ["started", "storage.Image.a"]);
    let story = stopped.run(&["--id", "create-a"]).lines();
    assert_eq!(story[0], "Id create-a");
}

#[test]
fn damage_is_told_and_ends_it_with_1() {
    let stopped = Stopped::new();
    let marker = stopped.data().join("marker.json");
    let aside = stopped.data().join("aside");
    fs::rename(&marker, &aside).unwrap();
    let ran = stopped.run(&[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("marker.json is missing"), "{ran:?}");
    assert!(
        ran.lines()
            .iter()
            .any(|line| line.contains("1 running, 1 completed")),
        "{ran:?}"
    );
    let events = stopped.run(&["storage.*", "--json"]);
    assert_eq!(events.code, 1);
    assert!(events.stdout.lines().count() > 2);
    assert!(events.stderr.contains("would not start"), "{events:?}");

    // Without a marker a database in which nothing is found may be that of a first start.
    let database = stopped.data().join("log/db");
    let mut bytes = fs::read(&database).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&database, bytes).unwrap();
    let ran = stopped.run(&["--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.document()["nextStart"]["beginsAnew"], true, "{ran:?}");
    fs::rename(&aside, &marker).unwrap();
    let ran = stopped.run(&["--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    assert!(
        ran.document()["nextStart"]["refused"].is_string(),
        "{ran:?}"
    );
}

/// The copy goes also when it is broken off in the middle, by Ctrl-C or with its terminal.
#[test]
fn what_breaks_it_off_leaves_no_copy() {
    let stopped = Stopped::new();
    // Copying it goes on for as long as somebody writes.
    let pipe = stopped.data().join("log/pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for signal in [Signal::INT, Signal::HUP] {
        let journal = Running::of(&mut stopped.command(&[]));
        let mut endless = fs::File::options().write(true).open(&pipe).unwrap();
        assert_eq!(fs::read_dir(stopped.temporary.path()).unwrap().count(), 1);
        journal.signal(signal);
        // It ends with an error when nobody reads any more; a defect is not to fill the disk.
        let _nobody_reads = (0..MOST_PIECES).try_for_each(|_| endless.write_all(&[0; 65_536]));
        drop(endless);
        let ran = journal.end();
        assert_eq!(ran.code, 130, "{ran:?}");
        assert_eq!(fs::read_dir(stopped.temporary.path()).unwrap().count(), 0);
    }
}
