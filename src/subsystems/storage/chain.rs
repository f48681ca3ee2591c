//! What is built on what, and what may therefore not be done.
//!
//! The claims of an operation name the images that it was given. Those further down are kept as
//! they are by this: an image that another is built on is not deleted, resized or merged into, and
//! it has another on it for as long as that other has somebody who works on it.

use super::arguments::{Format, ImageName};
use super::damage::{Damage, Merge};
use super::error::StorageError;
use super::image::Image;
use super::job::ImageState;
use super::pool::Pool;

/// What somebody wants to do with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Only to read it.
    Read,
    /// To change it, or to build on it.
    Change,
}

/// A longer chain is taken for a ring.
const CHAIN_MOST: usize = 1000;

/// The images that an image is built on, the nearest first.
pub(super) fn beneath(pool: &Pool, image: &Image) -> Result<Vec<Image>, StorageError> {
    let mut chain: Vec<Image> = Vec::new();
    while let Some((format, name)) = chain.last().unwrap_or(image).backing()? {
        let upper = chain.last().unwrap_or(image);
        let lower = pool.image_in(&name, format).map_err(|error| match error {
            StorageError::ImageNotFound(name) => {
                upper.broken(format!("it is built on {:?}, which is gone", name.as_str()))
            }
            other => other,
        })?;
        if chain.len() == CHAIN_MOST {
            return Err(image.broken("it is built on too many images, or on itself"));
        }
        chain.push(lower);
    }
    Ok(chain)
}

/// The images that are built on an image directly, in order of their names.
pub(super) fn dependants(pool: &Pool, image: &Image) -> Result<Vec<ImageName>, StorageError> {
    let wanted = Some((image.format, image.name.clone()));
    let mut found = Vec::new();
    for name in pool.qcow2_images()? {
        let backing = pool
            .image_in(&name, Format::Qcow2)
            .and_then(|image| image.backing());
        match backing {
            Ok(backing) if backing == wanted => found.push(name),
            // What is no image, or vanishes meanwhile, is built on nothing.
            Ok(_)
            | Err(
                StorageError::ImageNotFound(_)
                | StorageError::NotAnImage(_)
                | StorageError::ImageBroken { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort();
    Ok(found)
}

/// Refuses an image that others are built on.
pub(super) fn check_no_dependants(pool: &Pool, image: &Image) -> Result<(), StorageError> {
    let dependants = dependants(pool, image)?;
    if dependants.is_empty() {
        return Ok(());
    }
    Err(StorageError::ImageHasDependants {
        image: image.name.clone(),
        dependants,
    })
}

/// Refuses an image that is not fit for use, itself or by what it is built on. Returns the latter.
pub(super) fn check_use(
    pool: &Pool,
    image: &Image,
    wanted: Use,
) -> Result<Vec<Image>, StorageError> {
    check_state(pool, image, None)?;
    let chain = beneath(pool, image)?;
    let mut upper = image;
    for lower in &chain {
        // Through the image that was merged everything reads as it should.
        let reads_through = (wanted == Use::Read).then_some(&upper.name);
        check_state(pool, lower, reads_through)?;
        upper = lower;
    }
    Ok(chain)
}

/// Refuses an image that must not be deleted: one that others are built on, or that holds what its
/// backing image lacks.
pub(super) fn check_deletion(pool: &Pool, image: &Image) -> Result<(), StorageError> {
    check_no_dependants(pool, image)?;
    let backing = match image.backing() {
        Ok(Some((format, name))) => pool.image_in(&name, format),
        // What is broken holds nothing that anybody could still get at.
        Ok(None) | Err(StorageError::ImageBroken { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    match backing.and_then(|backing| check_state(pool, &backing, None)) {
        Err(StorageError::ImageDegraded { image: of, overlay }) if overlay == image.name => {
            Err(StorageError::ImageDegraded { image: of, overlay })
        }
        Ok(())
        | Err(
            StorageError::ImageDegraded { .. }
            | StorageError::ImageBroken { .. }
            | StorageError::ImageNotFound(_),
        ) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How an image stands, not looking at what it is built on.
pub(super) fn state(pool: &Pool, image: &Image) -> Result<ImageState, StorageError> {
    if pool.is_merging(&image.name) {
        return Ok(ImageState::Merging);
    }
    match check_state(pool, image, None) {
        Ok(()) => Ok(ImageState::Ok),
        Err(StorageError::ImageDegraded { .. }) => Ok(ImageState::Degraded),
        Err(StorageError::ImageBroken { .. }) => Ok(ImageState::Broken),
        Err(error) => Err(error),
    }
}

/// Refuses an image that is broken, or half written by the merge of another image than that.
fn check_state(
    pool: &Pool,
    image: &Image,
    reads_through: Option<&ImageName>,
) -> Result<(), StorageError> {
    let damage = Damage::of(pool, &image.name)?;
    if damage.corrupt {
        return Err(image.broken("a check has found it corrupt"));
    }
    image.check_header()?;
    let Some(Merge { overlay, .. }) = damage.merge else {
        return Ok(());
    };
    if Some(&overlay) == reads_through {
        return Ok(());
    }
    match pool.image(&overlay) {
        Err(StorageError::ImageNotFound(_)) => Err(image.broken(format!(
            "merging {:?} into it did not end, and that image is gone",
            overlay.as_str()
        ))),
        _ => Err(StorageError::ImageDegraded {
            image: image.name.clone(),
            overlay,
        }),
    }
}
