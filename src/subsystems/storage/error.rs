//! What can go wrong with images, and the subsystem's own error codes: the one table of both.

use std::io;
use std::path::PathBuf;

use opstead_core::{Failure, Json};
use rustix::io::Errno;
use serde_json::{Value, json};
use thiserror::Error;

use super::arguments::ImageName;
use super::job::ImageState;

/// Why a method of the subsystem failed.
#[derive(Debug, Error)]
pub(super) enum StorageError {
    /// The pool holds no image of that name.
    #[error("there is no image {:?} in the pool", .0.as_str())]
    ImageNotFound(ImageName),
    /// The pool holds an image of that name already.
    #[error("there is an image {:?} in the pool already", .0.as_str())]
    ImageExists(ImageName),
    /// Outside the allowed folders the answer is the same whatever is there, so that nobody learns
    /// from it which files exist.
    #[error("{path:?} cannot be imported: {obstacle}; {}", importable(.allowed))]
    ImportNotAllowed {
        /// As the caller wrote it.
        path: String,
        /// What is wrong with it.
        obstacle: &'static str,
        /// The folders that images may be imported from.
        allowed: Vec<PathBuf>,
    },
    /// The file system, or a quota on it, is full.
    #[error("the pool has no space left")]
    NoSpace,
    /// Anything else that the system refused.
    #[error("{action} failed: {source}")]
    Io {
        /// What was tried, as `reading the source`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file system, or the format, cannot hold images of that size.
    #[error("the pool cannot hold an image of {size_bytes} bytes")]
    ImageTooLarge {
        /// The size asked for.
        size_bytes: u64,
    },
    /// A symlink, folder or device was put into the pool from outside.
    #[error("what lies under the name {:?} in the pool is no image", .0.as_str())]
    NotAnImage(ImageName),
    /// Other images are built on it, so its content must stay.
    #[error("images are built on {:?}: {}", .image.as_str(), listed(.dependants))]
    ImageHasDependants {
        /// The image.
        image: ImageName,
        /// All that are built on it directly.
        dependants: Vec<ImageName>,
    },
    /// The images of a merge do not belong together.
    #[error("{:?} is not built on {:?}", .image.as_str(), .backing.as_str())]
    NotTheBackingImage {
        /// What was to be merged.
        image: ImageName,
        /// What it was to be merged into.
        backing: ImageName,
    },
    /// A merge into it did not end.
    #[error(
        "{:?} is half written, because merging {:?} into it did not end: merge {:?} into it again, and until then use {:?} only to read",
        .image.as_str(), .overlay.as_str(), .overlay.as_str(), .overlay.as_str()
    )]
    ImageDegraded {
        /// The image that was merged into.
        image: ImageName,
        /// The image that was merged.
        overlay: ImageName,
    },
    /// It is known to be corrupt.
    #[error("{:?} is broken: {finding}", .image.as_str())]
    ImageBroken {
        /// The image.
        image: ImageName,
        /// What is wrong with it.
        finding: String,
    },
    /// A merge has begun to write and did not end.
    #[error(
        "merging {:?} into {:?} did not end: {cause}; {}",
        .image.as_str(), .backing.as_str(), after_merge(.image, .backing, *.image_state)
    )]
    MergeUnfinished {
        /// What was merged.
        image: ImageName,
        /// What it was merged into.
        backing: ImageName,
        /// How the latter stands now.
        image_state: ImageState,
        /// Why, as a sentence without its full stop.
        cause: String,
    },
    /// Another program, as a running guest, has the image.
    #[error("{:?}, or an image that it is built on, is in use by another program", .0.as_str())]
    ImageInUse(ImageName),
    /// There is no `qemu-img` to work on qcow2 images with.
    #[error(
        "qcow2 images need the program {program:?}, which is not there: install the Debian package qemu-utils"
    )]
    QemuImgMissing {
        /// Its name or path.
        program: String,
    },
    /// `qemu-img` failed.
    #[error("qemu-img {command} failed: {}", last_line(.output).unwrap_or_else(|| .status.clone()))]
    QemuImgFailed {
        /// What it was to do, as `convert`.
        command: &'static str,
        /// How it ended.
        status: String,
        /// What it said, the end of it.
        output: String,
    },
    /// A file is not the qcow2 image that it was said to be, or not one by itself.
    #[error("the file cannot be imported as a qcow2 image: {finding}")]
    NotImportable {
        /// What is wrong with it.
        finding: String,
    },
    /// An image that is to have its size before back has been resized by somebody else since.
    #[error(
        "{:?} has {current_bytes} bytes, so it was resized once more since: it is not given the {before_bytes} bytes back that it had before",
        .image.as_str()
    )]
    ImageResized {
        /// The image.
        image: ImageName,
        /// How large it is.
        current_bytes: u64,
        /// How large it was before the operation that is reverted.
        before_bytes: u64,
    },
    /// Somebody canceled the operation, or nobody waits for this attempt any more.
    #[error("canceled on request")]
    Canceled,
}

impl StorageError {
    /// The failure as the caller is told it.
    pub(super) fn into_failure(self) -> Failure {
        let (code, reason, retryable) = match &self {
            Self::ImageNotFound(_) => (3001, "imageNotFound", false),
            Self::ImageExists(_) => (3002, "imageExists", false),
            Self::ImportNotAllowed { .. } => (3003, "importNotAllowed", false),
            Self::NoSpace => (3004, "noSpace", true),
            Self::Io { .. } => (3005, "storageIo", true),
            Self::ImageTooLarge { .. } => (3006, "imageTooLarge", false),
            Self::NotAnImage(_) => (3007, "notAnImage", false),
            Self::ImageHasDependants { .. } => (3008, "imageHasDependants", false),
            Self::NotTheBackingImage { .. } => (3009, "notTheBackingImage", false),
            Self::ImageDegraded { .. } => (3010, "imageDegraded", false),
            Self::ImageBroken { .. } => (3011, "imageBroken", false),
            Self::MergeUnfinished { image_state, .. } => {
                let mendable = *image_state == ImageState::Degraded;
                (3012, "mergeUnfinished", mendable)
            }
            Self::ImageInUse(_) => (3013, "imageInUse", true),
            Self::QemuImgMissing { .. } => (3014, "qemuImgMissing", true),
            Self::QemuImgFailed { .. } => (3015, "qemuImgFailed", false),
            Self::NotImportable { .. } => (3016, "notImportable", false),
            Self::ImageResized { .. } => (3017, "imageResized", false),
            Self::Canceled => return Failure::canceled(),
        };
        let failure = Failure::new(code, &self.to_string(), reason, retryable);
        let Value::Object(further) = self.further_data() else {
            return failure;
        };
        let mut data = json!({"reason": reason, "retryable": retryable});
        for (member, value) in further {
            data[member] = value;
        }
        Failure {
            data: Some(Json::from_value(&data).expect("a JSON value is JSON")),
            ..failure
        }
    }

    /// What `data` has beside reason and retryable; null if nothing.
    fn further_data(&self) -> Value {
        match self {
            Self::ImageHasDependants { dependants, .. } => {
                json!({"dependants": dependants.iter().take(LISTED_MOST).collect::<Vec<_>>()})
            }
            Self::ImageDegraded { image, overlay } => {
                json!({"image": overlay, "backingImage": image})
            }
            Self::ImageBroken { image, .. } => json!({"image": image}),
            Self::MergeUnfinished { image_state, .. } => json!({"imageState": image_state}),
            Self::QemuImgFailed { status, output, .. } => {
                json!({"status": status, "output": output})
            }
            _ => Value::Null,
        }
    }
}

/// Names beyond this many are counted only.
const LISTED_MOST: usize = 16;
/// The most of a program's words that a message has.
const QUOTED_CHARACTERS: usize = 300;

fn listed(images: &[ImageName]) -> String {
    let names: Vec<&str> = images
        .iter()
        .take(LISTED_MOST)
        .map(ImageName::as_str)
        .collect();
    let listed = names.join(", ");
    match images.len().saturating_sub(LISTED_MOST) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

fn after_merge(image: &ImageName, backing: &ImageName, state: ImageState) -> String {
    let (image, backing) = (image.as_str(), backing.as_str());
    if state == ImageState::Broken {
        format!("{backing:?} is broken now, and merging again cannot mend it")
    } else {
        format!(
            "nothing is lost, but {backing:?} is half written: merge {image:?} into it again, and until then use {image:?} only to read"
        )
    }
}

fn importable(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        let none = "`import_folders` in the configuration names none";
        return format!("images may be imported from no folder: {none}");
    }
    let listed: Vec<String> = folders.iter().map(|folder| format!("{folder:?}")).collect();
    format!(
        "images may be imported from {} (`import_folders` in the configuration)",
        listed.join(", ")
    )
}

/// What the program said last, shortened; its other words are in `data`.
fn last_line(output: &str) -> Option<String> {
    let line = output.lines().rev().find(|line| !line.trim().is_empty())?;
    let words = line.strip_prefix("qemu-img: ").unwrap_or(line);
    Some(words.chars().take(QUOTED_CHARACTERS).collect())
}

/// Makes the error of a system call, given what was tried.
pub(super) fn during<E: Into<io::Error>>(action: &'static str) -> impl Fn(E) -> StorageError {
    move |error| {
        let source = error.into();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => StorageError::NoSpace,
            _ => StorageError::Io { action, source },
        }
    }
}
