//! One image: what it is, how large, and what it says it is built on.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::arguments::{Format, ImageName};
use super::error::{StorageError, during};
use super::header::{Header, HeaderError};
use super::pool::QCOW2_FOLDER;

/// An image, open for reading.
pub(super) struct Image {
    pub(super) name: ImageName,
    pub(super) format: Format,
    pub(super) file: File,
}

impl Image {
    pub(super) fn new(name: ImageName, format: Format, file: File) -> Self {
        Self { name, format, file }
    }

    /// Its path in the pool. It begins with `./`, so that nothing takes it for an option or for the
    /// name of a protocol.
    pub(super) fn path(&self) -> String {
        match self.format {
            Format::Raw => format!("./{}", self.name.as_str()),
            Format::Qcow2 => format!("./{QCOW2_FOLDER}/{}", self.name.as_str()),
        }
    }

    /// How the header of an overlay names it. It holds for overlays in `.qcow2` and, while they are
    /// being made, in `.partial`, and wherever the pool is.
    pub(super) fn backing_path(&self) -> String {
        match self.format {
            Format::Raw => format!("../{}", self.name.as_str()),
            Format::Qcow2 => format!("../{QCOW2_FOLDER}/{}", self.name.as_str()),
        }
    }

    /// How many bytes a guest sees.
    pub(super) fn size_bytes(&self) -> Result<u64, StorageError> {
        match self.format {
            Format::Raw => {
                let metadata = self.file.metadata();
                Ok(metadata.map_err(during("looking at the image"))?.len())
            }
            Format::Qcow2 => Ok(self.header()?.size_bytes),
        }
    }

    /// How many bytes it takes on the disk.
    pub(super) fn allocated_bytes(&self) -> Result<u64, StorageError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(during("looking at the image"))?;
        Ok(metadata.blocks() * 512)
    }

    /// The image that it is built on, by format and name.
    pub(super) fn backing(&self) -> Result<Option<(Format, ImageName)>, StorageError> {
        if self.format == Format::Raw {
            return Ok(None);
        }
        let Some(backing) = self.header()?.backing else {
            return Ok(None);
        };
        // Anything but what we write leads out of the pool, or leaves the format to be guessed.
        let named = match backing.path.strip_prefix("../.qcow2/") {
            Some(name) => Some((Format::Qcow2, name)),
            None => backing
                .path
                .strip_prefix("../")
                .map(|name| (Format::Raw, name)),
        };
        named
            .filter(|(format, _)| backing.format.as_deref() == Some(format.as_str()))
            .and_then(|(format, name)| Some((format, ImageName::try_from(name.to_owned()).ok()?)))
            .map(Some)
            .ok_or_else(|| self.broken("it is built on something that is not in the pool"))
    }

    /// Fails with [`StorageError::ImageBroken`] if nobody could make anything of it, or if QEMU has
    /// given it up.
    pub(super) fn check_header(&self) -> Result<(), StorageError> {
        if self.format == Format::Qcow2 && self.header()?.is_marked_corrupt() {
            return Err(self.broken("it is marked as corrupt"));
        }
        Ok(())
    }

    /// The error that the image is broken.
    pub(super) fn broken(&self, finding: impl Into<String>) -> StorageError {
        StorageError::ImageBroken {
            image: self.name.clone(),
            finding: finding.into(),
        }
    }

    pub(super) fn header(&self) -> Result<Header, StorageError> {
        Header::read(&self.file).map_err(|error| match error {
            HeaderError::Read(source) => during("reading the image")(source),
            HeaderError::Wrong(finding) => self.broken(finding),
        })
    }
}
