//! The header of a qcow2 image, as far as one must know it to tell what an image is before anything
//! opens it: how large it is, what it is built on, and whether it would have other files opened.
//! The layout is that of QEMU's `docs/interop/qcow2.txt`; numbers are big-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// How many bytes a guest sees.
    pub(super) size_bytes: u64,
    pub(super) backing: Option<Backing>,
    /// The content is encrypted.
    pub(super) encrypted: bool,
    /// Features that one must know to read it, a bit each.
    incompatible_features: u64,
}

/// What an image is built on, as its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backing {
    pub(super) path: String,
    /// Left to be guessed if there is none.
    pub(super) format: Option<String>,
}

/// Why there is no header.
#[derive(Debug)]
pub(super) enum HeaderError {
    Read(io::Error),
    /// What is wrong with it.
    Wrong(&'static str),
}

const MAGIC: &[u8] = b"QFI\xfb";
/// The part that version 2 has too.
const SHORT_BYTES: usize = 72;
/// Further than this neither fields nor extensions reach; a cluster can be smaller, but not what we
/// read of it.
const READ_BYTES: u64 = 64 << 10;
const BACKING_PATH_MAX_BYTES: usize = 1023;
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;

const FEATURE_CORRUPT: u64 = 1 << 1;
/// The data is in another file.
const FEATURE_DATA_FILE: u64 = 1 << 2;
/// Dirty, another compression, extended entries: they concern this file alone.
const FEATURES_HARMLESS: u64 = 1 | 1 << 3 | 1 << 4;

impl Header {
    pub(super) fn read(file: &File) -> Result<Self, HeaderError> {
        let mut bytes = Vec::new();
        read_up_to(file, READ_BYTES, &mut bytes).map_err(HeaderError::Read)?;
        Self::parse(&bytes)
    }

    /// Why the image cannot be used by itself, if it cannot.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let features = self.incompatible_features;
        if self.backing.is_some() {
            Some("it is built on another file")
        } else if features & FEATURE_DATA_FILE != 0 {
            Some("its data is in another file")
        } else if self.encrypted {
            Some("it is encrypted")
        } else if self.is_marked_corrupt() {
            Some("it is marked as corrupt")
        } else if features & !FEATURES_HARMLESS != 0 {
            Some("it has features that are not known here")
        } else {
            None
        }
    }

    /// QEMU has found it corrupt while writing, and writes no more.
    pub(super) fn is_marked_corrupt(&self) -> bool {
        self.incompatible_features & FEATURE_CORRUPT != 0
    }

    fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if !bytes.starts_with(MAGIC) {
            return Err(HeaderError::Wrong("it does not begin as a qcow2 image"));
        }
        let cut_off = || HeaderError::Wrong("its header is cut off");
        if bytes.len() < SHORT_BYTES {
            return Err(cut_off());
        }
        let version = u32_at(bytes, 4).ok_or_else(cut_off)?;
        let (incompatible_features, length) = match version {
            2 => (0, SHORT_BYTES),
            3 => (
                u64_at(bytes, 72).ok_or_else(cut_off)?,
                u32_at(bytes, 100).ok_or_else(cut_off)? as usize,
            ),
            _ => return Err(HeaderError::Wrong("its qcow2 version is not known here")),
        };
        let path_at = u64_at(bytes, 8).ok_or_else(cut_off)?;
        let path_bytes = u32_at(bytes, 16).ok_or_else(cut_off)? as usize;
        let backing = match path_at {
            0 => None,
            at => Some(Backing {
                path: backing_path(bytes, at, path_bytes)?,
                format: backing_format(bytes, length),
            }),
        };
        Ok(Self {
            size_bytes: u64_at(bytes, 24).ok_or_else(cut_off)?,
            backing,
            encrypted: u32_at(bytes, 32).ok_or_else(cut_off)? != 0,
            incompatible_features,
        })
    }
}

fn backing_path(bytes: &[u8], at: u64, length: usize) -> Result<String, HeaderError> {
    usize::try_from(at)
        .ok()
        .filter(|_| length <= BACKING_PATH_MAX_BYTES)
        .and_then(|at| bytes.get(at..at.checked_add(length)?))
        .and_then(|path| String::from_utf8(path.to_vec()).ok())
        .ok_or(HeaderError::Wrong("what it is built on cannot be read"))
}

/// Goes through the extensions behind the header, each of them a type, a length, and data that is
/// filled up to eight bytes.
fn backing_format(bytes: &[u8], header_bytes: usize) -> Option<String> {
    let mut at = header_bytes;
    loop {
        let kind = u32_at(bytes, at)?;
        let length = u32_at(bytes, at + 4)? as usize;
        let data = bytes.get(at + 8..(at + 8).checked_add(length)?)?;
        match kind {
            0 => return None,
            EXTENSION_BACKING_FORMAT => return String::from_utf8(data.to_vec()).ok(),
            _ => at += 8 + length.next_multiple_of(8),
        }
    }
}

fn read_up_to(file: &File, most: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = file.metadata()?.len().min(most);
    bytes.resize(length as usize, 0);
    file.read_exact_at(bytes, 0)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(field.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(field.try_into().ok()?))
}
