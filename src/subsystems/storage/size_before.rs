//! How large an image was before each of the operations that resized it.
//!
//! An attempt can die after it has resized an image and before anybody was told. Whoever is to give
//! the image its size back must know it all the same. So before an image is resized, its size is put
//! on disk, with which operation it is and what tells this very file from any other. The last 100
//! operations that resized the file are remembered, for several of them may be undone; one before
//! those counts as having resized nothing. What an earlier version has written does not tell all of
//! which operation it was and is passed over: ids come again.

use std::io;

use serde::{Deserialize, Serialize};

use super::file_identity::FileIdentity;
use super::image::Image;
use super::record::{Records, Scratch};
use crate::engine::executor::Identity;

/// How many operations are remembered of a file.
const RESIZES_MOST: usize = 100;

/// The records of the pool's images.
pub(super) struct SizesBefore(pub(super) Records);

/// What is known of a file that has the name of an image.
#[derive(Debug, Serialize, Deserialize)]
struct Resized {
    #[serde(flatten)]
    file: FileIdentity,
    #[serde(flatten)]
    last: Resize,
    /// Those before, in their order, each of another operation. A record of one is without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Resize>,
}

/// What an operation was about to do to the size of an image.
#[derive(Debug, Serialize, Deserialize)]
struct Resize {
    /// The operation.
    #[serde(flatten)]
    resizer: Identity,
    #[serde(flatten)]
    sizes: Sizes,
}

/// The sizes of an image before and after an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sizes {
    pub(super) before_bytes: u64,
    pub(super) after_bytes: u64,
}

impl SizesBefore {
    /// Records, durably, that the operation is about to resize the image. Nobody else may resize it
    /// meanwhile.
    pub(super) fn record(
        &self,
        image: &Image,
        resizer: Identity,
        sizes: Sizes,
        scratch: &Scratch<'_>,
    ) -> io::Result<()> {
        let mut earlier = self.resizes(image)?;
        earlier.retain(|resize| resize.resizer != resizer);
        let too_many = (earlier.len() + 1).saturating_sub(RESIZES_MOST);
        earlier.drain(..too_many);
        let record = Resized {
            file: FileIdentity::of(&image.file)?,
            last: Resize { resizer, sizes },
            earlier,
        };
        self.0.write(&image.name, &record, scratch)
    }

    /// What the operation was about to do to the image, if it was this very file.
    pub(super) fn by(&self, image: &Image, resizer: &Identity) -> io::Result<Option<Sizes>> {
        let resizes = self.resizes(image)?;
        let own = resizes.iter().find(|resize| resize.resizer == *resizer);
        Ok(own.map(|own| own.sizes))
    }

    /// All that is known of this very file, in its order.
    fn resizes(&self, image: &Image) -> io::Result<Vec<Resize>> {
        let recorded = self.0.read_proof::<Resized>(&image.name)?;
        let file = FileIdentity::of(&image.file)?;
        let Some(known) = recorded.filter(|known| known.file == file) else {
            return Ok(Vec::new());
        };
        let mut resizes = known.earlier;
        resizes.push(known.last);
        Ok(resizes)
    }
}
