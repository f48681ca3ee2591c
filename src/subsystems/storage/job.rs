//! One attempt as seen from the blocking thread that carries it out: whether to go on, how long to
//! pause, and what to tell.

use std::time::Instant;

use opstead_core::{InfoUpdate, Json, Stage};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::error::StorageError;
use crate::engine::executor::{Identity, TaskContext};

/// One attempt.
pub(super) struct Job {
    task: TaskContext,
    /// Nobody waits for the attempt any more.
    abandoned: CancellationToken,
    runtime: Handle,
}

/// How an image stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ImageState {
    /// It is being made and not under its name yet.
    Creating,
    /// It is there and whole.
    Ok,
    /// Another image is being merged into it.
    Merging,
    /// A merge into it did not end: it is to be read only through the image that was merged.
    Degraded,
    /// It is corrupt.
    Broken,
    /// There is none of that name, or none any more.
    Deleted,
}

/// Data bytes copied out of all; holes do not count. Where `qemu-img` copies, they follow from its
/// percentage and from the space that the source takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bytes {
    #[serde(rename = "bytesDone")]
    pub(super) done: u64,
    #[serde(rename = "bytesTotal")]
    pub(super) total: u64,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    /// None where the image under the name is another one.
    pub(super) image_state: Option<ImageState>,
    pub(super) stage_description: &'static str,
    pub(super) percentage: f64,
    pub(super) bytes: Option<Bytes>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtraData {
    #[serde(skip_serializing_if = "Option::is_none")]
    image_state: Option<ImageState>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    bytes: Option<Bytes>,
}

impl Job {
    pub(super) fn new(task: TaskContext, abandoned: CancellationToken, runtime: Handle) -> Self {
        Self {
            task,
            abandoned,
            runtime,
        }
    }

    pub(super) fn method_name(&self) -> &str {
        self.task.method_name()
    }

    pub(super) fn operation_id(&self) -> &str {
        self.task.operation_id()
    }

    pub(super) fn identity(&self) -> Identity {
        self.task.identity()
    }

    pub(super) fn attempt(&self) -> u32 {
        self.task.attempt()
    }

    /// Whether an earlier attempt of the same operation may have got anywhere.
    pub(super) fn is_repeated(&self) -> bool {
        self.task.attempt() > 1
    }

    /// Returns [`StorageError::Canceled`] when the attempt should stop.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        if self.task.is_canceled() || self.abandoned.is_cancelled() {
            Err(StorageError::Canceled)
        } else {
            Ok(())
        }
    }

    /// Waits for a moment to come, or returns [`StorageError::Canceled`] as soon as the attempt
    /// should stop.
    pub(super) fn wait_until(&self, moment: Instant) -> Result<(), StorageError> {
        self.check()?;
        if moment <= Instant::now() {
            return Ok(());
        }
        self.wait_for(async { tokio::time::sleep_until(moment.into()).await })
    }

    /// Waits for a future to be done, or drops it and returns [`StorageError::Canceled`] as soon as
    /// the attempt should stop.
    pub(super) fn wait_for<T>(&self, future: impl Future<Output = T>) -> Result<T, StorageError> {
        self.check()?;
        self.runtime.block_on(async {
            tokio::select! {
                // What is done counts, and what need not wait is not seen to wait.
                biased;
                done = future => Ok(done),
                () = self.task.canceled() => Err(StorageError::Canceled),
                () = self.abandoned.cancelled() => Err(StorageError::Canceled),
            }
        })
    }

    /// The runtime that the attempt may use.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Tells how far the attempt has come. The work is one stage, which the engine completes.
    pub(super) fn report(&self, description: &str, report: Report) {
        let extra_data = ExtraData {
            image_state: report.image_state,
            bytes: report.bytes,
        };
        self.task.progress(InfoUpdate {
            description: Some(description.into()),
            stage_description: Some(report.stage_description.into()),
            stage: Some(Stage {
                number: 0,
                total: 1,
            }),
            percentage: Some(report.percentage),
            last_error: None,
            extra_data: Some(Json::from_value(&extra_data).expect("extra data is JSON")),
        });
    }

    /// Tells what is left of the image after a failure; how far the attempt had come stays.
    pub(super) fn left(&self, image_state: Option<ImageState>) {
        let extra_data = ExtraData {
            image_state,
            bytes: None,
        };
        self.task.progress(InfoUpdate {
            extra_data: Some(Json::from_value(&extra_data).expect("extra data is JSON")),
            ..InfoUpdate::default()
        });
    }
}

impl Report {
    /// Nothing done yet.
    pub(super) fn begun(image_state: impl Into<Option<ImageState>>) -> Self {
        Self {
            image_state: image_state.into(),
            stage_description: "",
            percentage: 0.0,
            bytes: None,
        }
    }

    /// Begun, and nobody knows how long it takes.
    pub(super) fn of_unknown_length(image_state: ImageState) -> Self {
        Self {
            percentage: -1.0,
            ..Self::begun(image_state)
        }
    }

    /// All done.
    pub(super) fn finished(image_state: ImageState) -> Self {
        Self {
            percentage: 100.0,
            ..Self::begun(image_state)
        }
    }

    /// Some of the data copied into a new image.
    pub(super) fn copied(bytes: Bytes) -> Self {
        Self {
            percentage: bytes.percentage(),
            bytes: Some(bytes),
            ..Self::begun(ImageState::Creating)
        }
    }

    /// All of the data copied into a new image, and not all of it on disk.
    pub(super) fn syncing(bytes: Bytes) -> Self {
        Self {
            stage_description: "putting the image on disk",
            ..Self::copied(bytes)
        }
    }
}

impl Bytes {
    /// That part of a total that is known only as a percentage.
    pub(super) fn part(percentage: f64, total: u64) -> Self {
        Self {
            done: (total as f64 * percentage / 100.0) as u64,
            total,
        }
    }

    fn percentage(self) -> f64 {
        if self.total == 0 {
            100.0
        } else {
            self.done as f64 * 100.0 / self.total as f64
        }
    }
}
