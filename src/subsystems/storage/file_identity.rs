//! Which file it is, for records about an image: under its name another file may lie by now.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// What tells a file from any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileIdentity {
    inode: u64,
    /// Inodes are used again; with the time of birth, where the file system knows it, a file that
    /// was put in the image's place is told from the image.
    born_ns: Option<u64>,
}

impl FileIdentity {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let born_ns = metadata
            .created()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_nanos()).ok());
        Ok(Self {
            inode: metadata.ino(),
            born_ns,
        })
    }
}
