//! Where a daemon is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of a daemon that was not told another.
const DEFAULT_PORT: u16 = 6770;

/// Where a daemon is: `ws://host:port`, `unix:/path`, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// TCP, with a WebSocket over it.
    Tcp {
        /// Name or address; an IPv6 address in brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A Unix socket, with a WebSocket over it.
    Unix(PathBuf),
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no target: expected ws://host:port, unix:/path or a path")]
pub struct TargetError {
    text: String,
}

impl Target {
    /// `host:port` as it stands in the header `Host`.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let unknown = || TargetError {
            text: text.to_owned(),
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(unknown())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Some(rest) = text.strip_prefix("ws://") {
            let authority = rest.strip_suffix('/').unwrap_or(rest);
            return authority_of(authority).ok_or_else(unknown);
        }
        if text.contains("://") || text.is_empty() {
            return Err(unknown());
        }
        if text.contains('/') {
            Ok(Self::Unix(text.into()))
        } else {
            authority_of(text).ok_or_else(unknown)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(formatter, "ws://{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

fn authority_of(text: &str) -> Option<Target> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, DEFAULT_PORT),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.is_empty()
        && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/:@?#".contains(c));
    (bracketed || plain).then(|| Target::Tcp {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written() {
        for (text, written) in [
            ("ws://127.0.0.1:6770", "ws://127.0.0.1:6770"),
            ("ws://localhost:1/", "ws://localhost:1"),
            ("ws://[::1]:6770", "ws://[::1]:6770"),
            ("ws://[::1]", "ws://[::1]:6770"),
            ("localhost", "ws://localhost:6770"),
            ("unix:/run/opstead.sock", "unix:/run/opstead.sock"),
            ("unix:///run/opstead.sock", "unix:/run/opstead.sock"),
            ("./data/opstead.sock", "unix:./data/opstead.sock"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "unix:",
            "http://localhost:1",
            "wss://a:1",
            "ws://",
            "ws://a:b",
            "ws://a:1/x",
            "ws://a b:1",
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.to_string().contains("ws://host:port"), "{error}");
        }
    }
}
