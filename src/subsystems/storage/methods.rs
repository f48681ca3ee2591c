//! The methods as others see them: their declarations, and the types their kwargs are read into.

use std::fmt;
use std::sync::Arc;

use opstead_core::{ClaimOperation, Declaration, MethodKind};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::subsystems::{claim, operation, shared};

pub(super) const SUBSYSTEM: &str = "storage";
pub(super) const CREATE_IMAGE: &str = "storage.createImage";
pub(super) const COPY_IMAGE: &str = "storage.copyImage";
pub(super) const RESIZE_IMAGE: &str = "storage.resizeImage";
pub(super) const DELETE_IMAGE: &str = "storage.deleteImage";
pub(super) const IMPORT_IMAGE: &str = "storage.importImage";
pub(super) const GET_IMAGE_INFO: &str = "storage.getImageInfo";

/// The pattern of an image's name: it is a plain file name that no shell or tool takes for an
/// option or hides. [`ImageName`] says the same in code.
const NAME_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$";
const NAME_MAX_BYTES: usize = 128;

/// The largest size: a pebibyte.
const SIZE_MAX_BYTES: u64 = 1 << 50;

/// The name of an image, checked: one path component that leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
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

/// Kwargs of `createImage` and `resizeImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SizedArguments {
    pub(super) image: ImageName,
    pub(super) size_bytes: SizeBytes,
}

/// Kwargs of `copyImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyArguments {
    pub(super) source: ImageName,
    pub(super) target: ImageName,
}

/// Kwargs of `importImage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportArguments {
    pub(super) image: ImageName,
    pub(super) path: String,
}

/// Kwargs of `deleteImage` and `getImageInfo`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageArguments {
    pub(super) image: ImageName,
}

/// What the subsystem offers. Only what moves data takes long enough to be canceled; the others
/// are one step that is done or not.
pub(super) fn declarations() -> Vec<Arc<Declaration>> {
    let create = on_image(
        CREATE_IMAGE,
        "Makes an empty image that takes no space until it is written to.",
        json!({"image": name("the image to make"), "sizeBytes": size()}),
        ClaimOperation::Create,
    );
    let copy = Declaration {
        object: Some("Image.{target}".into()),
        claims: vec![
            claim("image", "{source}", ClaimOperation::Read),
            claim("image", "{target}", ClaimOperation::Create),
        ],
        cancelable: true,
        ..on_image(
            COPY_IMAGE,
            "Copies an image under a new name; holes stay holes.",
            json!({"source": name("the image to copy"), "target": name("the image to make")}),
            ClaimOperation::Create,
        )
    };
    let resize = on_image(
        RESIZE_IMAGE,
        "Makes an image larger or smaller at its end; what is cut off is lost.",
        json!({"image": name("the image to resize"), "sizeBytes": size()}),
        ClaimOperation::Update,
    );
    let delete = on_image(
        DELETE_IMAGE,
        "Deletes an image.",
        json!({"image": name("the image to delete")}),
        ClaimOperation::Delete,
    );
    let path = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 4096,
        "description": "an absolute path into one of the folders that imports are allowed from",
    });
    let import = Declaration {
        cancelable: true,
        ..on_image(
            IMPORT_IMAGE,
            "Copies a file from one of the allowed folders into the pool.",
            json!({"image": name("the image to make"), "path": path}),
            ClaimOperation::Create,
        )
    };
    let info = Declaration {
        kind: MethodKind::Query,
        object: None,
        claims: Vec::new(),
        ..on_image(
            GET_IMAGE_INFO,
            "Tells how an image stands and what is being done to it.",
            json!({"image": name("the image to tell of")}),
            ClaimOperation::Read,
        )
    };
    shared([create, copy, resize, delete, import, info])
}

/// A method on the object and resource of its kwarg `image`; every kwarg is required.
fn on_image(
    method: &str,
    summary: &str,
    properties: Value,
    claimed_for: ClaimOperation,
) -> Declaration {
    let required: Vec<String> = properties
        .as_object()
        .map(|members| members.keys().cloned().collect())
        .unwrap_or_default();
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    Declaration {
        object: Some("Image.{image}".into()),
        claims: vec![claim("image", "{image}", claimed_for)],
        ..operation(method, summary, properties, &required)
    }
}

fn name(description: &str) -> Value {
    json!({"type": "string", "pattern": NAME_PATTERN, "description": description})
}

fn size() -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": SIZE_MAX_BYTES,
        "description": "how large the image is to be",
    })
}
