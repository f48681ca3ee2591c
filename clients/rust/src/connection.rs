//! The connection: made, kept alive, and made anew when it is lost. It knows sockets and messages,
//! not what they mean.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use opstead_schema::{ErrorCode, ErrorObject, empty_object};
use soketto::connection::Error as SocketError;
use soketto::data::ByteSlice125;
use soketto::handshake::client::Header;
use soketto::handshake::{Client as Handshake, ServerResponse};
use soketto::{Incoming, Receiver, Sender};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::backoff::Backoff;
use crate::envelope::{Message, request};
use crate::session::{Shared, Status};
use crate::{Error, Target};

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

type Stream = Compat<Box<dyn Socket>>;

/// Both directions of a connection whose handshake is done.
pub(crate) struct Connection {
    sender: Sender<Stream>,
    receiver: Receiver<Stream>,
}

impl Connection {
    /// Makes a connection, once.
    pub(crate) async fn establish(shared: &Shared) -> Result<Self, Error> {
        let token = shared.config.token.authorization()?;
        match timeout(
            shared.config.connect_timeout,
            greeted(shared, token.as_deref()),
        )
        .await
        {
            Ok(connection) => connection,
            Err(_) => Err(unreachable(&shared.target, io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Serves the connection, and the ones after it, until the client is closed.
pub(crate) async fn serve(shared: Arc<Shared>, first: Connection) {
    let mut connection = first;
    let fresh = Backoff::new(shared.config.backoff, shared.config.backoff_most);
    let mut backoff = fresh.clone();
    loop {
        let began = Instant::now();
        run(&shared, connection).await;
        // A daemon that takes connections and loses them at once is not to be overrun.
        if began.elapsed() >= ping_interval(&shared) {
            backoff = fresh.clone();
        }
        let mut status = shared.status();
        let closed = status.wait_for(|status| *status == Status::Closed);
        tokio::select! {
            _ = closed => return,
            again = reconnect(&shared, &mut backoff) => connection = again,
        }
    }
}

async fn reconnect(shared: &Shared, backoff: &mut Backoff) -> Connection {
    loop {
        sleep(backoff.delay()).await;
        // Whatever the reason, the daemon may be back, or its token be written anew, a little later.
        if let Ok(connection) = Connection::establish(shared).await {
            return connection;
        }
    }
}

/// Reads and writes side by side: a daemon that does not read until it is read from is no deadlock.
async fn run(shared: &Arc<Shared>, connection: Connection) {
    let Connection { sender, receiver } = connection;
    let to_write = shared.open();
    tokio::select! {
        _lost = read(shared, receiver) => {}
        _lost_or_closed = write(sender, to_write, ping_interval(shared)) => {}
    }
    shared.lose();
}

async fn read(
    shared: &Arc<Shared>,
    mut receiver: Receiver<Stream>,
) -> Result<Infallible, SocketError> {
    // A longer buffer than most messages need is given back.
    const KEPT_BYTES: usize = 64 << 10;
    let silence_most = ping_interval(shared) * 3;
    let mut message = Vec::new();
    loop {
        message.clear();
        message.shrink_to(KEPT_BYTES);
        match timeout(silence_most, receiver.receive(&mut message)).await {
            Ok(Ok(Incoming::Data(_))) => {}
            Ok(Ok(Incoming::Pong(_))) => continue,
            Ok(Ok(Incoming::Closed(_))) | Err(_) => return Err(SocketError::Closed),
            Ok(Err(error)) => return Err(error),
        }
        shared.receive(&message);
    }
}

async fn write(
    mut sender: Sender<Stream>,
    mut to_write: mpsc::UnboundedReceiver<String>,
    ping_interval: Duration,
) -> Result<(), SocketError> {
    // As many as can be written in that time by any daemon that reads at all.
    const TOGETHER_MOST: usize = 64;
    let blocked_most = ping_interval * 3;
    let mut ticks = interval_at(Instant::now() + ping_interval, ping_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let text = tokio::select! {
            text = to_write.recv() => match text {
                Some(text) => Some(text),
                None => break,
            },
            _ = ticks.tick() => None,
        };
        let nothing = ByteSlice125::try_from(&[][..]).expect("no bytes are fewer than 125");
        let write = async {
            match text {
                Some(text) => sender.send_text_owned(text).await?,
                None => sender.send_ping(nothing).await?,
            }
            // What else is there leaves with the same flush.
            for _ in 0..TOGETHER_MOST {
                let Ok(text) = to_write.try_recv() else { break };
                sender.send_text_owned(text).await?;
            }
            sender.flush().await
        };
        timeout(blocked_most, write)
            .await
            .map_err(|_| SocketError::Closed)??;
    }
    timeout(blocked_most, sender.close())
        .await
        .map_err(|_| SocketError::Closed)?
}

/// A connection on which one call was answered: the daemon takes the handshake of a caller that it
/// does not know, and refuses the calls.
async fn greeted(shared: &Shared, authorization: Option<&str>) -> Result<Connection, Error> {
    let mut connection = handshake(shared, authorization).await?;
    let lost = |error: SocketError| unreachable(&shared.target, io::Error::other(error));
    let Connection { sender, receiver } = &mut connection;
    let text = request(0, "system.status", &empty_object());
    sender.send_text_owned(text).await.map_err(lost)?;
    sender.flush().await.map_err(lost)?;
    let mut answer = Vec::new();
    receiver.receive_data(&mut answer).await.map_err(lost)?;
    let message: Message<'_> =
        serde_json::from_slice(&answer).map_err(|error| Error::Protocol(error.to_string()))?;
    match message.error {
        Some(error) => Err(Error::from_daemon(error)),
        None => Ok(connection),
    }
}

async fn handshake(shared: &Shared, authorization: Option<&str>) -> Result<Connection, Error> {
    let target = &shared.target;
    let stream = open(target)
        .await
        .map_err(|source| unreachable(target, source))?;
    let host = target.host();
    let mut handshake = Handshake::new(stream.compat(), &host, "/");
    let header = authorization.map(|value| Header {
        name: "Authorization",
        value: value.as_bytes(),
    });
    handshake.set_headers(header.as_slice());
    match handshake.handshake().await {
        Ok(ServerResponse::Accepted { .. }) => {}
        Ok(
            ServerResponse::Rejected { status_code } | ServerResponse::Redirect { status_code, .. },
        ) => {
            return Err(rejected(target, status_code));
        }
        Err(error) => return Err(unreachable(target, io::Error::other(error))),
    }
    let mut builder = handshake.into_builder();
    builder.set_max_message_size(shared.config.message_bytes);
    builder.set_max_frame_size(shared.config.message_bytes);
    let (sender, receiver) = builder.finish();
    Ok(Connection { sender, receiver })
}

async fn open(target: &Target) -> io::Result<Box<dyn Socket>> {
    Ok(match target {
        Target::Tcp { host, port } => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, *port)).await?;
            // Requests are small and waited for.
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// Never so short that asking for signs of life is all that is done.
fn ping_interval(shared: &Shared) -> Duration {
    shared.config.ping_interval.max(Duration::from_millis(10))
}

fn unreachable(target: &Target, source: io::Error) -> Error {
    Error::Connect {
        target: target.to_string(),
        source,
    }
}

fn rejected(target: &Target, status_code: u16) -> Error {
    let refused = |code, message| Error::Refused(ErrorObject::new(code, message));
    match status_code {
        401 => refused(
            ErrorCode::Unauthenticated,
            "the daemon wants a token, or another one",
        ),
        403 => refused(
            ErrorCode::PermissionDenied,
            "the daemon does not let this caller in",
        ),
        _ => unreachable(
            target,
            io::Error::other(format!("answered with HTTP {status_code}")),
        ),
    }
}
