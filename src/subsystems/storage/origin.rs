//! Which operation made an image.
//!
//! An attempt can die after its image has appeared and before anybody was told. The next attempt
//! then finds the name taken and must know whether by its own work or by somebody else's. So before
//! an image appears, a record of it is put on disk beside the pool's images: the operation's id,
//! and what tells this very file from any other. A record without its image proves nothing and is
//! removed at the next opening.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use rustix::fs::{AtFlags, Mode, OFlags, fsync, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The records of the pool's images, one file each under the image's name.
pub(super) struct Origins {
    folder: OwnedFd,
}

/// A record is small; what is longer is none.
const RECORD_MAX_BYTES: u64 = 8 << 10;

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
    pub(super) fn new(folder: OwnedFd) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Records, durably, that the operation made this file and is about to give it the name.
    /// `scratch` is a folder of the same file system, `scratch_name` free in it.
    pub(super) fn record(
        &self,
        image: &str,
        file: &File,
        operation_id: &str,
        scratch: &OwnedFd,
        scratch_name: &str,
    ) -> io::Result<()> {
        let record = serde_json::to_vec(&Origin::new(operation_id, &file.metadata()?))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut written = File::from(openat(
            scratch,
            scratch_name,
            flags,
            Mode::RUSR | Mode::WUSR,
        )?);
        let outcome = written
            .write_all(&record)
            .and_then(|()| written.sync_all())
            .and_then(|()| Ok(renameat(scratch, scratch_name, &self.folder, image)?));
        if outcome.is_err() {
            // Only tidiness: the next opening removes it as well.
            let _ = unlinkat(scratch, scratch_name, AtFlags::empty());
        }
        outcome?;
        Ok(fsync(&self.folder)?)
    }

    /// Whether the operation made this very file under that name.
    pub(super) fn is_made_by(
        &self,
        image: &str,
        file: &File,
        operation_id: &str,
    ) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let record = match openat(&self.folder, image, flags, Mode::empty()) {
            Ok(record) => File::from(record),
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut text = Vec::new();
        record.take(RECORD_MAX_BYTES).read_to_end(&mut text)?;
        // Not readable is not proven.
        let recorded: Option<Origin> = serde_json::from_slice(&text).ok();
        Ok(recorded == Some(Origin::new(operation_id, &file.metadata()?)))
    }

    /// Forgets who made an image.
    pub(super) fn forget(&self, image: &str) -> Result<(), Errno> {
        match unlinkat(&self.folder, image, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets who made an image that the pool does not hold.
    pub(super) fn forget_unless_in(
        &self,
        pool: &OwnedFd,
        image: &std::ffi::CStr,
    ) -> Result<(), Errno> {
        match statat(pool.as_fd(), image, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => unlinkat(&self.folder, image, AtFlags::empty()),
            other => other.map(drop),
        }
    }
}
