//! Which operation made an image.
//!
//! An attempt can die after its image has appeared and before anybody was told. The next attempt
//! then finds the name taken and must know whether by its own work or by somebody else's. So before
//! an image appears, a record of it is put on disk beside the pool's images: which operation it is,
//! and what tells this very file from any other. A record without its image proves nothing and is
//! removed at the next opening. Nor does one that an earlier version has written, which does not tell
//! all of which operation it was: ids come again.

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use super::arguments::ImageName;
use super::file_identity::FileIdentity;
use super::record::{Records, Scratch};
use crate::engine::executor::Identity;

/// The records of the pool's images.
pub(super) struct Origins(pub(super) Records);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    #[serde(flatten)]
    maker: Identity,
    #[serde(flatten)]
    file: FileIdentity,
}

impl Origins {
    /// Records, durably, that the operation made this file and is about to give it the name.
    pub(super) fn record(
        &self,
        image: &ImageName,
        file: &File,
        maker: Identity,
        scratch: &Scratch<'_>,
    ) -> io::Result<()> {
        let file = FileIdentity::of(file)?;
        self.0.write(image, &Origin { maker, file }, scratch)
    }

    /// Whether the operation made this very file under that name.
    pub(super) fn is_made_by(
        &self,
        image: &ImageName,
        file: &File,
        maker: Identity,
    ) -> io::Result<bool> {
        let recorded = self.0.read_proof::<Origin>(image)?;
        let file = FileIdentity::of(file)?;
        Ok(recorded == Some(Origin { maker, file }))
    }
}
