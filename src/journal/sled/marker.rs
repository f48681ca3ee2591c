//! The marker: a small file that says that a folder was initialised, for which log and in which
//! format, and up to where appends were surely acknowledged. With it an empty or shorter database
//! is never taken for a new one.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use opstead_core::Cursor;
use serde::{Deserialize, Serialize};

use super::durable::replace_file;
use super::open::OpenError;

/// The version of the data folder's layout.
pub(super) const FORMAT_VERSION: u32 = 1;

/// The name of the marker in its folder.
pub(super) const FILE_NAME: &str = "marker.json";

/// What the marker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    pub(super) version: u32,
    pub(super) log_id: String,
    /// Appends up to here were acknowledged; later ones may have been.
    pub(super) acknowledged: Cursor,
}

#[derive(Deserialize)]
struct AnyMarker {
    version: u32,
}

impl Marker {
    pub(super) fn new(log_id: String) -> Self {
        Self {
            version: FORMAT_VERSION,
            log_id,
            acknowledged: 0,
        }
    }

    /// Reads the marker of a folder; nothing if there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, OpenError> {
        let bytes = match fs::read(path(folder)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |error: serde_json::Error| OpenError::DamagedMarker(error.to_string());
        let AnyMarker { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version != FORMAT_VERSION {
            return Err(OpenError::OtherVersion {
                found: version,
                known: FORMAT_VERSION,
            });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Writes the marker durably.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        replace_file(&path(folder), &text)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}
