//! What each method does, in terms of the pool and reports. The longer ones have files of their own:
//! `making`, `merge`, `check`, `info`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use opstead_core::{Failure, Json};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{
    CopyArguments, CreateArguments, Format, ImageArguments, ImageName, ImportArguments, OnImage,
    OverlayArguments, ResizeArguments, SECTOR_BYTES,
};
use super::chain::{self, Use};
use super::error::{StorageError, during};
use super::gate::Gate;
use super::image::Image;
use super::import::ImportFolders;
use super::in_use::{check_not_open, check_not_written};
use super::job::{ImageState, Job, Report};
use super::making::{Content, New};
use super::methods;
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

/// The result of an operation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageResult<'a> {
    image: &'a str,
    /// Left out for an image that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// Only of an image that was resized.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_size_bytes: Option<u64>,
}

impl Workshop {
    /// Carries out one attempt.
    pub(super) fn execute(&self, job: &Job, arguments: &Json) -> Result<Json, Failure> {
        match job.method_name() {
            methods::CREATE_IMAGE => self.attempt(job, arguments, Self::create_image),
            methods::CREATE_OVERLAY => self.attempt(job, arguments, Self::create_overlay),
            methods::COPY_IMAGE => self.attempt(job, arguments, Self::copy_image),
            methods::IMPORT_IMAGE => self.attempt(job, arguments, Self::import_image),
            methods::RESIZE_IMAGE => self.attempt(job, arguments, Self::resize_image),
            methods::MERGE_IMAGE => self.attempt(job, arguments, Self::merge_image),
            methods::CHECK_IMAGE => self.attempt(job, arguments, Self::check_image),
            methods::DELETE_IMAGE => self.attempt(job, arguments, Self::delete_image),
            other => Err(unknown_method(other)),
        }
    }

    /// Carries out a method. If it fails, its last word is how the image stands then: whatever was
    /// said of it before the operation began is gone.
    pub(super) fn attempt<A: DeserializeOwned + OnImage, T>(
        &self,
        job: &Job,
        arguments: &Json,
        method: impl FnOnce(&Self, &Job, &A) -> Result<T, StorageError>,
    ) -> Result<T, Failure> {
        let arguments: A = parse_arguments(arguments)?;
        method(self, job, &arguments).map_err(|error| {
            job.left(self.image_state(arguments.object()));
            error.into_failure()
        })
    }

    /// How an image stands; none where nobody can tell.
    pub(super) fn image_state(&self, name: &ImageName) -> Option<ImageState> {
        match self.pool.image(name) {
            Ok(image) => chain::state(&self.pool, &image).ok(),
            Err(StorageError::ImageNotFound(_)) => Some(ImageState::Deleted),
            Err(_) => None,
        }
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
            let beneath = chain::check_use(&self.pool, &backing, Use::Change)?;
            beneath
                .iter()
                .chain([&backing])
                .try_for_each(check_not_written)?;
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
            beneath
                .iter()
                .chain([&source])
                .try_for_each(check_not_written)?;
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
        let before = self.size_before(job, &image, arguments.size_bytes.0)?;
        self.check_resizable(&image)?;
        job.report("Resizing", Report::begun(ImageState::Ok));
        self.set_size(job, &image, arguments.size_bytes.0)?;
        job.report("Resizing", Report::finished(ImageState::Ok));
        let result = ImageResult {
            image: image.name.as_str(),
            size_bytes: Some(image.size_bytes()?),
            previous_size_bytes: Some(before),
        };
        Ok(Json::from_value(&result).expect("the result is JSON"))
    }

    /// Refuses an image whose size must stay.
    pub(super) fn check_resizable(&self, image: &Image) -> Result<(), StorageError> {
        chain::check_no_dependants(&self.pool, image)?;
        chain::check_use(&self.pool, image, Use::Change)?;
        check_not_open(image)
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
            Format::Qcow2 => {
                // Making an image rounds by itself.
                let size_bytes = rounded(image.format, size_bytes);
                self.qemu_img(job).resize(image, size_bytes)?;
            }
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
                check_not_open(&image)?;
                self.pool.delete(&image)?;
            }
        }
        job.report("Deleting", Report::finished(ImageState::Deleted));
        Ok(result(name, None))
    }
}

/// How large an image becomes that is to have that size.
pub(super) fn rounded(format: Format, size_bytes: u64) -> u64 {
    match format {
        Format::Raw => size_bytes,
        Format::Qcow2 => size_bytes.next_multiple_of(SECTOR_BYTES),
    }
}

pub(super) fn set_size(file: &File, size_bytes: u64) -> Result<(), StorageError> {
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
        previous_size_bytes: None,
    };
    Json::from_value(&result).expect("the result is JSON")
}
