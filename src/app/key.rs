//! The key that secrets are encrypted with: a file in the data folder that is made once and then
//! reused. Without it, what was encrypted is lost.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::engine::Vault;

/// The file's name in the data folder.
const FILE_NAME: &str = "secrets.key";

/// Why there is no key to start with.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file can neither be read nor made.
    #[error("the key file {} cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no key.
    #[error("the key file {} must hold exactly {} bytes", path.display(), Vault::KEY_BYTES)]
    Unusable {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads `secrets.key` in the data folder or, if there is none, makes it: random bytes, mode 0600,
/// on disk before this returns.
pub(super) fn load_or_create(data: &Path) -> Result<Vault, KeyError> {
    let path = data.join(FILE_NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => keep(&path).map(|()| bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(data, &path),
        Err(error) => Err(error),
    };
    let bytes = bytes.map_err(|source| KeyError::File {
        path: path.clone(),
        source,
    })?;
    match <&[u8; Vault::KEY_BYTES]>::try_from(&*bytes) {
        Ok(key) => Ok(Vault::new(key)),
        Err(_) => Err(KeyError::Unusable { path }),
    }
}

/// Takes an existing file away from everybody else.
fn keep(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Writes a new key under a temporary name first, so that the file is never seen half written.
fn create(data: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let mut key = [0; Vault::KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let unfinished = data.join(format!("{FILE_NAME}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(data)?.sync_all()?;
    Ok(key.to_vec())
}
