//! How large an image was before the operation that resized it last.
//!
//! An attempt can die after it has resized an image and before anybody was told. Whoever is to give
//! the image its size back must know it all the same. So before an image is resized, its size is put
//! on disk, with the operation's id. What is on record for an operation that has completed matters
//! to nobody: its result tells the same.

use std::io;

use serde::{Deserialize, Serialize};

use super::arguments::ImageName;
use super::record::{Records, Scratch};

/// The records of the pool's images.
pub(super) struct SizesBefore(pub(super) Records);

/// What an operation was about to do to the size of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SizeBefore {
    operation_id: String,
    /// Before.
    pub(super) before_bytes: u64,
    /// After.
    pub(super) after_bytes: u64,
}

impl SizesBefore {
    /// Records, durably, that the operation is about to resize the image.
    pub(super) fn record(
        &self,
        image: &ImageName,
        operation_id: &str,
        (before_bytes, after_bytes): (u64, u64),
        scratch: &Scratch<'_>,
    ) -> io::Result<()> {
        let record = SizeBefore {
            operation_id: operation_id.to_owned(),
            before_bytes,
            after_bytes,
        };
        self.0.write(image, &record, scratch)
    }

    /// What the operation was about to do, if it is the one that resized the image last.
    pub(super) fn of(
        &self,
        image: &ImageName,
        operation_id: &str,
    ) -> io::Result<Option<SizeBefore>> {
        let recorded = match self.0.read::<SizeBefore>(image) {
            // Not readable is not proven.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            other => other?,
        };
        Ok(recorded.filter(|known| known.operation_id == operation_id))
    }
}
