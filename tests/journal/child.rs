//! A child process that appends and says what was acknowledged, to be stopped or killed.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use opstead::journal::{Journal, Options, Reader, SledJournal};
use opstead_core::Cursor;
use tempfile::TempDir;

use crate::folder::open;
use crate::samples::{append, ends, id, noise, registrations};

const FOLDER: &str = "OPSTEAD_TEST_JOURNAL_FOLDER";
const ACKNOWLEDGED: &str = "acknowledged ";

/// Not a test: what the child runs. Returns at once elsewhere.
#[test]
fn appends_for_ever() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut journal = SledJournal::open(Path::new(&folder), &Options::default()).unwrap();
    loop {
        for block in blocks_after(journal.head()) {
            append(&mut journal, &block);
            println!("{ACKNOWLEDGED}{}", journal.head());
        }
    }
}

/// Blocks of all sizes, the last of them ending what the others registered.
fn blocks_after(head: Cursor) -> Vec<std::sync::Arc<opstead::journal::Block>> {
    let mut blocks = Vec::new();
    let mut first = head + 1;
    for bytes in [100, 20_000, 300, 200_000, 5_000, 10] {
        blocks.push(registrations(first, 2, &noise(first, bytes)));
        first += 2;
    }
    let sequences: Vec<Cursor> = (head + 1..first).collect();
    blocks.push(ends(first, &sequences));
    blocks
}

/// Checks that everything up to `acknowledged` is there, archive included, and that the journal
/// can be written again.
pub(crate) fn check_all_is_there(folder: &Path, acknowledged: Cursor) {
    let mut journal = open(folder).unwrap();
    assert!(
        journal.head() >= acknowledged,
        "{} < {acknowledged}",
        journal.head()
    );
    let reader = journal.reader();
    let mut head = 0;
    while head < journal.head() {
        for block in blocks_after(head) {
            if head < journal.head() {
                check_block(&*reader, &block);
                head = block.last();
            }
        }
    }
    append(&mut journal, &registrations(head + 1, 1, &noise(1, 10)));
}

fn check_block(reader: &dyn Reader, block: &opstead::journal::Block) {
    let found = reader.read(block.first - 1, 0).unwrap();
    assert!(found[0].first == block.first && found[0].events == block.events);
    for operation in &block.ended {
        let found = reader.ended(&id(operation.subject.sequence)).unwrap();
        assert!(found.as_ref() == Some(operation));
    }
}

/// The child, killed when dropped.
pub(crate) struct Appender {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Appender {
    pub(crate) fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child::appends_for_ever", "--exact", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The cursor of the next acknowledged append; nothing when the child is gone.
    pub(crate) fn acknowledged(&mut self) -> Option<Cursor> {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find_map(|line| Some(line.split_once(ACKNOWLEDGED)?.1.parse().unwrap()))
    }

    /// Kills it, and gives the last cursor that was acknowledged before.
    pub(crate) fn kill(&mut self) -> Option<Cursor> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.acknowledged()).last()
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    for round in 0..4 {
        let folder = folder.path().join(round.to_string());
        let mut appender = Appender::start(&folder);
        let mut acknowledged = 0;
        for _ in 0..20 + 13 * round {
            acknowledged = appender.acknowledged().unwrap();
        }
        acknowledged = appender.kill().unwrap_or(acknowledged);
        check_all_is_there(&folder, acknowledged);
        // Values are cut so small that sled never puts a page beside its log.
        let mut blobs = std::fs::read_dir(folder.join("log/blobs")).unwrap();
        assert!(blobs.next().is_none());
    }
}
