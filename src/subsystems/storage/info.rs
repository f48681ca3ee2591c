//! How an image stands: the answer of `getImageInfo`. It is read from the disk, without `qemu-img`.

use opstead_core::Json;
use serde::Serialize;

use super::arguments::{Format, ImageName};
use super::chain;
use super::error::StorageError;
use super::image::Image;
use super::job::ImageState;
use super::operations::Workshop;
use crate::engine::executor::QueryContext;

/// The answer of `getImageInfo`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageInfo<'a> {
    image: &'a str,
    format: Format,
    /// Left out where nobody can tell, as while a qcow2 image is being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    allocated_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    backing_image: Option<ImageName>,
    /// The images that are built on it directly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependants: Vec<ImageName>,
    image_state: ImageState,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_info: Option<Json>,
}

impl Workshop {
    /// Answers `getImageInfo`.
    pub(super) fn image_info(
        &self,
        image: &ImageName,
        query: &QueryContext,
    ) -> Result<Json, StorageError> {
        // In this order: an image that gets its name between the two looks is found by one of them.
        let in_the_making = self.pool.image_in_the_making(image);
        let mut info = match (self.pool.image(image), &in_the_making) {
            (Ok(found), _) => ImageInfo {
                dependants: chain::dependants(&self.pool, &found)?,
                ..describe(&found, chain::state(&self.pool, &found)?)?
            },
            (Err(StorageError::ImageNotFound(_)), Some(made)) => {
                describe(made, ImageState::Creating)?
            }
            (Err(error), _) => return Err(error),
        };
        info.image = image.as_str();
        info.operation_info = query.objects.operation_info(&image.alert_name());
        Ok(Json::from_value(&info).expect("image info is JSON"))
    }
}

fn describe(image: &Image, image_state: ImageState) -> Result<ImageInfo<'static>, StorageError> {
    let backing = unless_broken(image.backing())?.flatten();
    Ok(ImageInfo {
        image: "",
        format: image.format,
        size_bytes: unless_broken(image.size_bytes())?,
        allocated_bytes: image.allocated_bytes()?,
        backing_image: backing.map(|(_, name)| name),
        dependants: Vec::new(),
        image_state,
        operation_info: None,
    })
}

/// Nothing of an image that is broken, or not whole yet.
fn unless_broken<T>(known: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
    match known {
        Err(StorageError::ImageBroken { .. }) => Ok(None),
        known => known.map(Some),
    }
}
