//! What must survive a power cut, and a full disk. Needs root; says so and passes elsewhere.

use opstead::journal::{AppendError, Journal};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::child::{Appender, check_all_is_there};
use crate::folder::open;
use crate::power_cut::Disk;
use crate::samples::{noise, registrations};

fn disk(mebibytes: u64) -> Option<Disk> {
    Disk::new(mebibytes)
        .inspect_err(|reason| println!("skipped: no disk image could be mounted: {reason}"))
        .ok()
}

fn rounds() -> u64 {
    let rounds = std::env::var("OPSTEAD_POWER_CUTS").ok();
    rounds.map_or(3, |rounds| rounds.parse().unwrap())
}

/// "It is answered only when the operation is on disk", which means more than in the kernel's
/// hands.
#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let Some(first) = disk(256) else {
        return;
    };
    drop(first);
    for round in 0..rounds() {
        let disk = disk(256).unwrap();
        let folder = disk.path().join("data");
        let mut appender = Appender::start(&folder);
        let mut acknowledged = 0;
        for _ in 0..1 + round * 29 % 200 {
            acknowledged = appender.acknowledged().unwrap();
        }
        let process = Pid::from_child(&appender.child);
        kill_process(process, Signal::STOP).unwrap();
        waitpid(Some(process), WaitOptions::UNTRACED).unwrap();
        let cut = disk.cut().unwrap();
        acknowledged = appender.kill().unwrap_or(acknowledged);
        check_all_is_there(&cut.path().join("data"), acknowledged);
        println!("power cut {round}: all up to cursor {acknowledged} is there");
    }
}

/// Law 3: a failed write is never guessed about, and what was acknowledged stays.
#[test]
fn a_full_disk_fails_for_good_and_keeps_what_was_acknowledged() {
    let Some(disk) = disk(24) else {
        return;
    };
    let folder = disk.path().join("data");
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; 4 << 20]).unwrap();
    let mut journal = open(&folder).unwrap();
    assert!(journal.is_low_on_space());
    let mut failed = Ok(0);
    while failed.is_ok() {
        let head = journal.head();
        failed = journal.append(head, &registrations(head + 1, 1, &noise(head, 100_000)));
    }
    let acknowledged = journal.head();
    for _ in 0..2 {
        let again = journal.append(
            acknowledged,
            &registrations(acknowledged + 1, 1, &noise(1, 1)),
        );
        assert!(matches!(again, Err(AppendError::Storage(_))));
    }
    drop(journal);
    std::fs::remove_file(filler).unwrap();
    let journal = open(&folder).unwrap();
    assert!(journal.head() >= acknowledged && acknowledged > 0);
    assert_eq!(
        journal.reader().read(0, usize::MAX).unwrap().len() as u64,
        journal.head()
    );
}
