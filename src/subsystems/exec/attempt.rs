//! One attempt: a program under its guard, from its start until nothing of it is left.

use std::future::{self, Future};
use std::io;
use std::time::Duration;

use opstead_core::{InfoUpdate, Json};
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use super::Site;
use super::error::{ExecError, processes_left};
use super::output::{Output, Tail};
use super::program::Program;
use super::progress::ProgressReader;
use crate::engine::executor::TaskContext;
use crate::subsystems::process::{
    ATTEMPT_VARIABLE, DOUBT, End, FOLDER_VARIABLE, Guard, OPERATION_VARIABLE, Report, ReportStream,
    end_leftovers,
};

/// What is read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// How long a program waits that has filled a whole chunk: some 6 MB/s are read of it, so that one
/// that writes without end costs the daemon little.
const REST: Duration = Duration::from_millis(10);

/// How long the output is waited for when nothing of the program is left: somebody else may hold
/// its end, to whom the program gave it.
const DRAIN: Duration = Duration::from_secs(1);

/// Why an attempt told its program to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Canceled,
    TimedOut,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Success {
    exit_status: i32,
    #[serde(flatten)]
    output: Output,
}

/// Runs the program for one attempt.
pub(super) async fn run(
    program: &Program,
    site: &Site,
    task: &TaskContext,
    arguments: &Json,
) -> Result<Json, ExecError> {
    let attempt = task.attempt().to_string();
    let marks = [
        (FOLDER_VARIABLE, site.folder.as_str()),
        (OPERATION_VARIABLE, task.operation_id()),
        (ATTEMPT_VARIABLE, attempt.as_str()),
    ];
    let ward = program.ward(arguments, &marks)?;
    if task.is_canceled() {
        return Err(ExecError::Canceled);
    }
    let not_started = |source| ExecError::ProgramNotStarted {
        path: program.path().to_owned(),
        source,
    };
    let (mut guard, output, report) = Guard::spawn(&site.guard, ward).map_err(not_started)?;
    if program.description.is_some() {
        task.progress(InfoUpdate {
            description: program.description.clone(),
            ..InfoUpdate::default()
        });
    }
    let mut output = OutputReader::new(output, program, task);
    let watched = watch(program, site, task, &mut guard, report);
    let (stop, report) = output.read_during(watched).await;
    let output = output.finish();
    match report {
        Some(report) => judge(program, task, stop, report, output).await,
        None => {
            end_what_is_left(&marks).await;
            Err(ExecError::GuardLost { output })
        }
    }
}

/// Waits for the guard's report, and passes on who wants the program to end. Says who did.
async fn watch(
    program: &Program,
    site: &Site,
    task: &TaskContext,
    guard: &mut Guard,
    report: ReportStream,
) -> (Option<Stop>, Option<Report>) {
    let deadline = program.timeout.map(|timeout| Instant::now() + timeout);
    let mut stop = None;
    let report = report.report();
    tokio::pin!(report);
    let report = loop {
        tokio::select! {
            report = &mut report => break report,
            () = task.canceled(), if stop.is_none() => {
                stop = Some(Stop::Canceled);
                guard.stop().await;
            }
            () = at(deadline), if stop.is_none() => {
                stop = Some(Stop::TimedOut);
                guard.stop().await;
            }
            () = site.out_of_time.cancelled(), if !guard.is_to_kill() => guard.kill(),
        }
    };
    guard.wait().await;
    (stop, report)
}

/// Says what the attempt comes to.
async fn judge(
    program: &Program,
    task: &TaskContext,
    stop: Option<Stop>,
    report: Report,
    output: Output,
) -> Result<Json, ExecError> {
    if report.left > 0 {
        task.non_fatal_error(processes_left(report.left));
    }
    if report.stopped {
        match (stop, program.timeout) {
            (Some(Stop::Canceled), _) => return Err(ExecError::Canceled),
            (Some(Stop::TimedOut), Some(timeout)) => {
                let timeout_ms = timeout.as_millis();
                return Err(ExecError::TimedOut { timeout_ms, output });
            }
            _ => {}
        }
    }
    if report.is_of_end_from_outside() && timeout(DOUBT, task.canceled()).await.is_ok() {
        return Err(ExecError::Canceled);
    }
    match report.end {
        End::Exited(0) => {
            let success = Success {
                exit_status: 0,
                output,
            };
            Ok(Json::from_value(&success).expect("a result is JSON"))
        }
        End::Exited(status) => Err(ExecError::ProgramFailed { status, output }),
        End::Killed(signal) => Err(ExecError::ProgramKilled { signal, output }),
        End::NotStarted(number) => Err(ExecError::ProgramNotStarted {
            path: program.path().to_owned(),
            source: io::Error::from_raw_os_error(number),
        }),
    }
}

/// Ends what a lost guard cannot end any more.
async fn end_what_is_left(marks: &[(&'static str, &str)]) {
    let marks: Vec<(&str, String)> = marks
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let ended = spawn_blocking(move || {
        let marks: Vec<(&str, &str)> = marks
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        end_leftovers(&marks)
    });
    if let Ok(Err(error)) = ended.await {
        tracing::error!(%error, "a program that lost its guard");
    }
}

/// Reads what a program writes, for progress and for its end.
struct OutputReader<'a> {
    stream: ChildStderr,
    buffer: Vec<u8>,
    rest_until: Option<Instant>,
    tail: Tail,
    progress: Option<ProgressReader>,
    task: &'a TaskContext,
}

impl<'a> OutputReader<'a> {
    fn new(stream: ChildStderr, program: &Program, task: &'a TaskContext) -> Self {
        Self {
            stream,
            buffer: vec![0; CHUNK_BYTES],
            rest_until: None,
            tail: Tail::default(),
            progress: program.progress.clone().map(ProgressReader::new),
            task,
        }
    }

    /// Reads until the future is there, and then what is left.
    async fn read_during<T>(&mut self, watched: impl Future<Output = T>) -> T {
        tokio::pin!(watched);
        let mut more = true;
        let watched = loop {
            tokio::select! {
                watched = &mut watched => break watched,
                read = self.read(), if more => more = read,
            }
        };
        let drained = async { while more && self.read().await {} };
        // Whoever holds the other end now, it is nothing of the program.
        let _ = timeout(DRAIN, drained).await;
        watched
    }

    /// Reads a chunk. Says whether there may be more. Nothing is lost when it is dropped.
    async fn read(&mut self) -> bool {
        if let Some(moment) = self.rest_until {
            sleep_until(moment).await;
            self.rest_until = None;
        }
        let Ok(length @ 1..) = self.stream.read(&mut self.buffer).await else {
            return false;
        };
        if length == CHUNK_BYTES {
            self.rest_until = Some(Instant::now() + REST);
        }
        let chunk = &self.buffer[..length];
        self.tail.push(chunk);
        if let Some(progress) = &mut self.progress {
            progress.push(chunk, |update| self.task.progress(update));
        }
        true
    }

    fn finish(self) -> Output {
        if let Some(mut progress) = self.progress {
            progress.finish(|update| self.task.progress(update));
        }
        self.tail.finish()
    }
}

/// Waits for a moment; for ever if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
    }
}
