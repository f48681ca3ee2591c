//! An image that is being made: a file in `.partial` that either gets its name, whole and on disk,
//! or is removed. There is no third way out, panics included; after a crash the next opening
//! removes it.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::fs::{fsync, linkat, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::error::{StorageError, during};
use super::methods::ImageName;
use super::pool::Pool;

/// An image without its name yet.
pub(super) struct Partial {
    pool: Arc<Pool>,
    image: ImageName,
    name: String,
    file: Arc<File>,
    published: bool,
}

impl Partial {
    /// Begins an image: an empty file.
    pub(super) fn begin(pool: &Arc<Pool>, image: &ImageName) -> Result<Self, StorageError> {
        let name = pool.partial_name(image);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&pool.partial, &name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(during("making the image"))?;
        let file = Arc::new(File::from(file));
        pool.making().insert(image.clone(), file.clone());
        Ok(Self {
            pool: pool.clone(),
            image: image.clone(),
            name,
            file,
            published: false,
        })
    }

    /// The file to fill.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Puts all that was written on disk.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file
            .sync_all()
            .map_err(during("putting the image on disk"))
    }

    /// Gives the image, which must be on disk, its name, durably and only if the name is free.
    pub(super) fn publish(mut self, operation_id: &str) -> Result<(), StorageError> {
        let pool = &self.pool;
        let image = self.image.as_str();
        // In this order: an image whose maker is not on record could never be claimed by a repeated
        // attempt, a record without an image harms nobody.
        pool.origins
            .record(
                image,
                &self.file,
                operation_id,
                &pool.partial,
                &format!("{}.origin", self.name),
            )
            .map_err(during("recording who made the image"))?;
        match self.take_name() {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(StorageError::ImageExists(self.image.clone())),
            Err(error) => return Err(during("naming the image")(error)),
        }
        if let Err(error) = fsync(&self.pool.folder) {
            // Nobody can know whether the name would survive; without it the failure is a clean one.
            let _ = unlinkat(&self.pool.folder, self.image.as_str(), AtFlags::empty());
            return Err(during("putting the image's name on disk")(error));
        }
        self.published = true;
        Ok(())
    }

    fn take_name(&self) -> Result<(), Errno> {
        let Pool {
            folder, partial, ..
        } = &*self.pool;
        let (from, to) = (&self.name, self.image.as_str());
        match renameat_with(partial, from, folder, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot rename without replacing; a hard link never replaces.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(partial, from, folder, to, AtFlags::empty())?;
                // The image has its name; a second one that stays is removed at the next opening.
                let _ = unlinkat(partial, from, AtFlags::empty());
                Ok(())
            }
            other => other,
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.pool.making().remove(&self.image);
        if !self.published {
            // Failing here is no news to anybody: the next opening of the pool removes it.
            let _ = unlinkat(&self.pool.partial, &self.name, AtFlags::empty());
        }
    }
}
