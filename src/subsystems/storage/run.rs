//! Running a program to its end, for an attempt and never longer than that.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::ChildStderr;

use super::error::{StorageError, during};
use super::job::Job;
use super::pool::Pool;
use crate::subsystems::process::{
    ATTEMPT_VARIABLE, DOUBT, End, FOLDER_VARIABLE, Guard, OPERATION_VARIABLE, Report, ReportStream,
    Ward, end_leftovers,
};

/// A program and where it works.
pub(super) struct Run<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<String>,
    /// Whose folder it works in.
    pub(super) pool: &'a Pool,
    /// Our own program, which guards it.
    pub(super) guard: &'a Path,
    pub(super) job: &'a Job,
}

/// How a program ended, and the last it wrote.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) output: String,
}

/// What is kept of the output: the end of it.
const KEPT_BYTES: usize = 64 << 10;

impl Run<'_> {
    /// Runs the program, handing on what it writes as it comes. When this returns, nothing is left of
    /// it, also where the attempt was told to stop.
    pub(super) fn until_end(self, on_output: impl FnMut(&[u8])) -> Result<Ended, StorageError> {
        let (job, pool) = (self.job, self.pool);
        let attempt = job.attempt().to_string();
        let marks = [
            (FOLDER_VARIABLE, pool.mark.as_str()),
            (OPERATION_VARIABLE, job.operation_id()),
            (ATTEMPT_VARIABLE, &attempt),
        ];
        let entered = job.runtime().enter();
        let (mut guard, output, report) = self
            .start(&marks)
            .map_err(during("starting a guard for the program"))?;
        drop(entered);
        let followed = job.wait_for(follow(output, report, on_output));
        guard.kill();
        job.runtime().block_on(guard.wait());
        let (report, output) = followed?;
        let Some(report) = report else {
            end_leftovers(&marks).map_err(during("ending a program that lost its guard"))?;
            let lost = io::Error::other("its guard was ended from outside");
            return Err(during("running the program")(lost));
        };
        if report.is_of_end_from_outside() {
            job.wait_for(tokio::time::sleep(DOUBT))?;
        }
        let output = output.map_err(during("reading what the program writes"))?;
        Ok(Ended {
            end: report.end,
            output,
        })
    }

    fn start(self, marks: &[(&str, &str)]) -> io::Result<(Guard, ChildStderr, ReportStream)> {
        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let marks = marks.iter().copied();
        // Its words are read, so they must be the ones that are expected.
        for (name, value) in marks.chain([("LC_ALL", "C")]) {
            environment.insert(name.into(), value.into());
        }
        let ward = Ward {
            path: self.program,
            arguments: self.arguments,
            environment,
            kill_after: Duration::ZERO,
            folder: &self.pool.path(),
        };
        Guard::spawn(self.guard, ward)
    }
}

/// Reads until nothing is left of the program. A program that has lost its guard is not waited for.
async fn follow(
    output: ChildStderr,
    report: ReportStream,
    on_output: impl FnMut(&[u8]),
) -> (Option<Report>, io::Result<String>) {
    let report = report.report();
    let output = keep_end(output, on_output);
    tokio::pin!(report, output);
    tokio::select! {
        reported = &mut report => match reported {
            Some(reported) => (Some(reported), output.await),
            None => (None, Ok(String::new())),
        },
        written = &mut output => (report.await, written),
    }
}

async fn keep_end(
    mut stream: impl AsyncRead + Unpin,
    mut on_output: impl FnMut(&[u8]),
) -> io::Result<String> {
    let mut kept = Vec::new();
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
