//! The folders that images may be imported from, and the way into them: symlinks are resolved
//! first, then every step is taken without following any, so that nothing can be swapped between
//! the check and the opening.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::error::{StorageError, during};

/// The allowed folders, held open.
pub(super) struct ImportFolders(Vec<Folder>);

struct Folder {
    /// As it is configured.
    name: PathBuf,
    /// Without symlinks.
    path: PathBuf,
    handle: OwnedFd,
}

impl ImportFolders {
    /// Opens the folders; fails for one that is not there.
    pub(super) fn open(paths: &[PathBuf]) -> io::Result<Self> {
        let open = |path: &PathBuf| {
            let real = path.canonicalize()?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let handle = rustix::fs::open(&real, flags, Mode::empty())?;
            Ok(Folder {
                name: path.clone(),
                path: real,
                handle,
            })
        };
        let describe = |path: &PathBuf, error: io::Error| {
            let message = format!("import folder {}: {error}", path.display());
            io::Error::new(error.kind(), message)
        };
        let folders: io::Result<Vec<Folder>> = paths
            .iter()
            .map(|path| open(path).map_err(|error| describe(path, error)))
            .collect();
        Ok(Self(folders?))
    }

    /// Opens a regular file that lies in one of the folders once symlinks are resolved.
    pub(super) fn open_file(&self, path: &str) -> Result<File, StorageError> {
        let not_allowed = || StorageError::ImportNotAllowed {
            path: path.to_owned(),
            obstacle: self.obstacle(Path::new(path)),
            allowed: self.0.iter().map(|folder| folder.name.clone()).collect(),
        };
        if !Path::new(path).is_absolute() {
            return Err(not_allowed());
        }
        let real = Path::new(path).canonicalize().map_err(|_| not_allowed())?;
        let (folder, rest) = self
            .0
            .iter()
            .find_map(|folder| Some((folder, real.strip_prefix(&folder.path).ok()?)))
            .ok_or_else(not_allowed)?;
        match open_beneath(folder.handle.as_fd(), rest) {
            Ok(Some(file)) => Ok(file),
            Ok(None) | Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Err(not_allowed()),
            Err(error) => Err(during("opening the file to import")(error)),
        }
    }

    /// Why a path leads to nothing that may be imported. It looks into the allowed folders only, and
    /// where symlinks lead it does not say.
    fn obstacle(&self, path: &Path) -> &'static str {
        if !path.is_absolute() {
            return "it is not an absolute path";
        }
        let inside = self.0.iter().find_map(|folder| {
            let rest = path.strip_prefix(&folder.name);
            Some((folder, rest.or(path.strip_prefix(&folder.path)).ok()?))
        });
        let Some((folder, rest)) = inside else {
            return "it is in none of these";
        };
        if rest.components().any(|step| step == Component::ParentDir) {
            return "it has `..` in it";
        }
        match open_beneath(folder.handle.as_fd(), rest) {
            Err(Errno::NOENT) => "there is no such file",
            Err(Errno::ACCESS) => "the daemon may not look there",
            _ => "it is no regular file, or a symlink leads elsewhere",
        }
    }
}

/// Opens a regular file, one step at a time and without following symlinks. None when it is no
/// regular file.
fn open_beneath(folder: BorrowedFd<'_>, path: &Path) -> Result<Option<File>, Errno> {
    let mut steps: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(step) => steps.push(step),
            _ => return Ok(None),
        }
    }
    let Some((file_name, parents)) = steps.split_last() else {
        return Ok(None);
    };
    let mut parent: Option<OwnedFd> = None;
    for step in parents {
        let at = parent.as_ref().map_or(folder, AsFd::as_fd);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        parent = Some(openat(at, *step, flags, Mode::empty())?);
    }
    open_regular(
        parent.as_ref().map_or(folder, AsFd::as_fd),
        file_name,
        OFlags::RDONLY,
    )
}

/// Opens a file of a folder if it is a regular one. Looks first, since only to open a device can
/// have effects, and looks again afterwards.
pub(super) fn open_regular(
    folder: BorrowedFd<'_>,
    file_name: &OsStr,
    access: OFlags,
) -> Result<Option<File>, Errno> {
    let stat = statat(folder, file_name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, file_name, flags, Mode::empty())?);
    let stat = rustix::fs::fstat(&file)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(regular.then_some(file))
}
