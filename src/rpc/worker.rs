//! A worker: one thread with a runtime of its own, which serves its connections from the first byte
//! to the last.
//!
//! One thread, because the library spawns a task for each message: a runtime of one thread polls
//! new tasks first in, first out, so handlers see the calls of a connection in the order in which
//! they were sent. Threads that steal tasks from each other would not keep it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::Methods;
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, HttpBody, PingConfig, Server, ServerConfig, StopHandle,
    TowerServiceBuilder, ws,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;
use tower::Service;
use tower::layer::util::Identity;

use super::auth::{Access, Doorkeeper};
use super::body::TimedBody;
use super::connection::{Connection, Link, Transport};
use super::gate::Gate;
use super::limits::Limits;
use super::method::MethodTable;
use super::middleware::{Middleware, NoAnswer, Session};
use super::socket::{Socket, Stream};

/// Whoever has no access needs no more than this to ask.
const UNAUTHENTICATED_REQUEST_BYTES: u32 = 64 << 10;
/// The largest HTTP head, and what one read takes at most.
const HEAD_BYTES: usize = 64 << 10;

type Library = TowerServiceBuilder<Identity, Identity>;

/// What all connections of all workers share.
pub(super) struct Shared {
    pub(super) table: Arc<MethodTable>,
    pub(super) limits: Limits,
    pub(super) doorkeeper: Doorkeeper,
    pub(super) stopping: watch::Receiver<bool>,
    methods: Methods,
    library: Library,
    library_of_strangers: Library,
    next_link: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        table: Arc<MethodTable>,
        methods: Methods,
        limits: Limits,
        doorkeeper: Doorkeeper,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            library: library(&limits, limits.max_request_bytes),
            library_of_strangers: library(
                &limits,
                limits.max_request_bytes.min(UNAUTHENTICATED_REQUEST_BYTES),
            ),
            table,
            limits,
            doorkeeper,
            stopping,
            methods,
            next_link: AtomicU64::new(1),
        }
    }
}

/// The library's side, with every limit of it set.
fn library(limits: &Limits, max_request_bytes: u32) -> Library {
    let ping = Duration::from_millis(limits.ping_interval_ms);
    let config = ServerConfig::builder()
        .max_request_body_size(max_request_bytes)
        // Answers are measured by the middleware, which can say what to use instead.
        .max_response_body_size(u32::MAX)
        // Sockets are counted where they are accepted; here requests are, too.
        .max_connections(limits.max_connections.saturating_mul(4).saturating_add(64))
        // The middleware's own bound comes first and has a better error.
        .max_subscriptions_per_connection(limits.max_subscriptions.saturating_add(1))
        .set_batch_request_config(BatchRequestConfig::Limit(limits.max_batch_length))
        .set_message_buffer_capacity(limits.max_queued_messages)
        .enable_ws_ping(
            PingConfig::new()
                .ping_interval(ping)
                .inactive_limit(ping * 2)
                .max_failures(1),
        )
        .build();
    Server::builder().set_config(config).to_service_builder()
}

/// One accepted socket, on its way to a worker.
pub(super) struct Accepted {
    pub(super) stream: AcceptedStream,
    /// The address that the client connected to, or nothing on a Unix socket.
    pub(super) local: Option<IpAddr>,
    /// Known already for the peer of a Unix socket; over TCP each request shows its token.
    pub(super) access: Option<Access>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Not registered with any runtime yet: the worker's will be the one.
pub(super) enum AcceptedStream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl AcceptedStream {
    fn register(self) -> std::io::Result<Stream> {
        match self {
            Self::Tcp(stream) => tokio::net::TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Unix(stream) => tokio::net::UnixStream::from_std(stream).map(Stream::Unix),
        }
    }
}

/// What a connection holds until its socket is closed.
#[derive(Debug)]
struct Slot {
    _permit: OwnedSemaphorePermit,
    _open: mpsc::Sender<Infallible>,
    load: Arc<AtomicUsize>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves what comes through `accepted` until the server stops, and then until the last connection
/// is closed or the time for that is over. What is left then is dropped with the runtime.
pub(super) async fn work(
    shared: Arc<Shared>,
    mut accepted: mpsc::UnboundedReceiver<Accepted>,
    load: Arc<AtomicUsize>,
    stop: StopHandle,
) {
    let (open, mut all_closed) = mpsc::channel(1);
    let mut stopping = shared.stopping.clone();
    loop {
        let next = tokio::select! {
            next = accepted.recv() => next,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let Some(Accepted {
            stream,
            local,
            access,
            permit,
        }) = next
        else {
            break;
        };
        let slot = Slot {
            _permit: permit,
            _open: open.clone(),
            load: Arc::clone(&load),
        };
        match stream.register() {
            Ok(stream) => {
                let caller = Caller {
                    local,
                    access,
                    stop: stop.clone(),
                };
                tokio::spawn(serve(Arc::clone(&shared), stream, slot, caller));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
    }
    drop(open);
    let _ = tokio::time::timeout(shared.limits.stop_timeout(), all_closed.recv()).await;
}

/// What is known about a peer before it says anything.
struct Caller {
    local: Option<IpAddr>,
    access: Option<Access>,
    stop: StopHandle,
}

/// Speaks HTTP with one peer until it leaves or the connection becomes a WebSocket, which then has
/// tasks of its own.
async fn serve(shared: Arc<Shared>, stream: Stream, slot: Slot, caller: Caller) {
    let link = Arc::new(Link {
        id: shared.next_link.fetch_add(1, Ordering::Relaxed),
        gate: Arc::new(Gate::new(&shared.limits)),
        outgoing: Arc::default(),
    });
    let socket = Socket::spawn(
        stream,
        slot,
        Arc::clone(&link.outgoing),
        Arc::clone(&link.gate),
        shared.limits.write_timeout(),
    );
    let header_timeout = shared.limits.header_timeout();
    let stopped = caller.stop.clone().shutdown();
    let service = hyper::service::service_fn(|request| answer(&shared, &link, &caller, request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, connection = link.id, "a connection ended early");
    }
}

/// Answers one HTTP request, which may be the wish to become a WebSocket.
async fn answer(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<Response<HttpBody>, jsonrpsee::core::BoxError> {
    if let Err(line) = shared.doorkeeper.check(&request, caller.local) {
        return Ok(refused(line));
    }
    let access = match &caller.access {
        Some(access) => access.clone(),
        None => shared.doorkeeper.access(request.headers()),
    };
    let stranger = !matches!(access, Access::Granted(_));
    let transport = if ws::is_upgrade_request(&request) {
        Transport::WebSocket
    } else {
        Transport::Http
    };
    if stranger && transport == Transport::WebSocket {
        let link = Arc::clone(link);
        let timeout = Duration::from_millis(shared.limits.unauthenticated_timeout_ms);
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            link.outgoing.cut();
        });
    }
    let connection = Connection::new(Arc::clone(link), access, transport, &shared.limits);
    let session = Arc::new(Session {
        table: Arc::clone(&shared.table),
        connection: Arc::new(connection),
        max_answer_bytes: shared.limits.max_answer_bytes,
        stopping: shared.stopping.clone(),
    });
    let library = if stranger {
        &shared.library_of_strangers
    } else {
        &shared.library
    };
    let mut service = library
        .clone()
        .set_rpc_middleware(RpcServiceBuilder::new().layer_fn(move |inner| Middleware {
            inner,
            session: Arc::clone(&session),
        }))
        .build(shared.methods.clone(), caller.stop.clone());
    let deadline = Instant::now() + shared.limits.body_timeout();
    let mut response = service
        .call(request.map(|body| TimedBody::new(body, deadline)))
        .await?;
    if response.extensions().get::<NoAnswer>().is_some() {
        response = Response::new(HttpBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    if stranger && transport == Transport::Http {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn refused(line: &'static str) -> Response<HttpBody> {
    let mut response = Response::new(HttpBody::from(line));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}
