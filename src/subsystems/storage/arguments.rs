//! The kwargs of the methods: the types that they are read into, checked whatever the schema let
//! through.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::methods::SUBSYSTEM;

/// The pattern of an image's name: it is a plain file name that no shell or tool takes for an
/// option or hides. [`ImageName`] says the same in code.
pub(super) const NAME_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$";
const NAME_MAX_BYTES: usize = 128;

/// The largest size: a pebibyte.
pub(super) const SIZE_MAX_BYTES: u64 = 1 << 50;

/// Sizes of qcow2 images are multiples of this.
pub(super) const SECTOR_BYTES: u64 = 512;

/// The name of an image, checked: one path component that leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ImageName(Arc<str>);

impl ImageName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The alert name of the object that the image is.
    pub(super) fn alert_name(&self) -> String {
        format!("{SUBSYSTEM}.Image.{}", self.0)
    }
}

impl TryFrom<String> for ImageName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=NAME_MAX_BYTES).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with(['.', '-']);
        if fits {
            Ok(Self(name.into()))
        } else {
            Err(format!("{name:?} is no name of an image: {NAME_PATTERN}"))
        }
    }
}

/// The size of an image, checked. JSON Schema also calls `1e9` and `4096.0` integers, so they are
/// taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SizeBytes(pub(super) u64);

impl<'de> Deserialize<'de> for SizeBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Integer;

        impl Visitor<'_> for Integer {
            type Value = SizeBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "an integer from 1 to {SIZE_MAX_BYTES}")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<SizeBytes, E> {
                if (1..=SIZE_MAX_BYTES).contains(&value) {
                    Ok(SizeBytes(value))
                } else {
                    Err(E::invalid_value(Unexpected::Unsigned(value), &self))
                }
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<SizeBytes, E> {
                // Up to 2^50 every integer is exact as a double; the cast saturates beyond.
                if value.fract() == 0.0 && value > 0.0 {
                    self.visit_u64(value as u64)
                } else {
                    Err(E::invalid_value(Unexpected::Float(value), &self))
                }
            }
        }

        deserializer.deserialize_any(Integer)
    }
}

/// How the content of an image lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// Byte by byte; nothing in it is ever interpreted.
    Raw,
    /// QEMU's own format, which may be built on another image.
    Qcow2,
}

impl Format {
    pub(super) const ALL: [Self; 2] = [Self::Raw, Self::Qcow2];

    /// As kwargs, answers and `qemu-img` have it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Kwargs of `createImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateArguments {
    pub(super) image: ImageName,
    pub(super) size_bytes: SizeBytes,
    pub(super) format: Option<Format>,
}

/// Kwargs of `createOverlay`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct OverlayArguments {
    pub(super) image: ImageName,
    pub(super) backing_image: ImageName,
    pub(super) size_bytes: Option<SizeBytes>,
}

/// Kwargs of `copyImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyArguments {
    pub(super) source: ImageName,
    pub(super) target: ImageName,
    pub(super) format: Option<Format>,
}

/// Kwargs of `importImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportArguments {
    pub(super) image: ImageName,
    pub(super) path: String,
    pub(super) format: Option<Format>,
}

/// Kwargs of `resizeImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ResizeArguments {
    pub(super) image: ImageName,
    pub(super) size_bytes: SizeBytes,
}

/// Kwargs of `mergeImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct MergeArguments {
    pub(super) image: ImageName,
    pub(super) backing_image: ImageName,
}

/// Kwargs of `deleteImage`, `checkImage` and `getImageInfo`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageArguments {
    pub(super) image: ImageName,
}

/// Kwargs of a method, which is on the object of one image.
pub(super) trait OnImage {
    /// The image that the declaration names as the object.
    fn object(&self) -> &ImageName;
}

impl OnImage for CreateArguments {
    fn object(&self) -> &ImageName {
        &self.image
    }
}

impl OnImage for OverlayArguments {
    fn object(&self) -> &ImageName {
        &self.image
    }
}

impl OnImage for CopyArguments {
    fn object(&self) -> &ImageName {
        &self.target
    }
}

impl OnImage for ImportArguments {
    fn object(&self) -> &ImageName {
        &self.image
    }
}

impl OnImage for ResizeArguments {
    fn object(&self) -> &ImageName {
        &self.image
    }
}

impl OnImage for MergeArguments {
    fn object(&self) -> &ImageName {
        &self.backing_image
    }
}

impl OnImage for ImageArguments {
    fn object(&self) -> &ImageName {
        &self.image
    }
}
