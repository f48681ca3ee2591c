//! An image that is being made: a file in `.partial` that either gets its name, whole and on disk,
//! or is removed. There is no third way out, panics included; after a crash the next opening
//! removes it.

use std::ffi::CString;
use std::fs::File;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::fs::{fsync, linkat, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::arguments::{Format, ImageName};
use super::error::{StorageError, during};
use super::image::Image;
use super::pool::{PARTIAL_FOLDER, Pool};
use super::qemu::Target;
use crate::engine::executor::Identity;

/// An image without its name yet.
pub(super) struct Partial {
    pool: Arc<Pool>,
    image: Arc<Image>,
    name: String,
    path: String,
    published: bool,
}

impl Partial {
    /// Begins an image: an empty file.
    pub(super) fn begin(
        pool: &Arc<Pool>,
        image: &ImageName,
        format: Format,
    ) -> Result<Self, StorageError> {
        let name = pool.partial_name(image);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&pool.partial, &name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(during("making the image"))?;
        let image = Arc::new(Image::new(image.clone(), format, File::from(file)));
        pool.making().insert(image.name.clone(), image.clone());
        Ok(Self {
            pool: pool.clone(),
            path: format!("./{PARTIAL_FOLDER}/{name}"),
            image,
            name,
            published: false,
        })
    }

    /// What is to become the image, its file open for writing. Its path is not that of an image.
    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// The file as others find it.
    pub(super) fn target(&self) -> Target<'_> {
        Target {
            path: &self.path,
            name: &self.image.name,
            format: self.image.format,
        }
    }

    /// Puts all that was written on disk.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        let synced = self.image.file.sync_all();
        synced.map_err(during("putting the image on disk"))
    }

    /// Gives the image, which must be on disk, its name, durably and only if the name is free.
    pub(super) fn publish(mut self, maker: Identity) -> Result<(), StorageError> {
        let (pool, name) = (&self.pool, &self.image.name);
        // In this order: an image whose maker is not on record could never be claimed by a repeated
        // attempt, a record without an image harms nobody.
        pool.origins
            .record(name, &self.image.file, maker, &pool.scratch(name))
            .map_err(during("recording who made the image"))?;
        // What was wrong with an earlier image of the name, which has vanished some other way.
        pool.damages
            .forget(name)
            .map_err(during("forgetting an earlier image"))?;
        match self.take_name() {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(StorageError::ImageExists(name.clone())),
            Err(error) => return Err(during("naming the image")(error)),
        }
        let place = pool.place(self.image.format);
        if let Err(error) = fsync(place) {
            // Nobody can know whether the name would survive; without it the failure is a clean one.
            let _ = unlinkat(place, name.as_str(), AtFlags::empty());
            return Err(during("putting the image's name on disk")(error));
        }
        self.published = true;
        Ok(())
    }

    fn take_name(&self) -> Result<(), Errno> {
        let (partial, place) = (&self.pool.partial, self.pool.place(self.image.format));
        let (from, to) = (&self.name, self.image.name.as_str());
        // An image of another format may have the name.
        if !self
            .pool
            .is_free(&CString::new(to).map_err(|_| Errno::INVAL)?)?
        {
            return Err(Errno::EXIST);
        }
        match renameat_with(partial, from, place, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot rename without replacing; a hard link never replaces.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(partial, from, place, to, AtFlags::empty())?;
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
        self.pool.making().remove(&self.image.name);
        if !self.published {
            // Failing here is no news to anybody: the next opening of the pool removes it.
            let _ = unlinkat(&self.pool.partial, &self.name, AtFlags::empty());
        }
    }
}
