//! Making an image: filling a file that nobody knows yet, and giving it its name when it is whole and
//! on disk.

use std::fs::File;

use opstead_core::Json;

use super::arguments::{Format, ImageName, SIZE_MAX_BYTES};
use super::copy::Copy;
use super::error::{StorageError, during};
use super::image::Image;
use super::job::{Bytes, ImageState, Job, Report};
use super::operations::{Workshop, result, set_size};
use super::partial::Partial;

/// What a new image is filled with.
pub(super) enum Content {
    /// Nothing; it reads as zeros.
    Empty { size_bytes: u64 },
    /// Nothing of its own; it reads as the image that it is built on.
    Overlay {
        backing: Image,
        size_bytes: Option<u64>,
    },
    /// All that a file holds, byte by byte.
    File(File),
    /// All that a guest sees of an image, and what takes its place where formats differ.
    Image { source: Image, total_bytes: u64 },
}

/// What is to be made.
pub(super) struct New<'a> {
    pub(super) image: &'a ImageName,
    pub(super) format: Format,
    pub(super) description: &'static str,
}

impl Workshop {
    /// Makes an image and gives it its name when it is whole and on disk.
    pub(super) fn make(
        &self,
        job: &Job,
        new: &New<'_>,
        content: impl FnOnce() -> Result<Content, StorageError>,
    ) -> Result<Json, StorageError> {
        if let Some(size_bytes) = self.made_before(job, new.image)? {
            job.report(new.description, Report::finished(ImageState::Ok));
            return Ok(result(new.image, Some(size_bytes)));
        }
        let content = content()?;
        let partial = Partial::begin(&self.pool, new.image, new.format)?;
        job.report(new.description, Report::begun(ImageState::Creating));
        let size_bytes = self.fill_and_publish(job, new.description, partial, content)?;
        Ok(result(new.image, Some(size_bytes)))
    }

    /// The size of the image if an earlier attempt of this operation has made it; an error if
    /// anybody else has.
    fn made_before(&self, job: &Job, name: &ImageName) -> Result<Option<u64>, StorageError> {
        let image = match self.pool.image(name) {
            Ok(image) => image,
            Err(StorageError::ImageNotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let ours = job.is_repeated()
            && self
                .pool
                .origins
                .is_made_by(name, &image.file, job.identity())
                .map_err(during("reading who made the image"))?;
        if !ours {
            return Err(StorageError::ImageExists(name.clone()));
        }
        // The attempt before may have died between giving the name and putting it on disk.
        rustix::fs::fsync(self.pool.place(image.format))
            .map_err(during("putting the image's name on disk"))?;
        image.size_bytes().map(Some)
    }

    fn fill_and_publish(
        &self,
        job: &Job,
        description: &str,
        partial: Partial,
        content: Content,
    ) -> Result<u64, StorageError> {
        let bytes = self.fill(job, description, &partial, content)?;
        partial.sync()?;
        job.check()?;
        let size_bytes = partial.image().size_bytes()?;
        partial.publish(job.identity())?;
        let finished = Report {
            bytes,
            ..Report::finished(ImageState::Ok)
        };
        job.report(description, finished);
        Ok(size_bytes)
    }

    /// Fills a new image; returns what was copied, if that was how.
    fn fill(
        &self,
        job: &Job,
        description: &str,
        partial: &Partial,
        content: Content,
    ) -> Result<Option<Bytes>, StorageError> {
        let qemu_img = self.qemu_img(job);
        match (content, partial.image().format) {
            (Content::Empty { size_bytes }, Format::Raw) => {
                set_size(&partial.image().file, size_bytes)?;
                Ok(None)
            }
            (Content::Empty { size_bytes }, Format::Qcow2) => {
                qemu_img.create(&partial.target(), size_bytes)?;
                Ok(None)
            }
            (
                Content::Overlay {
                    backing,
                    size_bytes,
                },
                _,
            ) => {
                qemu_img.create_overlay(&partial.target(), &backing, size_bytes)?;
                Ok(None)
            }
            (Content::File(source), Format::Raw) => {
                self.copy_data(job, description, partial, &source).map(Some)
            }
            (Content::File(source), Format::Qcow2) => {
                // Better to say so before the copying than after.
                qemu_img.require(&partial.image().name)?;
                let bytes = self.copy_data(job, description, partial, &source)?;
                self.check_foreign(job, partial)?;
                Ok(Some(bytes))
            }
            (
                Content::Image {
                    source,
                    total_bytes,
                },
                _,
            ) => self
                .convert(job, description, partial, &source, total_bytes)
                .map(Some),
        }
    }

    fn copy_data(
        &self,
        job: &Job,
        description: &str,
        partial: &Partial,
        source: &File,
    ) -> Result<Bytes, StorageError> {
        let metadata = source.metadata().map_err(during("looking at the source"))?;
        let target = &partial.image().file;
        set_size(target, metadata.len())?;
        let copy = Copy {
            source,
            target,
            size_bytes: metadata.len(),
            throttle: self.throttle.as_ref(),
            job,
        };
        let bytes = copy.run(|bytes| job.report(description, Report::copied(bytes)))?;
        job.report(description, Report::syncing(bytes));
        Ok(bytes)
    }

    /// Has `qemu-img` copy an image, with whatever it is built on.
    fn convert(
        &self,
        job: &Job,
        description: &str,
        partial: &Partial,
        source: &Image,
        total_bytes: u64,
    ) -> Result<Bytes, StorageError> {
        let mut bytes = Bytes::part(0.0, total_bytes);
        let progress = |percentage| {
            let before = bytes.done;
            bytes = Bytes::part(percentage, total_bytes);
            self.charge(bytes.done.saturating_sub(before));
            job.report(description, Report::copied(bytes));
        };
        self.qemu_img(job)
            .convert(source, &partial.target(), progress)?;
        let bytes = Bytes::part(100.0, total_bytes);
        job.report(description, Report::syncing(bytes));
        Ok(bytes)
    }

    /// Refuses what was copied from somewhere else as a qcow2 image and is none, or not by itself:
    /// its header could name any file of this machine, for whoever opens the image to read. It is
    /// our copy that is looked at, which nobody can change any more.
    fn check_foreign(&self, job: &Job, partial: &Partial) -> Result<(), StorageError> {
        let not_importable = |finding: String| StorageError::NotImportable { finding };
        let refuse_broken = |error| match error {
            StorageError::ImageBroken { finding, .. } => not_importable(finding),
            other => other,
        };
        let header = partial.image().header().map_err(refuse_broken)?;
        if let Some(obstacle) = header.obstacle() {
            return Err(not_importable(obstacle.to_owned()));
        }
        if header.size_bytes > SIZE_MAX_BYTES {
            return Err(StorageError::ImageTooLarge {
                size_bytes: header.size_bytes,
            });
        }
        let target = partial.target();
        let findings = self
            .qemu_img(job)
            .check(target.path, target.name)
            .map_err(refuse_broken)?;
        if findings.is_broken() {
            let counted = format!("it is corrupt in {} places", findings.corruptions);
            return Err(not_importable(counted));
        }
        Ok(())
    }
}
