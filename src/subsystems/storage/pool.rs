//! The pool folder: the only place that looks names up in it. The folder is opened once, every name
//! is taken relative to it, and no symlink in it is ever followed, so nothing reaches outside.
//!
//! Where an image lies says what it is: raw images lie in the folder itself, qcow2 images in the
//! hidden folder `.qcow2`. So a format is never guessed from a content, which for a raw image is the
//! guest's to choose, and it cannot get lost on the way to another disk. The other hidden folders:
//! `.partial` for images that are being made, `.origin` for the records of who made which, `.damage`
//! for what is known to be wrong with which, and `.resize` for the sizes before.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::fs::{flock, fsync, mkdirat, open, openat, statat, unlinkat};
use rustix::io::Errno;

use super::arguments::{Format, ImageName};
use super::error::{StorageError, during};
use super::image::Image;
use super::import::open_regular;
use super::origin::Origins;
use super::record::{Records, Scratch};
use super::size_before::SizesBefore;
use crate::subsystems::process::{FOLDER_VARIABLE, FolderMark, end_leftovers};

pub(super) const QCOW2_FOLDER: &str = ".qcow2";
pub(super) const PARTIAL_FOLDER: &str = ".partial";
const ORIGIN_FOLDER: &str = ".origin";
const DAMAGE_FOLDER: &str = ".damage";
const RESIZE_FOLDER: &str = ".resize";
const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// How long a lock on the pool may take to become free.
const LEFT_OVER: Duration = Duration::from_secs(1);

/// An open pool.
pub(super) struct Pool {
    /// Of the raw images and everything else. Locked for as long as it is open.
    folder: OwnedFd,
    /// What programs bear that work in it.
    pub(super) mark: FolderMark,
    qcow2: OwnedFd,
    /// Images that are being made, under names that nobody else knows.
    pub(super) partial: OwnedFd,
    pub(super) origins: Origins,
    pub(super) damages: Records,
    pub(super) sizes_before: SizesBefore,
    /// Numbers the files in `partial`, which is empty when a pool is opened.
    next_partial: AtomicU64,
    /// The same files by the names they will have.
    making: Mutex<BTreeMap<ImageName, Arc<Image>>>,
    /// Images that are merged into at this moment.
    merging: Mutex<BTreeSet<ImageName>>,
}

/// An image that is merged into, until this is dropped.
pub(super) struct Merging<'a> {
    pool: &'a Pool,
    image: &'a ImageName,
}

impl Pool {
    /// Opens the folder, making it if it is missing, and ends and removes what a crash has left.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(path).map_err(|error| {
            io::Error::new(error.kind(), format!("pool {}: {error}", path.display()))
        })
    }

    fn open_at(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let folder = open(path, FOLDER_FLAGS, Mode::empty())?;
        lock(&folder)?;
        let mark = FolderMark::of(path)?;
        // What an earlier daemon has left running would still write.
        end_leftovers(&[(FOLDER_VARIABLE, mark.as_str())])?;
        let pool = Self {
            mark,
            qcow2: own_folder(&folder, QCOW2_FOLDER)?,
            partial: own_folder(&folder, PARTIAL_FOLDER)?,
            origins: Origins(Records::new(own_folder(&folder, ORIGIN_FOLDER)?)),
            damages: Records::new(own_folder(&folder, DAMAGE_FOLDER)?),
            sizes_before: SizesBefore(Records::new(own_folder(&folder, RESIZE_FOLDER)?)),
            folder,
            next_partial: AtomicU64::new(1),
            making: Mutex::default(),
            merging: Mutex::default(),
        };
        for name in file_names(&pool.partial)? {
            remove_leftover(&pool.partial, &name)?;
        }
        for records in [&pool.origins.0, &pool.damages, &pool.sizes_before.0] {
            for name in file_names(records.folder())? {
                if pool.is_free(&name)? {
                    records.remove(&name)?;
                }
            }
        }
        fsync(&pool.folder)?;
        Ok(pool)
    }

    /// The folder of the images of a format.
    pub(super) fn place(&self, format: Format) -> &OwnedFd {
        match format {
            Format::Raw => &self.folder,
            Format::Qcow2 => &self.qcow2,
        }
    }

    /// A path to the folder that holds for other processes too, as long as the pool is open, and
    /// whatever is done to the path that it was opened by.
    pub(super) fn path(&self) -> PathBuf {
        let (process, folder) = (std::process::id(), self.folder.as_raw_fd());
        format!("/proc/{process}/fd/{folder}").into()
    }

    /// Opens an image.
    pub(super) fn image(&self, name: &ImageName) -> Result<Image, StorageError> {
        for format in Format::ALL {
            match self.image_in(name, format) {
                Err(StorageError::ImageNotFound(_)) => {}
                found => return found,
            }
        }
        Err(StorageError::ImageNotFound(name.clone()))
    }

    /// Opens an image of that format, for reading.
    pub(super) fn image_in(&self, name: &ImageName, format: Format) -> Result<Image, StorageError> {
        let file = self.open_file(name, format, OFlags::RDONLY)?;
        Ok(Image::new(name.clone(), format, file))
    }

    /// Opens an image for writing as well.
    pub(super) fn writable(&self, image: &Image) -> Result<File, StorageError> {
        self.open_file(&image.name, image.format, OFlags::RDWR)
    }

    fn open_file(
        &self,
        name: &ImageName,
        format: Format,
        access: OFlags,
    ) -> Result<File, StorageError> {
        match open_regular(
            self.place(format).as_fd(),
            OsStr::new(name.as_str()),
            access,
        ) {
            Ok(Some(file)) => Ok(file),
            Ok(None) | Err(Errno::LOOP) => Err(StorageError::NotAnImage(name.clone())),
            Err(Errno::NOENT) => Err(StorageError::ImageNotFound(name.clone())),
            Err(error) => Err(during("opening the image")(error)),
        }
    }

    /// Every qcow2 image whose name can be one.
    pub(super) fn qcow2_images(&self) -> Result<Vec<ImageName>, StorageError> {
        let names = file_names(&self.qcow2).map_err(during("listing the images"))?;
        let to_image = |name: CString| ImageName::try_from(name.into_string().ok()?).ok();
        Ok(names.into_iter().filter_map(to_image).collect())
    }

    /// Deletes an image; it is gone, durably, when this returns.
    pub(super) fn delete(&self, image: &Image) -> Result<(), StorageError> {
        let (place, name) = (self.place(image.format), &image.name);
        unlinkat(place, name.as_str(), AtFlags::empty())
            .and_then(|()| fsync(place))
            .and_then(|()| self.origins.0.forget(name))
            .and_then(|()| self.damages.forget(name))
            .and_then(|()| self.sizes_before.0.forget(name))
            .map_err(during("deleting the image"))
    }

    /// Whether nothing of that name is in the pool.
    pub(super) fn is_free(&self, name: &CStr) -> Result<bool, Errno> {
        for format in Format::ALL {
            match statat(self.place(format), name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                other => return other.map(|_| false),
            }
        }
        Ok(true)
    }

    /// The unfinished image of that name, if it is being made.
    pub(super) fn image_in_the_making(&self, name: &ImageName) -> Option<Arc<Image>> {
        self.making().get(name).cloned()
    }

    /// A name in `.partial` that was not used since the pool was opened, which no attempt shares
    /// with another.
    pub(super) fn partial_name(&self, image: &ImageName) -> String {
        let number = self.next_partial.fetch_add(1, Ordering::Relaxed);
        format!("{number}.{}", image.as_str())
    }

    /// A place to write a record about an image.
    pub(super) fn scratch(&self, image: &ImageName) -> Scratch<'_> {
        Scratch {
            folder: &self.partial,
            name: self.partial_name(image) + ".record",
        }
    }

    pub(super) fn making(&self) -> MutexGuard<'_, BTreeMap<ImageName, Arc<Image>>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it known that an image is merged into, until the answer is dropped.
    pub(super) fn begin_merging<'a>(&'a self, image: &'a ImageName) -> Merging<'a> {
        self.merging().insert(image.clone());
        Merging { pool: self, image }
    }

    /// Whether an image is merged into at this moment.
    pub(super) fn is_merging(&self, image: &ImageName) -> bool {
        self.merging().contains(image)
    }

    fn merging(&self) -> MutexGuard<'_, BTreeSet<ImageName>> {
        self.merging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Merging<'_> {
    fn drop(&mut self) {
        self.pool.merging().remove(self.image);
    }
}

/// Keeps others out. A lock that is merely left over goes soon: a process that is just being started
/// has a copy of it.
fn lock(folder: &OwnedFd) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if started.elapsed() < LEFT_OVER => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(Errno::WOULDBLOCK) => {
                let message = "in use by another daemon";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            other => return Ok(other?),
        }
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
