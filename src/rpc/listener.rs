//! Binding the two listeners, and accepting from them without ever spinning or taking more than the
//! daemon can serve.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::auth::peer_access;
use super::worker::{Accepted, AcceptedStream};

/// How long to leave a listener alone after an error; with no file descriptor free, accepting fails
/// at once and for as long as there is none.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Sockets that are bound. Who connects waits until a server accepts.
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) tcp: Option<std::net::TcpListener>,
    pub(super) unix: Option<(std::os::unix::net::UnixListener, PathBuf)>,
}

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The TCP address cannot be listened on.
    #[error("cannot listen on {address}")]
    Tcp {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The Unix socket cannot be listened on.
    #[error("cannot listen on {}", path.display())]
    Unix {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Listeners {
    /// Binds a TCP address; port 0 takes a free one.
    pub fn tcp(&mut self, address: SocketAddr) -> Result<(), BindError> {
        let bound = bind_tcp(address).map_err(|source| BindError::Tcp { address, source })?;
        self.tcp = Some(bound);
        Ok(())
    }

    /// Whether the system takes a path of that length, before anything is made there.
    pub fn check_unix(path: &Path) -> Result<(), BindError> {
        std::os::unix::net::SocketAddr::from_pathname(path)
            .map(drop)
            .map_err(|source| unusable(path, source))
    }

    /// Binds a Unix socket, mode 0600. A file that a daemon left behind is removed, but never one
    /// that somebody listens on, nor one that is no socket.
    pub fn unix(&mut self, path: &Path) -> Result<(), BindError> {
        let bound = bind_unix(path).map_err(|source| unusable(path, source))?;
        self.unix = Some((bound, path.to_owned()));
        Ok(())
    }
}

impl Drop for Listeners {
    /// Nobody has served on them, so the socket's file says nothing to anybody.
    fn drop(&mut self) {
        if let Some((_, path)) = self.unix.take() {
            // The next start would remove it as well.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn unusable(path: &Path, source: io::Error) -> BindError {
    BindError::Unix {
        path: path.to_owned(),
        source,
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "somebody listens on it",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => return Err(error),
        Err(_) if std::fs::symlink_metadata(path)?.file_type().is_socket() => {
            std::fs::remove_file(path)?;
        }
        Err(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is not a socket",
            ));
        }
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    // Between the two lines others may connect; their uid is looked at anyway.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Accepts TCP connections and hands them on. When there is no place, the one that was accepted
/// last waits for it, and the others wait in the system's own queue.
pub(super) async fn accept_tcp(
    listener: TcpListener,
    places: Arc<Semaphore>,
    hand_on: impl Fn(Accepted),
) {
    loop {
        let accepted = async {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?.ip();
            io::Result::Ok((AcceptedStream::Tcp(stream.into_std()?), local))
        };
        match accepted.await {
            Ok((stream, local)) => {
                let Ok(permit) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                hand_on(Accepted {
                    stream,
                    local: Some(local),
                    access: None,
                    permit,
                });
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// The same for the Unix socket, where the peer's uid says who it is.
pub(super) async fn accept_unix(
    listener: UnixListener,
    places: Arc<Semaphore>,
    hand_on: impl Fn(Accepted),
) {
    let own_uid = rustix::process::geteuid().as_raw();
    loop {
        let accepted = async {
            let (stream, _) = listener.accept().await?;
            let access = peer_access(stream.peer_cred()?.uid(), own_uid);
            io::Result::Ok((AcceptedStream::Unix(stream.into_std()?), access))
        };
        match accepted.await {
            Ok((stream, access)) => {
                let Ok(permit) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                hand_on(Accepted {
                    stream,
                    local: None,
                    access: Some(access),
                    permit,
                });
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    // A peer that left before it was accepted costs nothing; everything else may last.
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "accepting a connection failed");
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }
}
