//! What each method does, in terms of the pool, copying and reports. The longer ones have files of
//! their own: `merge`, `check`, `info`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use opstead_core::{Failure, Json};
use rustix::io::Errno;
use serde::Serialize;

use super::arguments::{
    CopyArguments, CreateArguments, Format, ImageArguments, ImageName, ImportArguments,
    OverlayArguments, ResizeArguments, SIZE_MAX_BYTES,
};
use super::chain::{self, Use};
use super::copy::Copy;
use super::error::{StorageError, during};
use super::gate::Gate;
use super::image::Image;
use super::import::ImportFolders;
use super::job::{Bytes, ImageState, Job, Report};
use super::methods;
use super::partial::Partial;
use super::pool::Pool;
use super::qemu::QemuImg;
use super::throttle::Throttle;
use crate::engine::executor::QueryContext;
use crate::subsystems::{parse_arguments, unknown_method};

/// All that the methods work with.
pub(super) struct Workshop {
    pub(super) pool: Arc<Pool>,
    pub(super) import_folders: ImportFolders,
    pub(super) throttle: Option<Throttle>,
    pub(super) gate: Gate,
    /// The program `qemu-img`, which need not be there.
    pub(super) qemu_img: PathBuf,
    /// Our own program, which guards it.
    pub(super) guard: PathBuf,
    /// How many operations may run at once.
    pub(super) capacity: u32,
}

/// What a new image is filled with.
enum Content {
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
struct New<'a> {
    image: &'a ImageName,
    format: Format,
    description: &'static str,
}

/// The result of an operation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageResult<'a> {
    image: &'a str,
    /// Left out for an image that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
}

impl Workshop {
    /// Carries out one attempt.
    pub(super) fn execute(&self, job: &Job, arguments: &Json) -> Result<Json, Failure> {
        let outcome = match job.method_name() {
            methods::CREATE_IMAGE => self.create_image(job, &parse_arguments(arguments)?),
            methods::CREATE_OVERLAY => self.create_overlay(job, &parse_arguments(arguments)?),
            methods::COPY_IMAGE => self.copy_image(job, &parse_arguments(arguments)?),
            methods::IMPORT_IMAGE => self.import_image(job, &parse_arguments(arguments)?),
            methods::RESIZE_IMAGE => self.resize_image(job, &parse_arguments(arguments)?),
            methods::MERGE_IMAGE => self.merge_image(job, &parse_arguments(arguments)?),
            methods::CHECK_IMAGE => self.check_image(job, &parse_arguments(arguments)?),
            methods::DELETE_IMAGE => self.delete_image(job, &parse_arguments(arguments)?),
            other => return Err(unknown_method(other)),
        };
        outcome.map_err(StorageError::into_failure)
    }

    /// Answers a query.
    pub(super) fn query(&self, query: &QueryContext, arguments: &Json) -> Result<Json, Failure> {
        match &*query.method_name {
            methods::GET_IMAGE_INFO => {
                let arguments: ImageArguments = parse_arguments(arguments)?;
                self.image_info(&arguments.image, query)
                    .map_err(StorageError::into_failure)
            }
            other => Err(unknown_method(other)),
        }
    }

    /// `qemu-img` for an attempt, with its share of what copies may write.
    pub(super) fn qemu_img<'a>(&'a self, job: &'a Job) -> QemuImg<'a> {
        let throttle = self.throttle.as_ref();
        QemuImg {
            program: &self.qemu_img,
            guard: &self.guard,
            pool: &self.pool,
            job,
            bytes_per_second: throttle.map(|throttle| throttle.share(self.capacity)),
        }
    }

    /// Has others take into account what `qemu-img` has written by its share.
    pub(super) fn charge(&self, bytes: u64) {
        if let Some(throttle) = &self.throttle {
            throttle.take_turn(bytes);
        }
    }

    fn create_image(&self, job: &Job, arguments: &CreateArguments) -> Result<Json, StorageError> {
        let new = New {
            image: &arguments.image,
            format: arguments.format.unwrap_or(Format::Raw),
            description: "Creating",
        };
        let size_bytes = arguments.size_bytes.0;
        self.make(job, &new, || Ok(Content::Empty { size_bytes }))
    }

    fn create_overlay(
        &self,
        job: &Job,
        arguments: &OverlayArguments,
    ) -> Result<Json, StorageError> {
        let new = New {
            image: &arguments.image,
            format: Format::Qcow2,
            description: "Creating",
        };
        let _resized_by_nobody = self.gate.read(&arguments.backing_image, job)?;
        self.make(job, &new, || {
            let backing = self.pool.image(&arguments.backing_image)?;
            chain::check_use(&self.pool, &backing, Use::Change)?;
            Ok(Content::Overlay {
                backing,
                size_bytes: arguments.size_bytes.map(|size| size.0),
            })
        })
    }

    fn copy_image(&self, job: &Job, arguments: &CopyArguments) -> Result<Json, StorageError> {
        let _resized_by_nobody = self.gate.read(&arguments.source, job)?;
        let source = self.pool.image(&arguments.source)?;
        let new = New {
            image: &arguments.target,
            format: arguments.format.unwrap_or(source.format),
            description: "Copying",
        };
        self.make(job, &new, || {
            let beneath = chain::check_use(&self.pool, &source, Use::Read)?;
            if (source.format, new.format) == (Format::Raw, Format::Raw) {
                return Ok(Content::File(source.file));
            }
            let mut total_bytes = source.allocated_bytes()?;
            for image in &beneath {
                total_bytes += image.allocated_bytes()?;
            }
            Ok(Content::Image {
                source,
                total_bytes,
            })
        })
    }

    fn import_image(&self, job: &Job, arguments: &ImportArguments) -> Result<Json, StorageError> {
        let new = New {
            image: &arguments.image,
            format: arguments.format.unwrap_or(Format::Raw),
            description: "Copying",
        };
        self.make(job, &new, || {
            let source = self.import_folders.open_file(&arguments.path)?;
            Ok(Content::File(source))
        })
    }

    fn resize_image(&self, job: &Job, arguments: &ResizeArguments) -> Result<Json, StorageError> {
        let _read_by_nobody = self.gate.resize(&arguments.image, job)?;
        let image = self.pool.image(&arguments.image)?;
        chain::check_no_dependants(&self.pool, &image)?;
        chain::check_use(&self.pool, &image, Use::Change)?;
        job.report("Resizing", Report::begun(ImageState::Ok));
        self.set_size(job, &image, arguments.size_bytes.0)?;
        job.report("Resizing", Report::finished(ImageState::Ok));
        Ok(result(&image.name, Some(image.size_bytes()?)))
    }

    /// Makes an image larger or smaller; it is on disk when this returns.
    pub(super) fn set_size(
        &self,
        job: &Job,
        image: &Image,
        size_bytes: u64,
    ) -> Result<(), StorageError> {
        let file = self.pool.writable(image)?;
        match image.format {
            Format::Raw => set_size(&file, size_bytes)?,
            Format::Qcow2 => self.qemu_img(job).resize(image, size_bytes)?,
        }
        file.sync_all().map_err(during("resizing the image"))
    }

    fn delete_image(&self, job: &Job, arguments: &ImageArguments) -> Result<Json, StorageError> {
        let name = &arguments.image;
        match self.pool.image(name) {
            // What was asked for is the case, most likely by the attempt before.
            Err(StorageError::ImageNotFound(_)) if job.is_repeated() => {}
            found => {
                let image = found?;
                chain::check_deletion(&self.pool, &image)?;
                self.pool.delete(&image)?;
            }
        }
        job.report("Deleting", Report::finished(ImageState::Deleted));
        Ok(result(name, None))
    }

    /// Makes an image and gives it its name when it is whole and on disk.
    fn make(
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
        match self.fill_and_publish(job, new.description, partial, content) {
            Ok(size_bytes) => Ok(result(new.image, Some(size_bytes))),
            Err(error) => {
                // Nothing is left of it, and the last word on the image has to say so; unless there
                // is an image of that name after all.
                let is_other = matches!(error, StorageError::ImageExists(_));
                let state = (!is_other).then_some(ImageState::Deleted);
                job.left(state);
                Err(error)
            }
        }
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
                .is_made_by(name, &image.file, job.operation_id())
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
        partial.publish(job.operation_id())?;
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

fn set_size(file: &File, size_bytes: u64) -> Result<(), StorageError> {
    file.set_len(size_bytes)
        .map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::FBIG) => StorageError::ImageTooLarge { size_bytes },
            _ => during("sizing the image")(error),
        })
}

pub(super) fn result(image: &ImageName, size_bytes: Option<u64>) -> Json {
    let result = ImageResult {
        image: image.as_str(),
        size_bytes,
    };
    Json::from_value(&result).expect("the result is JSON")
}
