//! Processes of earlier attempts that outlived daemon and guard. They are known by a mark in their
//! environment, which every process hands on to those that it starts.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::guard::GUARD_VARIABLE;

/// The variable that says whose process it is.
pub(super) const FOLDER_VARIABLE: &str = "OPSTEAD_EXEC_FOLDER";

/// How long a guard may take to do the same by itself: its daemon is gone, so it kills at once.
const GUARD_PATIENCE: Duration = Duration::from_secs(1);

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one look waits for those that it found.
const LOOK: Duration = Duration::from_millis(100);

/// Which data folder a process belongs to: device and inode, which two folders never share and
/// which stay when a folder is renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FolderMark(String);

/// A process that bears the marks.
struct Marked {
    pid: Pid,
    descriptor: OwnedFd,
    is_guard: bool,
}

impl FolderMark {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(folder)?;
        Ok(Self(format!("{}:{}", metadata.dev(), metadata.ino())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ends every process that bears all these variables, and waits until they are gone. Blocks.
///
/// Fails if one of them cannot be ended.
pub(super) fn end_leftovers(marks: &[(&str, &str)]) -> io::Result<()> {
    let began = Instant::now();
    loop {
        let found = find(marks)?;
        if found.is_empty() {
            return Ok(());
        }
        let guards_have_time = began.elapsed() < GUARD_PATIENCE;
        for process in &found {
            if !(process.is_guard && guards_have_time) {
                tracing::warn!(
                    pid = process.pid.as_raw_pid(),
                    "ending what an earlier attempt left running"
                );
                // Who cannot be ended is still there at the next look.
                let _ = pidfd_send_signal(&process.descriptor, Signal::KILL);
            }
        }
        if began.elapsed() > PATIENCE {
            let pids: Vec<String> = found
                .iter()
                .map(|process| process.pid.as_raw_pid().to_string())
                .collect();
            return Err(io::Error::other(format!(
                "an earlier attempt left running what cannot be ended: process {}",
                pids.join(", ")
            )));
        }
        wait_for(&found)?;
    }
}

fn find(marks: &[(&str, &str)]) -> io::Result<Vec<Marked>> {
    let marks: Vec<Vec<u8>> = marks
        .iter()
        .map(|(name, value)| format!("{name}={value}").into_bytes())
        .collect();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = pid(&entry?.file_name());
        if let Some(pid) = pid.filter(|pid| *pid != getpid()) {
            found.extend(examine(pid, &marks));
        }
    }
    Ok(found)
}

fn pid(name: &OsStr) -> Option<Pid> {
    Pid::from_raw(std::str::from_utf8(name.as_bytes()).ok()?.parse().ok()?)
}

/// Looks whether a process bears the marks. Nobody may look at foreign ones, and they are none of
/// ours.
fn examine(pid: Pid, marks: &[Vec<u8>]) -> Option<Marked> {
    let path = format!("/proc/{}/environ", pid.as_raw_pid());
    if !bears(&fs::read(&path).ok()?, marks) {
        return None;
    }
    // Looked at again behind the descriptor: the number may have become somebody else's.
    let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let environment = fs::read(&path).ok()?;
    let is_guard = environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| variable.strip_prefix(GUARD_VARIABLE.as_bytes()))
        .any(|rest| rest.starts_with(b"="));
    bears(&environment, marks).then_some(Marked {
        pid,
        descriptor,
        is_guard,
    })
}

fn bears(environment: &[u8], marks: &[Vec<u8>]) -> bool {
    let variables: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
    marks
        .iter()
        .all(|mark| variables.contains(&mark.as_slice()))
}

/// Waits a moment for all of these to end.
fn wait_for(processes: &[Marked]) -> io::Result<()> {
    let until = Instant::now() + LOOK;
    for process in processes {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut ended = [PollFd::new(&process.descriptor, PollFlags::IN)];
        match poll(&mut ended, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
