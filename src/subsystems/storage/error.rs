//! What can go wrong with images, and the subsystem's own error codes: the one table of both.

use std::io;

use opstead_core::Failure;
use rustix::io::Errno;
use thiserror::Error;

use super::methods::ImageName;

/// Why a method of the subsystem failed.
#[derive(Debug, Error)]
pub(super) enum StorageError {
    /// The pool holds no image of that name.
    #[error("there is no image {:?} in the pool", .0.as_str())]
    ImageNotFound(ImageName),
    /// The pool holds an image of that name already.
    #[error("there is an image {:?} in the pool already", .0.as_str())]
    ImageExists(ImageName),
    /// One answer for all that cannot be imported, so that nobody learns from it which files exist
    /// elsewhere.
    #[error("{path:?} is no regular file in a folder that images may be imported from")]
    ImportNotAllowed {
        /// As the caller wrote it.
        path: String,
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
    /// The file system cannot hold files of that size.
    #[error("the pool's file system cannot hold an image of {size_bytes} bytes")]
    ImageTooLarge {
        /// The size asked for.
        size_bytes: u64,
    },
    /// A symlink, folder or device was put into the pool from outside.
    #[error("what lies under the name {:?} in the pool is no image", .0.as_str())]
    NotAnImage(ImageName),
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
            Self::Canceled => return Failure::canceled(),
        };
        Failure::new(code, &self.to_string(), reason, retryable)
    }
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
