//! Processes of earlier attempts that outlived daemon and guard. They are known by a mark in their
//! environment, which every process hands on to those that it starts.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::GUARD_VARIABLE;

/// The variable that says whose process it is.
pub(in crate::subsystems) const FOLDER_VARIABLE: &str = "OPSTEAD_FOLDER";

/// How long a guard may take to do the same by itself: its daemon is gone, so it kills at once.
const GUARD_PATIENCE: Duration = Duration::from_secs(1);

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which data folder a process belongs to: device and inode, which two folders never share and
/// which stay when a folder is renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::subsystems) struct FolderMark(String);

/// A process that bears the marks.
struct Marked {
    pid: Pid,
    descriptor: OwnedFd,
    is_guard: bool,
}

impl FolderMark {
    pub(in crate::subsystems) fn of(folder: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(folder)?;
        Ok(Self(format!("{}:{}", metadata.dev(), metadata.ino())))
    }

    pub(in crate::subsystems) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ends every process that bears all these variables, and waits until they are gone. Blocks.
///
/// Fails if one of them cannot be ended.
pub(in crate::subsystems) fn end_leftovers(marks: &[(&str, &str)]) -> io::Result<()> {
    let began = Instant::now();
    let mut left: Vec<Marked> = Vec::new();
    loop {
        left.extend(find(marks)?);
        if left.is_empty() {
            return Ok(());
        }
        let guards_have_time = began.elapsed() < GUARD_PATIENCE;
        for process in &left {
            if !(process.is_guard && guards_have_time) {
                process.kill();
            }
        }
        let patience = if guards_have_time {
            GUARD_PATIENCE
        } else {
            PATIENCE
        };
        left = not_ended(left, began + patience)?;
        if !left.is_empty() && began.elapsed() >= PATIENCE {
            let pids: Vec<String> = left.iter().map(Marked::to_string).collect();
            return Err(io::Error::other(format!(
                "an earlier attempt left running what cannot be ended: process {}",
                pids.join(", ")
            )));
        }
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

/// Waits until all have ended, or until that moment; returns those that have not.
fn not_ended(processes: Vec<Marked>, until: Instant) -> io::Result<Vec<Marked>> {
    let mut left = Vec::new();
    for process in processes {
        if !process.ends(until.saturating_duration_since(Instant::now()))? {
            left.push(process);
        }
    }
    Ok(left)
}

impl Marked {
    fn kill(&self) {
        tracing::warn!(pid = %self, "ending what an earlier attempt left running");
        // It may have ended, or may not be ended, and then it is waited for.
        let _ = pidfd_send_signal(&self.descriptor, Signal::KILL);
    }

    /// Waits for its end. Says whether it came.
    fn ends(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut ended = [PollFd::new(&self.descriptor, PollFlags::IN)];
        match poll(&mut ended, Some(&timeout)) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.as_raw_pid().fmt(formatter)
    }
}
