//! Processes that work in a folder: found by their working directory, and waited for.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that worked there when it was looked for.
pub(crate) struct Working {
    pub(crate) name: String,
    descriptor: OwnedFd,
}

/// Every process that works in a folder now.
pub(crate) fn working_in(folder: &Path) -> Vec<Working> {
    let folder = folder.canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| Working::look(&entry.unwrap().path(), &folder))
        .collect()
}

impl Working {
    fn look(process: &Path, folder: &Path) -> Option<Self> {
        let works_there = || fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
        if !works_there() {
            return None;
        }
        let pid = Pid::from_raw(process.file_name()?.to_str()?.parse().ok()?)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let name = fs::read_to_string(process.join("comm")).ok()?;
        // Behind the descriptor it is looked at again: the number may be another's by now.
        works_there().then(|| Self {
            name: name.trim().to_owned(),
            descriptor,
        })
    }

    /// Ends it, if it has not ended.
    pub(crate) fn kill(&self) {
        let _ = pidfd_send_signal(&self.descriptor, Signal::KILL);
    }

    /// Asks it to end, as whoever ends a service asks all of its processes.
    pub(crate) fn terminate(&self) {
        let _ = pidfd_send_signal(&self.descriptor, Signal::TERM);
    }

    /// Waits until it has ended.
    pub(crate) fn gone(self) {
        let mut ended = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let never = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        let count = poll(&mut ended, Some(&never)).unwrap();
        assert_eq!(count, 1, "{} goes on", self.name);
    }
}
