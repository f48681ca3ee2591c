//! The administrator's token: a file in the data folder that is made once and then reused. Who can
//! read the file may use the daemon over TCP.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file's name in the data folder.
const FILE_NAME: &str = "admin.token";
const RANDOM_BYTES: usize = 32;
/// Nobody who wrote the file by hand gets away with less.
const MIN_LENGTH: usize = 16;

/// The secret that TCP clients show. It is never printed.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token to start with.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can neither be read nor made.
    #[error("the token file {} cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no usable token.
    #[error("the token file {} holds fewer than {MIN_LENGTH} printable characters", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
    },
}

impl Token {
    /// Reads `admin.token` in the data folder or, if there is none, makes it: 32 random bytes in
    /// hexadecimal, mode 0600, on disk before this returns.
    pub fn load_or_create(data: &Path) -> Result<Self, TokenError> {
        let path = data.join(FILE_NAME);
        let token = match fs::read_to_string(&path) {
            Ok(text) => Self::keep(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(data, &path),
            Err(error) => Err(error),
        };
        let token = token.map_err(|source| TokenError::File {
            path: path.clone(),
            source,
        })?;
        let usable = token.0.len() >= MIN_LENGTH && token.0.bytes().all(|b| b.is_ascii_graphic());
        if usable {
            Ok(token)
        } else {
            Err(TokenError::Unusable { path })
        }
    }

    /// Takes an existing file's token, and the file away from everybody else.
    fn keep(path: &Path, text: &str) -> io::Result<Self> {
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
        }
        Ok(Self(text.trim().to_owned()))
    }

    /// Whether `shown` is the token, in a time that does not tell how much of it is right.
    #[must_use]
    pub fn matches(&self, shown: &str) -> bool {
        let (own, shown) = (self.0.as_bytes(), shown.as_bytes());
        if own.len() != shown.len() {
            return false;
        }
        let difference = own
            .iter()
            .zip(shown)
            .fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
        difference == 0
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(***)")
    }
}

/// Writes a new token under a temporary name first, so that the file is never seen half written.
fn create(data: &Path, path: &Path) -> io::Result<Token> {
    let mut random = [0; RANDOM_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();

    let unfinished = data.join(format!("{FILE_NAME}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(data)?.sync_all()?;
    Ok(Token(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_kept() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(FILE_NAME);
        let made = Token::load_or_create(data.path()).unwrap();
        assert_eq!(made.0.len(), 2 * RANDOM_BYTES);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let read = Token::load_or_create(data.path()).unwrap();
        assert!(made.matches(&read.0));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join(FILE_NAME), "\n").unwrap();
        let error = Token::load_or_create(data.path()).unwrap_err();
        assert!(matches!(error, TokenError::Unusable { .. }), "{error}");
    }

    #[test]
    fn only_the_token_matches() {
        let token = Token::from("0123456789abcdef");
        assert!(token.matches("0123456789abcdef"));
        for wrong in [
            "",
            "0123456789abcdeF",
            "0123456789abcde",
            "0123456789abcdef0",
        ] {
            assert!(!token.matches(wrong), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(***)");
    }
}
