//! The methods as others see them: their declarations.

use std::sync::Arc;

use opstead_core::{ClaimOperation, ClaimTemplate, Declaration, MethodKind};
use serde_json::{Value, json};

use super::arguments::{Format, NAME_PATTERN, SIZE_MAX_BYTES};
use crate::subsystems::{claim, operation, shared};

pub(super) const SUBSYSTEM: &str = "storage";
pub(super) const CREATE_IMAGE: &str = "storage.createImage";
pub(super) const CREATE_OVERLAY: &str = "storage.createOverlay";
pub(super) const COPY_IMAGE: &str = "storage.copyImage";
pub(super) const IMPORT_IMAGE: &str = "storage.importImage";
pub(super) const RESIZE_IMAGE: &str = "storage.resizeImage";
pub(super) const MERGE_IMAGE: &str = "storage.mergeImage";
pub(super) const CHECK_IMAGE: &str = "storage.checkImage";
pub(super) const DELETE_IMAGE: &str = "storage.deleteImage";
pub(super) const GET_IMAGE_INFO: &str = "storage.getImageInfo";

/// What the subsystem offers. Only what moves or reads data takes long enough to be canceled, and
/// of that not a merge, which would leave its backing image half written. The others are one step
/// that is done or not.
pub(super) fn declarations() -> Vec<Arc<Declaration>> {
    shared([
        create_image(),
        create_overlay(),
        copy_image(),
        import_image(),
        resize_image(),
        merge_image(),
        check_image(),
        delete_image(),
        get_image_info(),
    ])
}

fn create_image() -> Declaration {
    revertible(on_image(
        CREATE_IMAGE,
        "Makes an empty image that takes no space until it is written to.",
        json!({
            "image": name("the image to make"),
            "sizeBytes": size(),
            "format": format("raw if left out"),
        }),
        &["image", "sizeBytes"],
        ClaimOperation::Create,
    ))
}

fn create_overlay() -> Declaration {
    let created = on_image(
        CREATE_OVERLAY,
        "Makes a qcow2 image that reads as its backing image until it is written to.",
        json!({
            "image": name("the image to make"),
            "backingImage": name("the image to build on, which keeps its content from then on"),
            "sizeBytes": size(),
        }),
        &["image", "backingImage"],
        ClaimOperation::Create,
    );
    revertible(also_on("{backingImage}", ClaimOperation::Read, created))
}

fn copy_image() -> Declaration {
    let copied = on_image(
        COPY_IMAGE,
        "Copies an image under a new name; holes stay holes.",
        json!({
            "source": name("the image to copy"),
            "target": name("the image to make"),
            "format": format("the source's if left out"),
        }),
        &["source", "target"],
        ClaimOperation::Create,
    );
    Declaration {
        object: Some("Image.{target}".into()),
        claims: vec![
            image("{source}", ClaimOperation::Read),
            image("{target}", ClaimOperation::Create),
        ],
        cancelable: true,
        ..revertible(copied)
    }
}

fn import_image() -> Declaration {
    let path = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 4096,
        "description": "an absolute path into one of the folders that imports are allowed from",
    });
    let imported = on_image(
        IMPORT_IMAGE,
        "Copies a file from one of the allowed folders into the pool.",
        json!({
            "image": name("the image to make"),
            "path": path,
            "format": format("what the file is, which is never guessed: raw if left out"),
        }),
        &["image", "path"],
        ClaimOperation::Create,
    );
    Declaration {
        cancelable: true,
        ..revertible(imported)
    }
}

fn resize_image() -> Declaration {
    revertible(on_image(
        RESIZE_IMAGE,
        "Makes an image larger or smaller at its end; what is cut off is lost.",
        json!({"image": name("the image to resize"), "sizeBytes": size()}),
        &["image", "sizeBytes"],
        ClaimOperation::Update,
    ))
}

/// The backing image is made anew, in place: whoever reads it waits until it is whole again, which
/// is what `create` says to them. The overlay is gone afterwards.
fn merge_image() -> Declaration {
    let merged = on_image(
        MERGE_IMAGE,
        "Writes an overlay into its backing image and deletes the overlay. One that is interrupted does \
         not merge again by itself: it fails with mergeUnfinished, and is to be registered again.",
        json!({
            "image": name("the overlay, which is deleted"),
            "backingImage": name("the image that it is built on, which remains"),
        }),
        &["image", "backingImage"],
        ClaimOperation::Delete,
    );
    Declaration {
        object: Some("Image.{backingImage}".into()),
        ..also_on("{backingImage}", ClaimOperation::Create, merged)
    }
}

fn check_image() -> Declaration {
    let checked = on_image(
        CHECK_IMAGE,
        "Looks for damage in an image, and keeps in mind what it finds.",
        json!({"image": name("the image to check")}),
        &["image"],
        ClaimOperation::Read,
    );
    Declaration {
        cancelable: true,
        ..checked
    }
}

fn delete_image() -> Declaration {
    on_image(
        DELETE_IMAGE,
        "Deletes an image that no other is built on.",
        json!({"image": name("the image to delete")}),
        &["image"],
        ClaimOperation::Delete,
    )
}

fn get_image_info() -> Declaration {
    let info = on_image(
        GET_IMAGE_INFO,
        "Tells how an image stands and what is being done to it.",
        json!({"image": name("the image to tell of")}),
        &["image"],
        ClaimOperation::Read,
    );
    Declaration {
        kind: MethodKind::Query,
        object: None,
        claims: Vec::new(),
        ..info
    }
}

/// A method on the object and resource of its kwarg `image`.
fn on_image(
    method: &str,
    summary: &str,
    properties: Value,
    required: &[&str],
    claimed_for: ClaimOperation,
) -> Declaration {
    Declaration {
        object: Some("Image.{image}".into()),
        claims: vec![image("{image}", claimed_for)],
        ..operation(method, summary, properties, required)
    }
}

/// The method, which can be undone.
fn revertible(method: Declaration) -> Declaration {
    Declaration {
        revertible: true,
        ..method
    }
}

/// The method with a claim on a second image.
fn also_on(id: &str, claimed_for: ClaimOperation, mut method: Declaration) -> Declaration {
    method.claims.push(image(id, claimed_for));
    method
}

fn image(id: &str, claimed_for: ClaimOperation) -> ClaimTemplate {
    claim("image", id, claimed_for)
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

fn format(description: &str) -> Value {
    json!({"enum": Format::ALL, "description": description})
}
