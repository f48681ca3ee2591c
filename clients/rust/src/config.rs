//! How a client behaves, and with which token it connects.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// Names the token itself.
const TOKEN_VARIABLE: &str = "OPSTEAD_TOKEN";
/// Names the file that the token stands in.
const TOKEN_FILE_VARIABLE: &str = "OPSTEAD_TOKEN_FILE";

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// With what it says who it is.
    pub token: Token,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take; waits have this beside their own time.
    pub call_timeout: Duration,
    /// The delay before the first attempt at a new connection. It doubles with each, until a
    /// connection has lasted for a `ping_interval`.
    pub backoff: Duration,
    /// The longest such delay.
    pub backoff_most: Duration,
    /// How often the daemon is asked for a sign of life. Without one for three times as long, or
    /// when a message cannot be written for so long, the connection counts as lost.
    pub ping_interval: Duration,
    /// How many alerts a subscription holds that were not yet taken. Over that it is given up, and
    /// resumed after the last one taken.
    pub queue: usize,
    /// How many calls may be in flight; further ones wait.
    pub calls_in_flight: usize,
    /// The longest message that is read.
    pub message_bytes: usize,
}

/// With what a client says who it is. On a Unix socket none is needed.
#[derive(Clone, Default)]
pub enum Token {
    /// `OPSTEAD_TOKEN`, else the file that `OPSTEAD_TOKEN_FILE` names, else none. An empty variable
    /// counts as not set.
    #[default]
    Environment,
    /// This one.
    Given(String),
    /// The one in this file, read anew for each connection.
    File(PathBuf),
    /// None.
    None,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            token: Token::default(),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            backoff: Duration::from_millis(50),
            backoff_most: Duration::from_secs(5),
            ping_interval: Duration::from_secs(15),
            queue: 1_024,
            calls_in_flight: 1_024,
            message_bytes: 64 << 20,
        }
    }
}

impl Token {
    /// The header `Authorization`, if there is a token.
    pub(crate) fn authorization(&self) -> Result<Option<String>, Error> {
        let named = |from: &str, token| Some((PathBuf::from(from), token));
        let in_file = |path: &Path| Ok::<_, Error>(Some((path.to_owned(), read(path)?)));
        let token = match self {
            Self::Given(token) => named("the configuration", token.clone()),
            Self::File(path) => in_file(path)?,
            Self::None => None,
            Self::Environment => {
                let token = env::var(TOKEN_VARIABLE).ok();
                let path = env::var_os(TOKEN_FILE_VARIABLE);
                match (
                    token.filter(|token| !token.is_empty()),
                    path.filter(|path| !path.is_empty()),
                ) {
                    (Some(token), _) => named(TOKEN_VARIABLE, token),
                    (None, Some(path)) => in_file(Path::new(&path))?,
                    (None, None) => None,
                }
            }
        };
        let Some((from, token)) = token else {
            return Ok(None);
        };
        let token = token.trim();
        // Anything else would end the header and begin another.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Token {
                path: from,
                source: std::io::Error::other(
                    "a token is printable, has no spaces and is not empty",
                ),
            });
        }
        Ok(Some(format!("Bearer {token}")))
    }
}

/// Without the token, so that it gets into no log.
impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => formatter.write_str("Environment"),
            Self::Given(_) => formatter.write_str("Given(***)"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::None => formatter.write_str("None"),
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Token {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_never_shown() {
        let token = Token::Given(" s3cret\n".to_owned());
        assert_eq!(
            token.authorization().unwrap().as_deref(),
            Some("Bearer s3cret")
        );
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn a_token_cannot_smuggle_a_header() {
        for text in ["", "a b", "a\r\nHost: x"] {
            assert!(
                Token::Given(text.to_owned()).authorization().is_err(),
                "{text:?}"
            );
        }
        assert!(matches!(
            Token::File("/nonexistent/token".into()).authorization(),
            Err(Error::Token { .. })
        ));
    }
}
