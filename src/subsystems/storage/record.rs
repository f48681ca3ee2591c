//! Small facts about images that must survive a crash: one folder for each kind of fact, in it one
//! JSON file for each image it is known of, under the image's name.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::ImageName;

/// The records of one kind.
pub(super) struct Records {
    folder: OwnedFd,
}

/// Where a record is written before it gets its name: a folder of the same file system, and a name
/// that is free in it.
pub(super) struct Scratch<'a> {
    pub(super) folder: &'a OwnedFd,
    pub(super) name: String,
}

/// A record is small; what is longer is none. The longest have 100 ids of 200 characters.
const RECORD_MAX_BYTES: u64 = 256 << 10;

impl Records {
    pub(super) fn new(folder: OwnedFd) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Puts a record on disk, in place of an earlier one; it is durable when this returns.
    pub(super) fn write<T: Serialize>(
        &self,
        image: &ImageName,
        record: &T,
        scratch: &Scratch<'_>,
    ) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut written = File::from(openat(scratch.folder, &scratch.name, flags, mode)?);
        let outcome = written
            .write_all(&text)
            .and_then(|()| written.sync_all())
            .and_then(|()| {
                let (from, to) = (&scratch.name, image.as_str());
                Ok(renameat(scratch.folder, from, &self.folder, to)?)
            });
        if outcome.is_err() {
            // Only tidiness: the next opening removes it as well.
            let _ = unlinkat(scratch.folder, &scratch.name, AtFlags::empty());
        }
        outcome?;
        Ok(fsync(&self.folder)?)
    }

    /// Reads a record, if there is one; `InvalidData` if what lies there is none.
    pub(super) fn read<T: DeserializeOwned>(&self, image: &ImageName) -> io::Result<Option<T>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let record = match openat(&self.folder, image.as_str(), flags, Mode::empty()) {
            Ok(record) => File::from(record),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut text = Vec::new();
        record.take(RECORD_MAX_BYTES).read_to_end(&mut text)?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Reads a record that is to prove something: what is not readable is not proven.
    pub(super) fn read_proof<T: DeserializeOwned>(
        &self,
        image: &ImageName,
    ) -> io::Result<Option<T>> {
        match self.read(image) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            other => other,
        }
    }

    /// Removes a record; it is gone, durably, when this returns.
    pub(super) fn forget(&self, image: &ImageName) -> Result<(), Errno> {
        match unlinkat(&self.folder, image.as_str(), AtFlags::empty()) {
            Ok(()) => fsync(&self.folder),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a leftover, of whatever name.
    pub(super) fn remove(&self, name: &CStr) -> Result<(), Errno> {
        unlinkat(self.folder.as_fd(), name, AtFlags::empty())
    }
}
