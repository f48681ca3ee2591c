//! The guard itself: it runs one program, ends it when told to, waits until everything that the
//! program started is gone too, and reports.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, getrlimit, kill_process,
    kill_process_group, set_child_subreaper, setrlimit, setsid, wait,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::runtime::Builder;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep_until};

use super::descendants::descendants;
use super::{End, Report, STOP};
use crate::subsystems::process::GUARD_VARIABLE;

/// How long what a program left may take to end by itself, as a `tee` does that its shell did not
/// wait for.
const LINGER: Duration = Duration::from_millis(250);

/// How soon after a kill it is looked again for what was born meanwhile.
const AGAIN: Duration = Duration::from_millis(100);

/// How many open files programs expect to be allowed; who needs more can take more.
const OPEN_FILES: u64 = 1024;

/// A program that runs, or whose processes do.
struct Ward {
    pid: Pid,
    kill_after: Duration,
    /// How the program itself ended.
    end: Option<End>,
    stopped: bool,
    told_to_end: bool,
    left: u32,
    /// When everything is killed that still runs.
    kill_at: Option<Instant>,
}

/// What ends the guard if nobody listens to it.
struct Signals {
    child: unix::Signal,
    end: [unix::Signal; 3],
}

/// Runs a program, given with its arguments, as its guard. This is a process of its own: its
/// standard streams are the daemon's. The program has `kill_after` from SIGTERM on.
#[must_use]
pub fn guard(kill_after: Duration, program: &[OsString]) -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build();
    let report = runtime.and_then(|runtime| runtime.block_on(run(kill_after, program)));
    let written = report.and_then(|report| {
        let text = serde_json::to_vec(&report)?;
        io::stdout().write_all(&text)
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Among the program's output. The daemon takes note of the missing report, or is gone.
            let _ = writeln!(
                io::stderr(),
                "opstead: the guard of a program failed: {error}"
            );
            ExitCode::FAILURE
        }
    }
}

async fn run(kill_after: Duration, program: &[OsString]) -> io::Result<Report> {
    // Before there is a program, so that nothing of it is missed.
    let mut signals = Signals::new()?;
    // A session of its own: a Ctrl-C in the daemon's terminal is for the daemon, nobody asks for a
    // password there, and no group of a descendant is anybody else's.
    setsid()?;
    limit_open_files()?;
    set_child_subreaper(Some(getpid()))?;
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    let mut control = Some(pipe::Receiver::from_owned_fd(control)?);
    let mut ward = match Ward::start(kill_after, program) {
        Ok(ward) => ward,
        Err(error) => return Ok(Report::not_started(&error)),
    };
    while ward.reap()? {
        let mut byte = [0];
        tokio::select! {
            _ = signals.child.recv() => {}
            () = any(&mut signals.end) => {
                ward.told_to_end = true;
                ward.stop()?;
            }
            read = read(&mut control, &mut byte) => match read {
                Ok(1) if byte == [STOP] => ward.stop()?,
                _ => {
                    control = None;
                    ward.kill_at = Some(Instant::now());
                }
            },
            () = at(ward.kill_at) => ward.kill()?,
        }
    }
    ward.report()
}

impl Ward {
    fn start(kill_after: Duration, program: &[OsString]) -> io::Result<Self> {
        let (path, arguments) = program.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
        let child = Command::new(path)
            .args(arguments)
            .env_remove(GUARD_VARIABLE)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .spawn()?;
        Ok(Self {
            pid: Pid::from_child(&child),
            kill_after,
            end: None,
            stopped: false,
            told_to_end: false,
            left: 0,
            kill_at: None,
        })
    }

    /// Takes note of who has ended. Says whether anybody is left.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => {
                    self.end = Some(End::of(status));
                    self.kill_at.get_or_insert_with(|| Instant::now() + LINGER);
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(true),
                Err(rustix::io::Errno::CHILD) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks the program to end. One that has ended already is not asked, also if nobody took note
    /// of it yet.
    fn stop(&mut self) -> io::Result<()> {
        if self.reap()? && self.end.is_none() && !self.stopped {
            self.stopped = true;
            self.kill_at
                .get_or_insert_with(|| Instant::now() + self.kill_after);
            // The group is there as long as nobody took note of the program's end.
            let _ = kill_process_group(self.pid, Signal::TERM);
            // Who had gone into a group of its own is told there; nobody goes unseen in between.
            let own = [self.pid, getpid()].map(Pid::as_raw_pid);
            let groups: BTreeSet<i32> = descendants()?.iter().map(|one| one.group).collect();
            let away = groups.into_iter().filter(|group| !own.contains(group));
            for group in away.filter_map(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::TERM);
            }
        }
        Ok(())
    }

    /// Kills all that still runs, and looks again soon.
    fn kill(&mut self) -> io::Result<()> {
        let found = descendants()?;
        for process in &found {
            // It may have ended, or be another user's by now, and then it is waited for.
            let _ = kill_process(process.pid, Signal::KILL);
        }
        if self.end.is_some() && !self.stopped {
            let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
            self.left = self.left.max(count);
        }
        self.kill_at = Some(Instant::now() + AGAIN);
        Ok(())
    }

    fn report(self) -> io::Result<Report> {
        let end = self.end.ok_or(io::ErrorKind::NotFound)?;
        Ok(Report {
            end,
            stopped: self.stopped,
            told_to_end: self.told_to_end,
            left: self.left,
        })
    }
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            child: unix::signal(SignalKind::child())?,
            end: [
                unix::signal(SignalKind::terminate())?,
                unix::signal(SignalKind::interrupt())?,
                unix::signal(SignalKind::hangup())?,
            ],
        })
    }
}

impl End {
    fn of(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Self::Exited(status),
            (None, signal) => Self::Killed(signal.unwrap_or_default()),
        }
    }
}

impl Report {
    fn not_started(error: &io::Error) -> Self {
        Self {
            end: End::NotStarted(error.raw_os_error().unwrap_or_default()),
            stopped: false,
            told_to_end: false,
            left: 0,
        }
    }
}

/// The daemon takes as many as the system allows, and some programs go through all that they might
/// have open.
fn limit_open_files() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let lowered = Rlimit {
        current: limit
            .current
            .map(|current| current.min(OPEN_FILES))
            .or(Some(OPEN_FILES)),
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, lowered)?)
}

/// Reads a byte of what the daemon says; never, once it has said its last.
async fn read(control: &mut Option<pipe::Receiver>, byte: &mut [u8; 1]) -> io::Result<usize> {
    match control {
        Some(control) => control.read(byte).await,
        None => future::pending().await,
    }
}

/// Waits for the first of these signals.
async fn any([terminate, interrupt, hangup]: &mut [unix::Signal; 3]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
}

/// Waits for a moment; for ever if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
    }
}
