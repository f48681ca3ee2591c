//! How large an image was before the operation that resized it last.
//!
//! An attempt can die after it has resized an image and before anybody was told. Whoever is to give
//! the image its size back must know it all the same. So before an image is resized, its size is put
//! on disk, with which operation it is and what tells this very file from any other. Once the
//! operation has completed, its result tells the sizes too. What an earlier version has written does
//! not tell all of which operation it was and is passed over: ids come again.

use std::io;

use serde::{Deserialize, Serialize};

use super::file_identity::FileIdentity;
use super::image::Image;
use super::record::{Records, Scratch};
use crate::engine::executor::Identity;

/// The records of the pool's images.
pub(super) struct SizesBefore(pub(super) Records);

/// What an operation was about to do to the size of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SizeBefore {
    /// The operation.
    #[serde(flatten)]
    pub(super) resizer: Identity,
    #[serde(flatten)]
    file: FileIdentity,
    #[serde(flatten)]
    pub(super) sizes: Sizes,
}

/// The sizes of an image before and after an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sizes {
    pub(super) before_bytes: u64,
    pub(super) after_bytes: u64,
}

impl SizesBefore {
    /// Records, durably, that the operation is about to resize the image.
    pub(super) fn record(
        &self,
        image: &Image,
        resizer: Identity,
        sizes: Sizes,
        scratch: &Scratch<'_>,
    ) -> io::Result<()> {
        let record = SizeBefore {
            resizer,
            file: FileIdentity::of(&image.file)?,
            sizes,
        };
        self.0.write(&image.name, &record, scratch)
    }

    /// Who resized the image last, if it was this very file.
    pub(super) fn last(&self, image: &Image) -> io::Result<Option<SizeBefore>> {
        let recorded = self.0.read_proof::<SizeBefore>(&image.name)?;
        let file = FileIdentity::of(&image.file)?;
        Ok(recorded.filter(|known| known.file == file))
    }
}
