//! Running a program to its end, in a process group of its own that is killed when the attempt it
//! works for is over.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::error::StorageError;
use super::job::Job;

/// How a program ended, and the last it wrote.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// What is kept of a stream: the end of it.
const KEPT_BYTES: usize = 64 << 10;

/// Runs the program, handing on what it writes to standard output as it comes. The outer error is
/// that the attempt was told to stop, and nothing is left of the program then; the inner one that
/// it could not be started or waited for.
pub(super) fn run(
    mut command: Command,
    job: &Job,
    mut on_output: impl FnMut(&[u8]),
) -> Result<io::Result<Ended>, StorageError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let _entered = job.runtime().enter();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(error)),
    };
    let outcome = job.wait_for(follow(&mut child, &mut on_output));
    if outcome.is_err() {
        kill(&mut child, job);
    }
    outcome
}

async fn follow(child: &mut Child, on_output: &mut impl FnMut(&[u8])) -> io::Result<Ended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(
        keep_end(stdout, on_output),
        keep_end(stderr, |_| {}),
        child.wait(),
    );
    Ok(Ended {
        status: status?,
        stdout: stdout?,
        stderr: stderr?,
    })
}

async fn keep_end(
    stream: Option<impl AsyncRead + Unpin>,
    mut on_output: impl FnMut(&[u8]),
) -> io::Result<String> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return Ok(String::new());
    };
    let mut chunk = [0; 4 << 10];
    loop {
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        on_output(&chunk[..length]);
        kept.extend_from_slice(&chunk[..length]);
        let over = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..over);
    }
}

/// Ends the program and waits for that.
fn kill(child: &mut Child, job: &Job) {
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(group) = group {
        // It may have ended meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = job.runtime().block_on(child.wait());
}
