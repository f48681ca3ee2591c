//! The demo's daemon: this very program, as a process of its own.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use opstead_client::Target;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::folder::Folder;
use crate::cli::connection::SOCKET;
use crate::cli::error::CliError;

/// How long a start may take.
const START: Duration = Duration::from_secs(20);
/// How long an orderly end may take, by the daemon's own promise.
const END: Duration = Duration::from_secs(6);

/// A running daemon; dead when dropped.
pub(super) struct Daemon {
    process: Child,
    // Open for as long as the daemon runs, so that it can write.
    _stdout: BufReader<ChildStdout>,
}

impl Daemon {
    /// Starts it on the folder; returns when it says that it is ready.
    pub(super) async fn start(folder: &Folder) -> Result<Self, CliError> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.daemon_log())?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder.data())
            .arg("--config")
            .arg(folder.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let stdout = process.stdout.take().expect("it was asked to be piped");
        // The daemon is ended if it is not ready in time, which ends the reading thread too.
        let mut guard = Guard(Some(process));
        let reading = spawn_blocking(move || read_line(stdout));
        let (line, stdout) = match timeout(START, reading).await {
            Ok(read) => read.map_err(io::Error::other)??,
            Err(_) => {
                return Err(CliError::Demo(
                    "the daemon was not ready in time".to_owned(),
                ));
            }
        };
        if !line.starts_with("opstead is ready") {
            return Err(CliError::Demo("the daemon did not start".to_owned()));
        }
        let process = guard.0.take().expect("nobody else takes it");
        Ok(Self {
            process,
            _stdout: stdout,
        })
    }

    /// Where every daemon of this folder can be reached, also the next one.
    pub(super) fn target(folder: &Folder) -> Target {
        Target::Unix(folder.data().join(SOCKET))
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`: no warning, no clean-up. Returns when the process is gone.
    pub(super) fn kill(mut self) -> io::Result<()> {
        end(&mut self.process)
    }

    /// Asks it to end, as a service manager does.
    pub(super) async fn stop(mut self) -> Result<(), CliError> {
        if let Some(id) = Pid::from_raw(self.process.id().cast_signed()) {
            kill_process(id, Signal::TERM).map_err(io::Error::from)?;
        }
        let asked = Instant::now();
        while self.process.try_wait()?.is_none() {
            if asked.elapsed() > END {
                return Err(CliError::Demo(
                    "the daemon did not end when asked".to_owned(),
                ));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = end(&mut self.process);
    }
}

struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            let _ended = end(process);
        }
    }
}

fn end(process: &mut Child) -> io::Result<()> {
    process.kill()?;
    process.wait().map(|_| ())
}

fn read_line(stdout: ChildStdout) -> io::Result<(String, BufReader<ChildStdout>)> {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    Ok((line, stdout))
}
