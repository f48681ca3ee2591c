//! Undoing what an operation has done: an image that it made is removed, one that it resized gets
//! its size back. What it did not do is left alone, and what is undone already is no failure.

use opstead_core::{Failure, Json};

use super::arguments::{
    CopyArguments, CreateArguments, ImageName, ImportArguments, OnImage, OverlayArguments,
    ResizeArguments,
};
use super::chain;
use super::error::{StorageError, during};
use super::image::Image;
use super::in_use::check_not_open;
use super::job::{ImageState, Job, Report};
use super::methods;
use super::operations::{Workshop, rounded};
use super::size_before::Sizes;
use crate::subsystems::unknown_method;

impl Workshop {
    /// Undoes what an operation has done.
    pub(super) fn revert(&self, job: &Job, arguments: &Json) -> Result<(), Failure> {
        match job.method_name() {
            methods::CREATE_IMAGE => self.attempt(job, arguments, Self::remove::<CreateArguments>),
            methods::CREATE_OVERLAY => {
                self.attempt(job, arguments, Self::remove::<OverlayArguments>)
            }
            methods::COPY_IMAGE => self.attempt(job, arguments, Self::remove::<CopyArguments>),
            methods::IMPORT_IMAGE => self.attempt(job, arguments, Self::remove::<ImportArguments>),
            methods::RESIZE_IMAGE => self.attempt(job, arguments, Self::size_back),
            other => Err(unknown_method(other)),
        }
    }

    /// Removes an image if it is the one that the operation made.
    fn remove<A: OnImage>(&self, job: &Job, arguments: &A) -> Result<(), StorageError> {
        let name = arguments.object();
        let Some(image) = self.own_image(job, name)? else {
            job.left(self.image_state(name));
            return Ok(());
        };
        chain::check_deletion(&self.pool, &image)?;
        check_not_open(&image)?;
        self.pool.delete(&image)?;
        job.report("Reverting", Report::finished(ImageState::Deleted));
        Ok(())
    }

    /// The image of that name, if the operation made it: another was there before, or was put in
    /// its place since.
    fn own_image(&self, job: &Job, name: &ImageName) -> Result<Option<Image>, StorageError> {
        let image = match self.pool.image(name) {
            Err(StorageError::ImageNotFound(_) | StorageError::NotAnImage(_)) => return Ok(None),
            found => found?,
        };
        let is_own = self
            .pool
            .origins
            .is_made_by(name, &image.file, job.identity())
            .map_err(during("reading who made the image"))?;
        Ok(is_own.then_some(image))
    }

    /// Gives an image the size back that it had before the operation, if it is the very file that
    /// the operation resized.
    fn size_back(&self, job: &Job, arguments: &ResizeArguments) -> Result<(), StorageError> {
        let name = &arguments.image;
        let _read_by_nobody = self.gate.resize(name, job)?;
        let image = match self.pool.image(name) {
            Err(StorageError::ImageNotFound(_) | StorageError::NotAnImage(_)) => {
                job.left(self.image_state(name));
                return Ok(());
            }
            found => found?,
        };
        // Nothing is on record if it did not come so far, or if the image is another file by now.
        let Some(sizes) = self.own_sizes(job, &image)? else {
            job.left(self.image_state(name));
            return Ok(());
        };
        let Sizes {
            before_bytes,
            after_bytes,
        } = sizes;
        let current_bytes = image.size_bytes()?;
        if current_bytes != before_bytes {
            if current_bytes != after_bytes {
                return Err(StorageError::ImageResized {
                    image: name.clone(),
                    current_bytes,
                    before_bytes,
                });
            }
            self.check_resizable(&image)?;
            self.set_size(job, &image, before_bytes)?;
        }
        job.report("Reverting", Report::finished(ImageState::Ok));
        Ok(())
    }

    /// The size of an image before the operation, which is on record when this returns.
    pub(super) fn size_before(
        &self,
        job: &Job,
        image: &Image,
        size_bytes: u64,
    ) -> Result<u64, StorageError> {
        if job.is_repeated()
            && let Some(own) = self.own_sizes(job, image)?
        {
            return Ok(own.before_bytes);
        }
        let sizes = Sizes {
            before_bytes: image.size_bytes()?,
            after_bytes: rounded(image.format, size_bytes),
        };
        self.pool
            .sizes_before
            .record(
                image,
                job.identity(),
                sizes,
                &self.pool.scratch(&image.name),
            )
            .map_err(during("recording the size before"))?;
        Ok(sizes.before_bytes)
    }

    /// The sizes of an image before and after the operation, as it put them on record.
    fn own_sizes(&self, job: &Job, image: &Image) -> Result<Option<Sizes>, StorageError> {
        let own = self.pool.sizes_before.by(image, &job.identity());
        own.map_err(during("reading the size before"))
    }
}
