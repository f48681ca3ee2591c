//! Undoing what an operation has done: an image that it made is removed, one that it resized gets
//! its size back. What it did not do is left alone, and what is undone already is no failure.

use opstead_core::{Failure, Json};
use serde::Deserialize;

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
use crate::engine::executor::Past;
use crate::subsystems::unknown_method;

/// What a resize has returned.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resized {
    size_bytes: u64,
    previous_size_bytes: u64,
}

impl Workshop {
    /// Undoes what an operation has done.
    pub(super) fn revert(&self, job: &Job, arguments: &Json, past: &Past) -> Result<(), Failure> {
        match job.method_name() {
            methods::CREATE_IMAGE => self.attempt(job, arguments, Self::remove::<CreateArguments>),
            methods::CREATE_OVERLAY => {
                self.attempt(job, arguments, Self::remove::<OverlayArguments>)
            }
            methods::COPY_IMAGE => self.attempt(job, arguments, Self::remove::<CopyArguments>),
            methods::IMPORT_IMAGE => self.attempt(job, arguments, Self::remove::<ImportArguments>),
            methods::RESIZE_IMAGE => self.attempt(job, arguments, |workshop, job, arguments| {
                workshop.size_back(job, arguments, past)
            }),
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
            .is_made_by(name, &image.file, job.operation_id())
            .map_err(during("reading who made the image"))?;
        Ok(is_own.then_some(image))
    }

    /// Gives an image the size back that it had before the operation.
    fn size_back(
        &self,
        job: &Job,
        arguments: &ResizeArguments,
        past: &Past,
    ) -> Result<(), StorageError> {
        let name = &arguments.image;
        let _read_by_nobody = self.gate.resize(name, job)?;
        let image = match self.pool.image(name) {
            Err(StorageError::ImageNotFound(_)) => {
                job.left(Some(ImageState::Deleted));
                return Ok(());
            }
            found => found?,
        };
        let Some((before_bytes, after_bytes)) = self.resized(job, name, past)? else {
            job.left(self.image_state(name));
            return Ok(());
        };
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

    /// The sizes before and after an operation; none if it did not come so far.
    fn resized(
        &self,
        job: &Job,
        name: &ImageName,
        past: &Past,
    ) -> Result<Option<(u64, u64)>, StorageError> {
        if let Ok(result) = &past.outcome
            && let Ok(resized) = result.parse::<Resized>()
        {
            return Ok(Some((resized.previous_size_bytes, resized.size_bytes)));
        }
        let recorded = self.pool.sizes_before.of(name, job.operation_id());
        let recorded = recorded.map_err(during("reading the size before"))?;
        Ok(recorded.map(|known| (known.before_bytes, known.after_bytes)))
    }

    /// The size of an image before the operation, which is on record when this returns. A first
    /// attempt finds nothing of its own: an id may come again once its operation is forgotten.
    pub(super) fn size_before(
        &self,
        job: &Job,
        image: &Image,
        size_bytes: u64,
    ) -> Result<u64, StorageError> {
        let (name, operation_id) = (&image.name, job.operation_id());
        let records = &self.pool.sizes_before;
        if job.is_repeated() {
            let recorded = records.of(name, operation_id);
            let recorded = recorded.map_err(during("reading the size before"))?;
            if let Some(known) = recorded {
                return Ok(known.before_bytes);
            }
        }
        let before_bytes = image.size_bytes()?;
        let sizes = (before_bytes, rounded(image.format, size_bytes));
        records
            .record(name, operation_id, sizes, &self.pool.scratch(name))
            .map_err(during("recording the size before"))?;
        Ok(before_bytes)
    }
}
