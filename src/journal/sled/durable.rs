//! What makes files durable: those of sled after each of its flushes, and small ones of our own.
//! It never reads what is in them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The files of sled, synced by us: its own `flush` survives the end of the process, but not a
/// power cut.
///
/// `fdatasync` of its one log file is all that small values need. `syncfs` would do as well, but
/// waits for everything that anybody writes to the same file system, as an image being copied
/// there. Pages over 128 KiB go to files under `blobs`, which sled never syncs; with values of at
/// most 4 KiB there are no such pages, and if there ever are, they are synced here.
pub(super) struct DataFiles {
    folder: PathBuf,
    database: File,
    blobs: BTreeSet<OsString>,
}

impl DataFiles {
    /// Makes durable what is there, names included, and looks after what comes.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        let mut files = Self {
            folder: folder.to_owned(),
            database: File::open(folder.join("db"))?,
            blobs: BTreeSet::new(),
        };
        files.sync_blobs()?;
        sync_folder(&folder.join("blobs"))?;
        sync_folder(folder)?;
        Ok(files)
    }

    /// Makes durable what sled has flushed.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.sync_blobs()? {
            sync_folder(&self.folder.join("blobs"))?;
        }
        Ok(rustix::fs::fdatasync(&self.database)?)
    }

    /// Syncs the blobs that are new; whether there were any.
    fn sync_blobs(&mut self) -> io::Result<bool> {
        let folder = self.folder.join("blobs");
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(&folder)? {
            found.insert(entry?.file_name());
        }
        let mut synced = false;
        for name in found.difference(&self.blobs) {
            match File::open(folder.join(name)) {
                Ok(file) => file.sync_all()?,
                // sled has removed it again.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            synced = true;
        }
        self.blobs = found;
        Ok(synced)
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Replaces a small file as a whole, durably.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}
