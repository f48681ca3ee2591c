//! Looking into the data folder of a stopped daemon. sled writes whenever it is opened, so the log
//! is copied first and opened in the copy, just as the daemon would open it; where that fails, what
//! is readable is read all the same. Nothing in the data folder is changed.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opstead_core::Cursor;
use rustix::fs::statvfs;
use thiserror::Error;

use super::SledJournal;
use super::block::{decode_archive, open_block};
use super::checkpoint;
use super::keys::{self, Kind, Values};
use super::lock::Stopped;
use super::marker::{self, Marker};
use super::open::{LOG, OpenError, OpenReport, Options, open_damaged, without_panic};
use super::reader::Shared;
use crate::journal::{Block, Reader};

/// Opening writes a little beside the copy.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// So much is copied at a time.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

/// A log with more damages than this is not worth a longer list.
const MOST_DAMAGES: usize = 100;

/// The journal of a stopped daemon, read from a copy.
pub struct Inspection {
    /// Nothing if the database does not open at all.
    shared: Option<Arc<Shared>>,
    report: InspectionReport,
}

/// What was found, apart from events and operations.
#[derive(Debug)]
pub struct InspectionReport {
    /// Which log it is, as far as anything says so.
    pub log_id: Option<String>,
    /// How far it was surely acknowledged; nothing if the marker cannot be read.
    pub acknowledged: Option<Cursor>,
    /// The newest first.
    pub checkpoints: Vec<CheckpointReport>,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Bytes of the blocks that are kept.
    pub block_bytes: u64,
    /// What opening found and mended in the copy, as it would in the original; or why it failed.
    pub opened: Result<OpenReport, OpenError>,
}

/// A checkpoint file.
#[derive(Debug)]
pub struct CheckpointReport {
    /// The cursor of the last event that it includes, by its name.
    pub head: Cursor,
    /// How long it is.
    pub bytes: u64,
    /// What is wrong with it; nothing if it is whole.
    pub fault: Option<String>,
}

/// A place in the log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The cursor of the first event that is concerned.
    pub at: Cursor,
    /// What was found.
    pub what: String,
}

/// Why a folder was not looked into.
#[derive(Debug, Error)]
pub enum InspectError {
    /// There is no journal in it.
    #[error("{} holds no journal", .0.display())]
    NoJournal(PathBuf),
    /// A daemon runs on it.
    #[error("{} is in use by a daemon", .0.display())]
    InUse(PathBuf),
    /// There is not enough room for the copy.
    #[error("a copy of the log takes {needed_bytes} bytes, but {free_bytes} are free")]
    NoRoom {
        /// How many bytes the copy takes.
        needed_bytes: u64,
        /// How many there are.
        free_bytes: u64,
    },
    /// It was told to end.
    #[error("it was broken off")]
    BrokenOff,
    /// It could not be read or copied.
    #[error("{} could not be copied", path.display())]
    Copy {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Inspection {
    /// Copies what is needed into `workspace`, an empty folder that must outlive this, and opens it
    /// there. It is broken off soon after `is_over` says so; nothing is written after it returns.
    pub fn open(
        folder: &Path,
        workspace: &Path,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, InspectError> {
        let log_bytes = copy(folder, workspace, is_over)?;
        let marker = Marker::read(workspace).ok().flatten();
        let checkpoints = checkpoints(workspace);
        if is_over() {
            return Err(InspectError::BrokenOff);
        }
        let options = Options::default();
        let (opened, shared) = match SledJournal::open(workspace, &options) {
            Ok(journal) => (Ok(journal.report().clone()), Some(journal.shared.clone())),
            Err(error) => (
                Err(error),
                open_damaged(workspace, &options).ok().map(Arc::new),
            ),
        };
        let block_bytes = shared.as_ref().map_or(0, |shared| {
            let tail = shared.tail();
            tail.written_bytes.saturating_sub(tail.removed_bytes)
        });
        let named = shared.as_ref().map(|shared| shared.log_id.clone());
        let report = InspectionReport {
            log_id: marker
                .as_ref()
                .map(|marker| marker.log_id.clone())
                .or(named.filter(|id| !id.is_empty())),
            acknowledged: marker.map(|marker| marker.acknowledged),
            checkpoints,
            log_bytes,
            block_bytes,
            opened,
        };
        Ok(Self { shared, report })
    }

    /// What was found.
    pub fn report(&self) -> &InspectionReport {
        &self.report
    }

    /// The log up to its first damage, the archive and the newest checkpoint; nothing if the
    /// database does not open at all.
    pub fn reader(&self) -> Option<Arc<dyn Reader>> {
        let shared: Arc<dyn Reader> = self.shared.clone()?;
        Some(shared)
    }

    /// Goes through all of the log and of the archive, also what a start would not look at. Of very
    /// many damages the first are told, and `true`: there are others.
    pub fn damage(&self) -> (Vec<Damage>, bool) {
        let Some(shared) = &self.shared else {
            return (Vec::new(), false);
        };
        let blocks = Stored::after(shared, 0).filter_map(Result::err);
        let mut records = Values::between(&shared.db, Kind::Archive, 0, Cursor::MAX);
        let records = std::iter::from_fn(|| {
            let next = without_panic(|| {
                let (first, bytes) = records.next()?.ok()?;
                let checked = decode_archive(first, &bytes);
                Some(
                    checked
                        .err()
                        .map(|what| damage(first, format!("ended operations: {what}"))),
                )
            });
            next.unwrap_or_default()
        });
        let all = blocks.chain(records.flatten());
        let mut found: Vec<Damage> = all.take(MOST_DAMAGES + 1).collect();
        let more = found.len() > MOST_DAMAGES;
        found.truncate(MOST_DAMAGES);
        found.sort_by_key(|damage| damage.at);
        (found, more)
    }

    /// Every block that can be read, from the one with the event after `after` on, and between
    /// them what cannot.
    pub fn blocks(&self, after: Cursor) -> impl Iterator<Item = Result<Block, Damage>> + use<'_> {
        let stored = self
            .shared
            .iter()
            .flat_map(move |shared| Stored::after(shared, after));
        stored.map(|stored| {
            let (first, bytes) = stored?;
            open_block(first, &bytes)
                .and_then(|envelope| envelope.decode())
                .map_err(|what| damage(first, what))
        })
    }
}

/// Blocks as they are stored, each whole and following the one before it, and what is not so.
struct Stored {
    values: Values,
    pending: VecDeque<Result<(Cursor, Vec<u8>), Damage>>,
    /// What the next block must be: its first cursor, and the checksum that it names. Nothing
    /// behind damage, of which nobody knows how far it goes.
    expected: Option<(Cursor, u32)>,
    has_ended: bool,
}

impl Stored {
    fn after(shared: &Shared, after: Cursor) -> Self {
        let from = without_panic(|| keys::block_at(&shared.db, after + 1));
        let from = from.ok().and_then(Result::ok).flatten();
        let from = from.unwrap_or(after + 1);
        Self {
            values: Values::between(&shared.db, Kind::Block, from, Cursor::MAX),
            pending: VecDeque::new(),
            expected: None,
            has_ended: false,
        }
    }

    fn take(&mut self, first: Cursor, bytes: Vec<u8>) {
        let expected = self.expected.take();
        let (last, previous, checksum) = match open_block(first, &bytes) {
            Ok(envelope) => (
                envelope.head.last(),
                envelope.head.previous,
                envelope.checksum,
            ),
            Err(what) => return self.pending.push_back(Err(damage(first, what))),
        };
        match expected {
            Some((cursor, _)) if cursor != first => {
                let what = format!("blocks are missing up to cursor {}", first - 1);
                self.pending.push_back(Err(damage(cursor, what)));
            }
            Some((_, checksum)) if checksum != previous => {
                let what = "it does not follow the block before it";
                self.pending.push_back(Err(damage(first, what)));
            }
            _ => {}
        }
        self.expected = Some((last + 1, checksum));
        self.pending.push_back(Ok((first, bytes)));
    }
}

impl Iterator for Stored {
    type Item = Result<(Cursor, Vec<u8>), Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.pending.pop_front() {
                return Some(next);
            }
            if self.has_ended {
                return None;
            }
            let at = self.expected.map_or(0, |(cursor, _)| cursor);
            let what = match without_panic(|| self.values.next()) {
                Ok(Some(Ok((first, bytes)))) => {
                    self.take(first, bytes);
                    continue;
                }
                Ok(None) => return None,
                Ok(Some(Err(error))) => error.to_string(),
                Err(error) => error.to_string(),
            };
            self.has_ended = true;
            self.pending.push_back(Err(damage(at, what)));
        }
    }
}

fn damage(at: Cursor, what: impl Into<String>) -> Damage {
    let what = what.into();
    Damage { at, what }
}

/// Copies log and marker, and points to the checkpoints, while no daemon can be started. Returns
/// how many bytes the log takes.
fn copy(folder: &Path, workspace: &Path, is_over: &dyn Fn() -> bool) -> Result<u64, InspectError> {
    let folder = folder.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => InspectError::NoJournal(folder.to_owned()),
        _ => failed(folder, error),
    })?;
    let _stopped = Stopped::hold(&folder).map_err(|error| match error {
        OpenError::InUse { folder } => InspectError::InUse(folder),
        OpenError::Storage(error) if error.kind() == io::ErrorKind::NotADirectory => {
            InspectError::NoJournal(folder.clone())
        }
        OpenError::Storage(error) => failed(&folder, error),
        other => failed(&folder, io::Error::other(other)),
    })?;
    let checkpoints = checkpoint::list(&folder).map_err(|error| failed(&folder, error))?;
    let (log, marker) = (folder.join(LOG), folder.join(marker::FILE_NAME));
    if !log.exists() && !marker.exists() && checkpoints.is_empty() {
        return Err(InspectError::NoJournal(folder));
    }
    let needed_bytes = bytes_in(&log).map_err(|error| failed(&log, error))?;
    check_room(workspace, needed_bytes)?;
    if log.exists() {
        copy_folder(&log, &workspace.join(LOG), is_over).map_err(|error| match is_over() {
            true => InspectError::BrokenOff,
            false => failed(&log, error),
        })?;
    }
    if marker.exists() {
        let to = workspace.join(marker::FILE_NAME);
        fs::copy(&marker, to).map_err(|error| failed(&marker, error))?;
    }
    for path in checkpoints {
        let to = workspace.join(path.file_name().unwrap_or_default());
        std::os::unix::fs::symlink(&path, to).map_err(|error| failed(&path, error))?;
    }
    Ok(needed_bytes)
}

fn failed(path: &Path, source: io::Error) -> InspectError {
    InspectError::Copy {
        path: path.to_owned(),
        source,
    }
}

fn check_room(workspace: &Path, needed_bytes: u64) -> Result<(), InspectError> {
    let free = statvfs(workspace).map_err(|error| failed(workspace, error.into()))?;
    // What is free for root only is not counted.
    let free_bytes = free.f_bavail.saturating_mul(free.f_frsize);
    if needed_bytes.saturating_add(SPARE_BYTES) > free_bytes {
        return Err(InspectError::NoRoom {
            needed_bytes,
            free_bytes,
        });
    }
    Ok(())
}

fn bytes_in(folder: &Path) -> io::Result<u64> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_in(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

fn copy_folder(from: &Path, to: &Path, is_over: &dyn Fn() -> bool) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to, is_over)?,
            false => copy_file(&entry.path(), &to, is_over)?,
        }
    }
    Ok(())
}

/// Copies piece by piece, so that it can be broken off.
fn copy_file(from: &Path, to: &Path, is_over: &dyn Fn() -> bool) -> io::Result<()> {
    let (from, mut to) = (File::open(from)?, File::create_new(to)?);
    while io::copy(&mut (&from).take(PIECE_BYTES), &mut to)? > 0 {
        if is_over() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    Ok(())
}

fn checkpoints(workspace: &Path) -> Vec<CheckpointReport> {
    let paths = checkpoint::list(workspace).unwrap_or_default();
    let report = |path: &PathBuf| CheckpointReport {
        head: checkpoint::head_of(path).unwrap_or_default(),
        bytes: fs::metadata(path).map_or(0, |file| file.len()),
        fault: checkpoint::verify(path, drop).err(),
    };
    paths.iter().map(report).collect()
}
