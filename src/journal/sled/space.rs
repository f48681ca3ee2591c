//! The guard against a full disk: how much is free, asked now and then.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use tracing::warn;

/// An answer is good for so long.
const FRESH: Duration = Duration::from_millis(250);

/// Whether the disk of a folder has little room left.
pub(super) struct Space {
    folder: PathBuf,
    least_free_bytes: u64,
    last: Cell<Option<(Instant, bool)>>,
}

impl Space {
    pub(super) fn new(folder: &Path, least_free_bytes: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            least_free_bytes,
            last: Cell::new(None),
        }
    }

    pub(super) fn is_low(&self) -> bool {
        let now = Instant::now();
        if let Some((asked, low)) = self.last.get()
            && now - asked < FRESH
        {
            return low;
        }
        let low = match statvfs(&self.folder) {
            // What is free for root only is not counted.
            Ok(free) => free.f_bavail.saturating_mul(free.f_frsize) < self.least_free_bytes,
            Err(error) => {
                warn!(%error, "the free disk space is unknown");
                true
            }
        };
        self.last.set(Some((now, low)));
        low
    }
}
