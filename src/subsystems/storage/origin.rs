//! Which operation made an image.
//!
//! An attempt can die after its image has appeared and before anybody was told. The next attempt
//! then finds the name taken and must know whether by its own work or by somebody else's. So before
//! an image appears, a record of it is put on disk beside the pool's images: the operation's id,
//! and what tells this very file from any other. A record without its image proves nothing and is
//! removed at the next opening.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::arguments::ImageName;
use super::record::{Records, Scratch};

/// The records of the pool's images.
pub(super) struct Origins(pub(super) Records);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin {
    operation_id: String,
    inode: u64,
    /// Inodes are used again; with the time of birth, where the file system knows it, a file that
    /// was put in the image's place is told from the image.
    born_ns: Option<u64>,
}

impl Origin {
    fn new(operation_id: &str, image: &Metadata) -> Self {
        let born_ns = image
            .created()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_nanos()).ok());
        Self {
            operation_id: operation_id.to_owned(),
            inode: image.ino(),
            born_ns,
        }
    }
}

impl Origins {
    /// Records, durably, that the operation made this file and is about to give it the name.
    pub(super) fn record(
        &self,
        image: &ImageName,
        file: &File,
        operation_id: &str,
        scratch: &Scratch<'_>,
    ) -> io::Result<()> {
        let origin = Origin::new(operation_id, &file.metadata()?);
        self.0.write(image, &origin, scratch)
    }

    /// Whether the operation made this very file under that name.
    pub(super) fn is_made_by(
        &self,
        image: &ImageName,
        file: &File,
        operation_id: &str,
    ) -> io::Result<bool> {
        let recorded = match self.0.read::<Origin>(image) {
            // Not readable is not proven.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            other => other?,
        };
        Ok(recorded == Some(Origin::new(operation_id, &file.metadata()?)))
    }
}
