//! Opening a data folder: lock, marker, sled, checkpoint, and the blocks after it, each refused
//! with a clear error rather than guessed about.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use opstead_core::Cursor;
use sled::Db;
use thiserror::Error;
use tracing::warn;

use super::checkpoint;
use super::durable::{DataFiles, sync_folder};
use super::keys::LOG_ID_KEY;
use super::lock::{FolderLock, wait_for_previous};
use super::marker::Marker;
use super::reader::Shared;
use super::scan::{Scanned, scan};
use crate::journal::{Fingerprint, ReadError, fingerprint};

/// The folder of sled in the data folder.
pub(super) const LOG: &str = "log";

/// How a journal is to be run.
#[derive(Clone, Debug)]
pub struct Options {
    /// With less free disk space than this, new operations should be refused.
    pub least_free_bytes: u64,
    /// What sled may use for its cache; it takes several times that.
    pub cache_bytes: u64,
    /// The latest blocks are kept in memory up to so many bytes.
    pub ring_bytes: usize,
    /// Opening that takes longer is given up: sled can hang on a damaged database.
    pub open_timeout_ms: u64,
    /// Fingerprints of ids in the archive. A folder must always be opened with the same.
    pub fingerprint: Fingerprint,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            least_free_bytes: 256 * 1024 * 1024,
            cache_bytes: 32 * 1024 * 1024,
            ring_bytes: 16 * 1024 * 1024,
            open_timeout_ms: 300_000,
            fingerprint,
        }
    }
}

/// What opening found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The folder was new.
    pub created: bool,
    /// An unfinished end of the log was cut off after this cursor.
    pub cut_after: Option<Cursor>,
    /// Snapshot files of sled that were removed, unfinished or damaged.
    pub snapshots_removed: usize,
    /// The cursor of the checkpoint that is used.
    pub checkpoint: Option<Cursor>,
    /// Newer checkpoints that were damaged.
    pub checkpoints_skipped: usize,
    /// Blocks after the checkpoint that were checked.
    pub blocks_checked: u64,
}

/// Why a journal was not opened. Nothing of the log was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or another journal in this one, has it open.
    #[error("{} is already in use by another daemon", folder.display())]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder was written by another version of the program.
    #[error("the data folder has format {found}, this program knows format {known}")]
    OtherVersion {
        /// The version in the folder.
        found: u32,
        /// The version that this program reads and writes.
        known: u32,
    },
    /// The marker cannot be read.
    #[error("the file marker.json of the data folder is damaged: {0}")]
    DamagedMarker(String),
    /// There is a log, but no marker.
    #[error("the data folder holds a log, but its file marker.json is missing")]
    MissingMarker,
    /// The folder was in use, but its log is gone or another one.
    #[error("the data folder was in use, but the log {log_id} is missing from it")]
    Missing {
        /// The log that should be there.
        log_id: String,
    },
    /// The log ends before something that was acknowledged.
    #[error(
        "the log ends at cursor {head}, but up to {acknowledged} was acknowledged: data is lost"
    )]
    Shorter {
        /// Where it ends.
        head: Cursor,
        /// Where it should end at least.
        acknowledged: Cursor,
    },
    /// Something in the middle of the log is not what was written.
    #[error("the log is damaged at cursor {at}: {what}")]
    Damaged {
        /// Where.
        at: Cursor,
        /// What was found.
        what: String,
    },
    /// The older part of the log was removed, and the checkpoint instead of it is not readable.
    #[error("the log begins after cursor {oldest} and no readable checkpoint leads up to it")]
    NoCheckpoint {
        /// Where the log begins.
        oldest: Cursor,
    },
    /// sled failed, or panicked.
    #[error("the database could not be opened: {0}")]
    Database(String),
    /// Opening took too long.
    #[error("the database did not open within {timeout_ms} ms")]
    TimedOut {
        /// How long was waited.
        timeout_ms: u64,
    },
    /// The file system failed.
    #[error("the data folder could not be used")]
    Storage(#[from] io::Error),
}

impl From<sled::Error> for OpenError {
    fn from(error: sled::Error) -> Self {
        // sled names the backtrace that it has not taken.
        Self::Database(error.to_string().replace(" backtrace ()", ""))
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => Self::Storage(error),
            ReadError::Damaged { at, what } => Self::Damaged { at, what },
            ReadError::Trimmed { oldest } => Self::NoCheckpoint { oldest },
        }
    }
}

/// An opened data folder.
pub(super) struct Opened {
    pub(super) shared: Shared,
    pub(super) files: DataFiles,
    pub(super) marker: Marker,
    pub(super) report: OpenReport,
}

/// Opens a data folder, on a thread of its own so that neither a panic nor a hang in sled takes
/// the caller along.
pub(super) fn open(folder: &Path, options: &Options) -> Result<Opened, OpenError> {
    fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let lock = FolderLock::take(&folder)?;
    let own_options = options.clone();
    in_time(options, move || open_locked(folder, lock, &own_options))
}

/// Opens what is readable of a folder that does not open as a whole: its log up to the first damage.
/// It is to be read only, and no original: opening may change it.
pub(super) fn open_damaged(folder: &Path, options: &Options) -> Result<Shared, OpenError> {
    let folder = folder.canonicalize()?;
    let lock = FolderLock::take(&folder)?;
    let own_options = options.clone();
    in_time(options, move || {
        let marker = Marker::read(&folder).ok().flatten();
        let log = folder.join(LOG);
        if !log.join("db").exists() {
            let log_id = marker.map(|marker| marker.log_id).unwrap_or_default();
            return Err(OpenError::Missing { log_id });
        }
        let mut report = OpenReport::default();
        let db = open_database(&log, &own_options, &mut report)?;
        let marker = match (db.get(LOG_ID_KEY)?, marker) {
            (Some(named), Some(marker)) if named == marker.log_id.as_bytes() => marker,
            (Some(named), _) => Marker::new(String::from_utf8_lossy(&named).into_owned()),
            (None, marker) => marker.unwrap_or_else(|| Marker::new(String::new())),
        };
        let mut scanned = Scanned::default();
        // Why the folder does not open is known already; what was found before is wanted.
        let _known = scan(
            &folder,
            &db,
            &marker,
            &own_options,
            &mut report,
            &mut scanned,
        );
        Ok(Shared::new(
            folder,
            db,
            marker.log_id,
            &own_options,
            scanned,
            lock,
        ))
    })
}

/// Runs what opens sled on a thread of its own, with a deadline.
fn in_time<T: Send + 'static>(
    options: &Options,
    open: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("journal-open".into())
        .spawn(move || {
            let opened = without_panic(open);
            // Nobody waits any more after the deadline.
            let _ = sender.send(opened.and_then(|opened| opened));
        })?;
    match receiver.recv_timeout(Duration::from_millis(options.open_timeout_ms)) {
        Ok(opened) => opened,
        Err(RecvTimeoutError::Timeout) => Err(OpenError::TimedOut {
            timeout_ms: options.open_timeout_ms,
        }),
        Err(RecvTimeoutError::Disconnected) => {
            Err(OpenError::Database("the opening thread ended".into()))
        }
    }
}

fn open_locked(folder: PathBuf, lock: FolderLock, options: &Options) -> Result<Opened, OpenError> {
    let mut report = OpenReport::default();
    let marker = Marker::read(&folder)?;
    let log = folder.join(LOG);
    if let Some(marker) = &marker
        && !log.join("db").exists()
    {
        let log_id = marker.log_id.clone();
        return Err(OpenError::Missing { log_id });
    }
    let db = open_database(&log, options, &mut report)?;
    let mut files = DataFiles::open(&log)?;
    sync_folder(&folder)?;
    sync_folder(folder.parent().unwrap_or(&folder))?;
    let mut marker = match marker {
        Some(marker) => marker,
        None => initialise(&folder, &db, &mut files, &mut report)?,
    };
    if db.get(LOG_ID_KEY)?.as_deref() != Some(marker.log_id.as_bytes()) {
        let log_id = marker.log_id;
        return Err(OpenError::Missing { log_id });
    }
    checkpoint::remove_unfinished(&folder)?;
    let mut scanned = Scanned::default();
    scan(&folder, &db, &marker, options, &mut report, &mut scanned)?;
    if report.cut_after.is_some() {
        db.flush()?;
        files.sync()?;
    }
    if marker.acknowledged != scanned.tail.head {
        marker.acknowledged = scanned.tail.head;
        marker.write(&folder)?;
    }
    let log_id = marker.log_id.clone();
    let shared = Shared::new(folder, db, log_id, options, scanned, lock);
    Ok(Opened {
        shared,
        files,
        marker,
        report,
    })
}

/// Names the log of a new folder. The marker comes last: without it the next start begins anew.
fn initialise(
    folder: &Path,
    db: &Db,
    files: &mut DataFiles,
    report: &mut OpenReport,
) -> Result<Marker, OpenError> {
    let has_blocks = db
        .iter()
        .keys()
        .any(|key| key.is_ok_and(|key| key != LOG_ID_KEY));
    if has_blocks || !checkpoint::list(folder)?.is_empty() {
        return Err(OpenError::MissingMarker);
    }
    let marker = Marker::new(ulid::Ulid::generate().to_string());
    db.insert(LOG_ID_KEY, marker.log_id.as_bytes())?;
    db.flush()?;
    files.sync()?;
    marker.write(folder)?;
    report.created = true;
    Ok(marker)
}

/// Opens sled. Its snapshot files only save time, so unfinished ones are removed before, and all
/// of them when it fails.
fn open_database(log: &Path, options: &Options, report: &mut OpenReport) -> Result<Db, OpenError> {
    fs::create_dir_all(log)?;
    report.snapshots_removed += remove_snapshots(log, true)?;
    let config = sled::Config::new()
        .path(log)
        .cache_capacity(options.cache_bytes)
        .flush_every_ms(None);
    let open = || -> Result<Db, OpenError> {
        wait_for_previous(log)?;
        Ok(without_panic(|| config.open())??)
    };
    let error = match open() {
        Ok(db) => return Ok(db),
        Err(error) => error,
    };
    let removed = remove_snapshots(log, false)?;
    if removed == 0 {
        return Err(error);
    }
    warn!(%error, removed, "the database did not open; trying again without its snapshot files");
    report.snapshots_removed += removed;
    open()
}

fn remove_snapshots(log: &Path, only_unfinished: bool) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(log)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_unfinished = name.ends_with(".generating") || fs::metadata(&path)?.len() == 0;
        if name.starts_with("snap.") && (is_unfinished || !only_unfinished) {
            fs::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Runs what may panic on damaged files, which sled does.
pub(super) fn without_panic<T>(run: impl FnOnce() -> T) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        OpenError::Database(text.unwrap_or("it panicked").to_owned())
    })
}
