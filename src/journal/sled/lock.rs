//! The lock on a data folder: one daemon at a time, and none while somebody looks into a stopped
//! one's.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::open::OpenError;

const FILE_NAME: &str = "lock";

/// How long a lock may take to become free. One that somebody holds on purpose stays held; one that
/// is merely left over goes soon: a child process that is just being started has a copy of every
/// open file, and threads of a failed sled end a little later than it does.
const LEFT_OVER: Duration = Duration::from_secs(1);

/// Our own lock on a data folder.
pub(super) struct FolderLock(File);

/// Keeps daemons from being started on a folder, for as long as it lives.
pub struct Stopped {
    /// Without a lock file there never was a daemon.
    _lock: Option<FolderLock>,
}

impl FolderLock {
    /// Takes it for a daemon, so that a second one is told so in plain words. The file stays.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(FILE_NAME))?;
        if lock_soon(&file, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(Self(file));
        }
        Err(OpenError::InUse {
            folder: folder.to_owned(),
        })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing is not enough while a child process that is just being started has a copy.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Stopped {
    /// Makes sure that no daemon runs on the folder, nor comes meanwhile; changes nothing in it.
    pub fn hold(folder: &Path) -> Result<Self, OpenError> {
        let file = match File::open(folder.join(FILE_NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { _lock: None }),
            Err(error) => return Err(error.into()),
        };
        if !lock_soon(&file, FlockOperation::NonBlockingLockShared)? {
            return Err(OpenError::InUse {
                folder: folder.to_owned(),
            });
        }
        Ok(Self {
            _lock: Some(FolderLock(file)),
        })
    }
}

/// Waits until sled is closed: a journal of this process that was dropped, or an attempt to open it
/// that failed just now. Other daemons are kept away by our own lock. If it stays open after all,
/// sled says so.
pub(super) fn wait_for_previous(log: &Path) -> io::Result<()> {
    let database = log.join("db");
    if database.exists() {
        let file = File::open(database)?;
        if lock_soon(&file, FlockOperation::NonBlockingLockExclusive)? {
            // Closing is not enough, as with our own lock.
            flock(&file, FlockOperation::Unlock)?;
        }
    }
    Ok(())
}

/// Whether the lock could be had within [`LEFT_OVER`].
fn lock_soon(file: &File, operation: FlockOperation) -> io::Result<bool> {
    let started = Instant::now();
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if started.elapsed() < LEFT_OVER => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
