//! The guard of a program: a small process between the daemon and the program, which sees to it
//! that nothing of the program is left when the attempt is over, also when the daemon is killed.
//!
//! This file is what the daemon knows of it: how it is started, what it is told and what it
//! reports. `guard/process.rs` is the guard itself. They speak over the guard's own streams:
//!
//! | stream | |
//! | --- | --- |
//! | standard input | [`STOP`] asks for the end of the program, in its time; the end of the stream is the end of the daemon or of its patience, and kills at once |
//! | standard output | one [`Report`] when nothing is left |
//! | standard error | what the program writes to its standard output and standard error |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::GUARD_VARIABLE;

mod descendants;

mod process;
pub use process::guard;

/// The command of our own program that is the guard.
const COMMAND: &str = "guard";

/// Asks the guard to end the program with SIGTERM and, after its time, with SIGKILL.
const STOP: u8 = b'S';

/// How long a program that was ended from outside is not yet taken for failed: the same hand may be
/// ending the daemon.
pub(in crate::subsystems) const DOUBT: Duration = Duration::from_secs(2);

/// The signal by which services are ended.
const SIGTERM: i32 = 15;

/// A guard that runs.
pub(in crate::subsystems) struct Guard {
    child: Child,
    /// None once it is told to kill.
    control: Option<ChildStdin>,
}

/// Where a guard reports.
pub(in crate::subsystems) struct ReportStream(ChildStdout);

/// What a guard is to run.
pub(in crate::subsystems) struct Ward<'a> {
    pub(in crate::subsystems) path: &'a Path,
    pub(in crate::subsystems) arguments: Vec<String>,
    /// Nothing else is inherited.
    pub(in crate::subsystems) environment: BTreeMap<OsString, OsString>,
    /// How long the program has after SIGTERM.
    pub(in crate::subsystems) kill_after: Duration,
    /// Where it works.
    pub(in crate::subsystems) folder: &'a Path,
}

/// What became of a program. When it is written, nothing of the program is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::subsystems) struct Report {
    pub(in crate::subsystems) end: End,
    /// The program was asked to end before it did.
    pub(in crate::subsystems) stopped: bool,
    /// Somebody else told the guard to end: perhaps everything around the daemon ends.
    pub(in crate::subsystems) told_to_end: bool,
    /// How many processes the program left running, which were killed.
    pub(in crate::subsystems) left: u32,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::subsystems) enum End {
    /// It never ran: the system's error number.
    NotStarted(i32),
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Guard {
    /// Starts a guard, which starts the program. With it come the program's output and the guard's
    /// report.
    pub(in crate::subsystems) fn spawn(
        guard: &Path,
        ward: Ward<'_>,
    ) -> io::Result<(Self, ChildStderr, ReportStream)> {
        let mut child = Command::new(guard)
            .arg(COMMAND)
            .arg(ward.kill_after.as_millis().to_string())
            .arg(ward.path)
            .args(ward.arguments)
            .env_clear()
            .envs(ward.environment)
            .env(GUARD_VARIABLE, "1")
            .current_dir(ward.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(control), Some(report), Some(output)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were asked for");
        };
        let guard = Self {
            child,
            control: Some(control),
        };
        Ok((guard, output, ReportStream(report)))
    }

    /// Asks for the end of the program; after its time it is killed.
    pub(in crate::subsystems) async fn stop(&mut self) {
        if let Some(control) = &mut self.control {
            // The guard may have ended, and then there is nothing to end.
            let _ = control.write_all(&[STOP]).await;
        }
    }

    /// Ends the program at once.
    pub(in crate::subsystems) fn kill(&mut self) {
        self.control = None;
    }

    /// Whether it was told so.
    pub(in crate::subsystems) fn is_to_kill(&self) -> bool {
        self.control.is_none()
    }

    /// Waits until the guard itself has ended.
    pub(in crate::subsystems) async fn wait(&mut self) {
        // It can only fail for what is no child of ours.
        let _ = self.child.wait().await;
    }
}

impl Report {
    /// Whether somebody who does not work for us may have ended the program.
    pub(in crate::subsystems) fn is_of_end_from_outside(&self) -> bool {
        self.stopped && self.told_to_end || self.end == End::Killed(SIGTERM)
    }
}

impl ReportStream {
    /// Waits for the report; none means that the guard was killed.
    pub(in crate::subsystems) async fn report(mut self) -> Option<Report> {
        let mut text = Vec::new();
        self.0.read_to_end(&mut text).await.ok()?;
        serde_json::from_slice(&text).ok()
    }
}
