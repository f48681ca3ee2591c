//! The data folder of a start. What a start made of a new one goes when the start fails; a folder
//! that was in use before, or is by now, is never touched.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::journal::Stopped;

/// A data folder, taken back when dropped unless it is to be kept.
pub(super) struct DataFolder {
    path: PathBuf,
    /// The folders that had to be made for it, the innermost first.
    made: Vec<PathBuf>,
    is_new: bool,
}

impl DataFolder {
    /// Makes it if it is missing, for its owner alone.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        let made: Vec<PathBuf> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .map(Path::to_owned)
            .collect();
        let folder = Self {
            path: path.to_owned(),
            is_new: !made.is_empty() || fs::read_dir(path)?.next().is_none(),
            made,
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(folder)
    }

    /// From now on it holds what must not be lost, or belongs to somebody else.
    pub(super) fn keep(&mut self) {
        self.is_new = false;
    }

    fn take_back(&self) -> io::Result<()> {
        // Another daemon may have come meanwhile.
        let _stopped = Stopped::hold(&self.path).map_err(io::Error::other)?;
        if self.path.is_dir() {
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(entry.path())?,
                    false => fs::remove_file(entry.path())?,
                }
            }
        }
        for folder in self.made.iter().filter(|folder| folder.exists()) {
            fs::remove_dir(folder)?;
        }
        Ok(())
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if self.is_new
            && let Err(error) = self.take_back()
        {
            let path = self.path.display();
            tracing::warn!(%error, %path, "what this start had begun in the data folder stays");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs::File;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn a_new_folder_goes_with_all_that_was_made_for_it() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("a/b/data");
        let folder = DataFolder::make(&data).unwrap();
        fs::create_dir_all(data.join("log/blobs")).unwrap();
        fs::write(data.join("lock"), "").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_empty_folder_of_somebody_is_emptied_and_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = DataFolder::make(root.path()).unwrap();
        fs::write(root.path().join("lock"), "").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_there_or_is_used_stays() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let folder = DataFolder::make(&data).unwrap();
        let lock = File::create(data.join("lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        drop(folder);
        assert!(data.join("lock").exists(), "another daemon has come");
        drop(lock);
        drop(DataFolder::make(&data).unwrap());
        assert!(data.join("lock").exists(), "it was no new folder");
        fs::remove_file(data.join("lock")).unwrap();
        let mut folder = DataFolder::make(&data).unwrap();
        fs::write(data.join("lock"), "").unwrap();
        folder.keep();
        drop(folder);
        assert!(data.join("lock").exists(), "it is to be kept");
    }
}
