//! What is known to be wrong with an image, on disk beside it.
//!
//! A merge writes into its backing image in place. So before the first byte it is put on record that
//! the backing image is half of each; the record goes when the merge is whole and on disk. Whatever
//! ends the merge in between, the record tells everybody not to use that image by itself. The
//! overlay keeps its data until then: what is read through it is right at every moment, and merging
//! it again makes up for what was cut short.

use serde::{Deserialize, Serialize};

use super::arguments::ImageName;
use super::error::{StorageError, during};
use super::pool::Pool;

/// All that is wrong with an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Damage {
    /// The merge into it that has begun and did not end.
    pub(super) merge: Option<Merge>,
    /// A check has found it corrupt.
    pub(super) corrupt: bool,
}

/// A merge that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Merge {
    /// The image that is merged.
    pub(super) overlay: ImageName,
    pub(super) operation_id: String,
    /// Its operation has said that it did not end, so another attempt of it may merge again.
    pub(super) is_told: bool,
}

impl Damage {
    /// The damage on record.
    pub(super) fn of(pool: &Pool, image: &ImageName) -> Result<Self, StorageError> {
        let damage = pool.damages.read(image);
        Ok(damage
            .map_err(during("reading what is wrong with the image"))?
            .unwrap_or_default())
    }

    /// Puts the damage on record, durably.
    pub(super) fn record(&self, pool: &Pool, image: &ImageName) -> Result<(), StorageError> {
        let recorded = if *self == Self::default() {
            pool.damages.forget(image).map_err(Into::into)
        } else {
            pool.damages.write(image, self, &pool.scratch(image))
        };
        recorded.map_err(during("recording what is wrong with the image"))
    }
}
