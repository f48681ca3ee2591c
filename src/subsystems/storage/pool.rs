//! The pool folder: the only place that looks names up in it. The folder is opened once, every name
//! is taken relative to it, and no symlink in it is ever followed, so nothing reaches outside.
//!
//! Beside the images it holds two hidden folders of its own: `.partial` for images that are being
//! made, `.origin` for the records of who made which.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::fs::{flock, fsync, mkdirat, open, openat, unlinkat};
use rustix::io::Errno;

use super::error::{StorageError, during};
use super::import::open_regular;
use super::methods::ImageName;
use super::origin::Origins;

const PARTIAL_FOLDER: &str = ".partial";
const ORIGIN_FOLDER: &str = ".origin";
const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// An open pool.
pub(super) struct Pool {
    /// Locked for as long as it is open.
    pub(super) folder: OwnedFd,
    /// Images that are being made, under names that nobody else knows.
    pub(super) partial: OwnedFd,
    pub(super) origins: Origins,
    /// Numbers the files in `partial`, which is empty when a pool is opened.
    next_partial: AtomicU64,
    /// The same files by the names they will have.
    making: Mutex<BTreeMap<ImageName, Arc<File>>>,
}

impl Pool {
    /// Opens the folder, making it if it is missing, and removes what a crash has left.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(path).map_err(|error| {
            io::Error::new(error.kind(), format!("pool {}: {error}", path.display()))
        })
    }

    fn open_at(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let folder = open(path, FOLDER_FLAGS, Mode::empty())?;
        flock(&folder, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => {
                io::Error::new(io::ErrorKind::WouldBlock, "in use by another daemon")
            }
            other => other.into(),
        })?;
        let partial = own_folder(&folder, PARTIAL_FOLDER)?;
        let origins = Origins::new(own_folder(&folder, ORIGIN_FOLDER)?);
        for name in file_names(&partial)? {
            remove_leftover(&partial, &name)?;
        }
        for name in file_names(origins.folder())? {
            origins.forget_unless_in(&folder, &name)?;
        }
        fsync(&folder)?;
        Ok(Self {
            folder,
            partial,
            origins,
            next_partial: AtomicU64::new(1),
            making: Mutex::default(),
        })
    }

    /// Opens an image.
    pub(super) fn image(&self, name: &ImageName, access: OFlags) -> Result<File, StorageError> {
        match open_regular(self.folder.as_fd(), OsStr::new(name.as_str()), access) {
            Ok(Some(file)) => Ok(file),
            Ok(None) | Err(Errno::LOOP) => Err(StorageError::NotAnImage(name.clone())),
            Err(Errno::NOENT) => Err(StorageError::ImageNotFound(name.clone())),
            Err(error) => Err(during("opening the image")(error)),
        }
    }

    /// Deletes an image; it is gone, durably, when this returns.
    pub(super) fn delete(&self, name: &ImageName) -> Result<(), StorageError> {
        self.image(name, OFlags::PATH)?;
        unlinkat(&self.folder, name.as_str(), AtFlags::empty())
            .and_then(|()| fsync(&self.folder))
            .and_then(|()| self.origins.forget(name.as_str()))
            .map_err(during("deleting the image"))
    }

    /// The unfinished file of an image that is being made.
    pub(super) fn image_in_the_making(&self, name: &ImageName) -> Option<Arc<File>> {
        self.making().get(name).cloned()
    }

    /// A name in `.partial` that was not used since the pool was opened, which no attempt shares
    /// with another.
    pub(super) fn partial_name(&self, image: &ImageName) -> String {
        let number = self.next_partial.fetch_add(1, Ordering::Relaxed);
        format!("{number}.{}", image.as_str())
    }

    pub(super) fn making(&self) -> MutexGuard<'_, BTreeMap<ImageName, Arc<File>>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a folder of our own within the pool, making it if it is missing.
fn own_folder(pool: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match mkdirat(pool, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    openat(pool, name, FOLDER_FLAGS | OFlags::NOFOLLOW, Mode::empty())
}

/// Every name in one of our own folders.
fn file_names(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Removes a file that an attempt has left. A folder is nothing of ours and in nobody's way.
fn remove_leftover(partial: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    match unlinkat(partial, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::ISDIR) => Ok(()),
        Err(error) => Err(error),
    }
}
