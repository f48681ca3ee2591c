//! What each method does, in terms of the pool, copying and reports.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use opstead_core::{Failure, Json};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Serialize;

use super::copy::Copy;
use super::error::{StorageError, during};
use super::import::ImportFolders;
use super::job::{Bytes, ImageState, Job, Report};
use super::methods::{
    self, CopyArguments, ImageArguments, ImageName, ImportArguments, SizedArguments,
};
use super::partial::Partial;
use super::pool::Pool;
use super::throttle::Throttle;
use crate::engine::executor::QueryContext;
use crate::subsystems::{parse_arguments, unknown_method};

/// All that the methods work with.
pub(super) struct Workshop {
    pub(super) pool: Arc<Pool>,
    pub(super) import_folders: ImportFolders,
    pub(super) throttle: Option<Throttle>,
}

/// What a new image is filled with.
enum Content {
    /// Nothing; it reads as zeros.
    Empty { size_bytes: u64 },
    /// All that a file holds.
    File(File),
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

/// The answer of `getImageInfo`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageInfo<'a> {
    image: &'a str,
    format: &'static str,
    size_bytes: u64,
    allocated_bytes: u64,
    image_state: ImageState,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_info: Option<Json>,
}

impl Workshop {
    /// Carries out one attempt.
    pub(super) fn execute(&self, job: &Job, arguments: &Json) -> Result<Json, Failure> {
        let outcome = match job.method_name() {
            methods::CREATE_IMAGE => self.create_image(job, &parse_arguments(arguments)?),
            methods::COPY_IMAGE => self.copy_image(job, &parse_arguments(arguments)?),
            methods::RESIZE_IMAGE => self.resize_image(job, &parse_arguments(arguments)?),
            methods::DELETE_IMAGE => self.delete_image(job, &parse_arguments(arguments)?),
            methods::IMPORT_IMAGE => self.import_image(job, &parse_arguments(arguments)?),
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

    fn create_image(&self, job: &Job, arguments: &SizedArguments) -> Result<Json, StorageError> {
        let size_bytes = arguments.size_bytes.0;
        self.make(job, "Creating", &arguments.image, || {
            Ok(Content::Empty { size_bytes })
        })
    }

    fn copy_image(&self, job: &Job, arguments: &CopyArguments) -> Result<Json, StorageError> {
        self.make(job, "Copying", &arguments.target, || {
            let source = self.pool.image(&arguments.source, OFlags::RDONLY)?;
            Ok(Content::File(source))
        })
    }

    fn import_image(&self, job: &Job, arguments: &ImportArguments) -> Result<Json, StorageError> {
        self.make(job, "Copying", &arguments.image, || {
            let source = self.import_folders.open_file(&arguments.path)?;
            Ok(Content::File(source))
        })
    }

    fn resize_image(&self, job: &Job, arguments: &SizedArguments) -> Result<Json, StorageError> {
        let (image, size_bytes) = (&arguments.image, arguments.size_bytes.0);
        let file = self.pool.image(image, OFlags::RDWR)?;
        job.report("Resizing", Report::begun(ImageState::Ok));
        set_size(&file, size_bytes)?;
        file.sync_all().map_err(during("resizing the image"))?;
        job.report("Resizing", Report::finished(ImageState::Ok));
        Ok(result(image, Some(size_bytes)))
    }

    fn delete_image(&self, job: &Job, arguments: &ImageArguments) -> Result<Json, StorageError> {
        let image = &arguments.image;
        match self.pool.delete(image) {
            // What was asked for is the case, most likely by the attempt before.
            Err(StorageError::ImageNotFound(_)) if job.is_repeated() => {}
            other => other?,
        }
        job.report("Deleting", Report::finished(ImageState::Deleted));
        Ok(result(image, None))
    }

    /// Makes an image and gives it its name when it is whole and on disk.
    fn make(
        &self,
        job: &Job,
        description: &str,
        image: &ImageName,
        content: impl FnOnce() -> Result<Content, StorageError>,
    ) -> Result<Json, StorageError> {
        if let Some(size_bytes) = self.made_before(job, image)? {
            job.report(description, Report::finished(ImageState::Ok));
            return Ok(result(image, Some(size_bytes)));
        }
        let content = content()?;
        let partial = Partial::begin(&self.pool, image)?;
        job.report(description, Report::begun(ImageState::Creating));
        match self.fill_and_publish(job, description, partial, content) {
            Ok(size_bytes) => Ok(result(image, Some(size_bytes))),
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
    fn made_before(&self, job: &Job, image: &ImageName) -> Result<Option<u64>, StorageError> {
        let file = match self.pool.image(image, OFlags::RDONLY) {
            Ok(file) => file,
            Err(StorageError::ImageNotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let ours = job.is_repeated()
            && self
                .pool
                .origins
                .is_made_by(image.as_str(), &file, job.operation_id())
                .map_err(during("reading who made the image"))?;
        if !ours {
            return Err(StorageError::ImageExists(image.clone()));
        }
        // The attempt before may have died between giving the name and putting it on disk.
        rustix::fs::fsync(&self.pool.folder).map_err(during("putting the image's name on disk"))?;
        let metadata = file.metadata().map_err(during("looking at the image"))?;
        Ok(Some(metadata.len()))
    }

    fn fill_and_publish(
        &self,
        job: &Job,
        description: &str,
        partial: Partial,
        content: Content,
    ) -> Result<u64, StorageError> {
        let (size_bytes, bytes) = match content {
            Content::Empty { size_bytes } => {
                set_size(partial.file(), size_bytes)?;
                (size_bytes, None)
            }
            Content::File(source) => {
                let (size_bytes, bytes) = self.copy_data(job, description, &partial, &source)?;
                (size_bytes, Some(bytes))
            }
        };
        partial.sync()?;
        job.check()?;
        partial.publish(job.operation_id())?;
        let finished = Report {
            bytes,
            ..Report::finished(ImageState::Ok)
        };
        job.report(description, finished);
        Ok(size_bytes)
    }

    fn copy_data(
        &self,
        job: &Job,
        description: &str,
        partial: &Partial,
        source: &File,
    ) -> Result<(u64, Bytes), StorageError> {
        let metadata = source.metadata().map_err(during("looking at the source"))?;
        set_size(partial.file(), metadata.len())?;
        let copy = Copy {
            source,
            target: partial.file(),
            size_bytes: metadata.len(),
            throttle: self.throttle.as_ref(),
            job,
        };
        let bytes = copy.run(|bytes| job.report(description, Report::copied(bytes)))?;
        let syncing = Report {
            stage_description: "putting the image on disk",
            ..Report::copied(bytes)
        };
        job.report(description, syncing);
        Ok((metadata.len(), bytes))
    }

    fn image_info(&self, image: &ImageName, query: &QueryContext) -> Result<Json, StorageError> {
        // In this order: an image that gets its name between the two looks is found by one of them.
        let in_the_making = self.pool.image_in_the_making(image);
        let (metadata, image_state) = match self.pool.image(image, OFlags::RDONLY) {
            Ok(file) => (file.metadata(), ImageState::Ok),
            Err(StorageError::ImageNotFound(name)) => match in_the_making {
                Some(file) => (file.metadata(), ImageState::Creating),
                None => return Err(StorageError::ImageNotFound(name)),
            },
            Err(error) => return Err(error),
        };
        let metadata = metadata.map_err(during("looking at the image"))?;
        let info = ImageInfo {
            image: image.as_str(),
            format: "raw",
            size_bytes: metadata.len(),
            allocated_bytes: metadata.blocks() * 512,
            image_state,
            operation_info: query.objects.operation_info(&image.alert_name()),
        };
        Ok(Json::from_value(&info).expect("image info is JSON"))
    }
}

fn set_size(file: &File, size_bytes: u64) -> Result<(), StorageError> {
    file.set_len(size_bytes)
        .map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::FBIG) => StorageError::ImageTooLarge { size_bytes },
            _ => during("sizing the image")(error),
        })
}

fn result(image: &ImageName, size_bytes: Option<u64>) -> Json {
    let result = ImageResult {
        image: image.as_str(),
        size_bytes,
    };
    Json::from_value(&result).expect("the result is JSON")
}
