//! The server as a whole: from bound listeners to workers, and their orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::server::{StopHandle, stop_channel};
use tokio::sync::{Semaphore, mpsc, watch};

use super::auth::Doorkeeper;
use super::limits::Limits;
use super::listener::{self, Listeners};
use super::method::MethodTable;
use super::push;
use super::token::Token;
use super::worker::{Accepted, Shared, work};

/// Threads of each worker for what looks at many records; further such calls wait their turn.
const BLOCKING_THREADS: usize = 4;

/// Whom to serve, and within which limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// What TCP clients must show.
    pub token: Token,
    /// Names in `Host` and `Origin` that are as good as the machine's own.
    pub allowed_hosts: Vec<String>,
    /// Whole values of `Origin` that are allowed (`https://console.example:8443`).
    pub allowed_origins: Vec<String>,
    /// Threads that serve connections; 0: as many as there are processors.
    pub workers: usize,
    /// See there.
    pub limits: Limits,
}

impl Config {
    /// Trusts this machine's own names only.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self {
            token,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            workers: 0,
            limits: Limits::default(),
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no thread or no event queue.
    #[error("cannot start the threads that serve connections")]
    Worker(#[from] io::Error),
    /// A method is registered twice.
    #[error("the method table is wrong")]
    Methods(#[from] RegisterMethodError),
}

/// A running server. Dropping it stops it, too.
#[derive(Debug)]
pub struct RpcServer {
    local_address: Option<SocketAddr>,
    socket: Option<PathBuf>,
    /// Dropped to close the listeners.
    listening: Option<watch::Sender<()>>,
    /// Disconnected once they are closed.
    listeners_closed: std_mpsc::Receiver<Infallible>,
    stopping: watch::Sender<bool>,
    stop_library: jsonrpsee::server::ServerHandle,
    workers: Vec<JoinHandle<()>>,
}

/// How long the listeners are open.
#[derive(Clone)]
struct Listening {
    /// Disconnected when they are to be closed.
    until: watch::Receiver<()>,
    /// Dropped after each is closed.
    closed: std_mpsc::Sender<Infallible>,
}

/// The way to one worker, and how many connections it has.
#[derive(Clone)]
struct Desk {
    accepted: mpsc::UnboundedSender<Accepted>,
    load: Arc<AtomicUsize>,
}

impl RpcServer {
    /// Starts serving the methods of `table` to who connects, on threads of its own.
    pub fn start(
        listeners: Listeners,
        config: Config,
        table: MethodTable,
    ) -> Result<Self, StartError> {
        let methods = push::callbacks(&table)?;
        let (listening, until) = watch::channel(());
        let (closed, listeners_closed) = std_mpsc::channel();
        let life = Listening { until, closed };
        let local_address = listeners
            .tcp
            .as_ref()
            .map(|tcp| tcp.local_addr())
            .transpose()?;
        let (stopping, stopped) = watch::channel(false);
        let (stop, stop_library) = stop_channel();
        let shared = Arc::new(Shared::new(
            Arc::new(table),
            methods,
            config.limits,
            Doorkeeper::new(config.token, &config.allowed_hosts, &config.allowed_origins),
            stopped,
        ));
        let mut server = Self {
            local_address,
            socket: listeners.unix.as_ref().map(|(_, path)| path.clone()),
            listening: Some(listening),
            listeners_closed,
            stopping,
            stop_library,
            workers: Vec::new(),
        };
        server.spawn_workers(
            worker_count(config.workers),
            &shared,
            (listeners, life),
            &stop,
        )?;
        Ok(server)
    }

    /// The TCP address that is listened on, with its real port.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    /// The Unix socket that is listened on.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Closes the listeners and removes the socket's file; connections go on. Returns when another
    /// server may have the same addresses.
    pub fn close_listeners(&mut self) {
        if self.listening.take().is_none() {
            return;
        }
        // It is a message that cannot be: only the end of the channel comes.
        let _ = self.listeners_closed.recv();
        if let Some(path) = &self.socket {
            // A later start would remove it as well.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Accepts nothing more, ends the waits, lets the calls in flight end within the stop time-out,
    /// closes every connection and returns then. It blocks.
    pub fn stop(mut self) {
        self.stop_and_join();
    }

    /// The listeners are accepted from on the first worker; connections go to the one with fewest.
    fn spawn_workers(
        &mut self,
        count: usize,
        shared: &Arc<Shared>,
        (mut listeners, life): (Listeners, Listening),
        stop: &StopHandle,
    ) -> Result<(), StartError> {
        let mut desks = Vec::new();
        let mut runtimes = Vec::new();
        for _ in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            let load = Arc::new(AtomicUsize::new(0));
            desks.push(Desk {
                accepted: sender,
                load: Arc::clone(&load),
            });
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .build()?;
            runtimes.push((
                runtime,
                work(Arc::clone(shared), receiver, load, stop.clone()),
            ));
        }
        let places = || Arc::new(Semaphore::new(shared.limits.max_connections as usize));
        if let Some((runtime, _)) = runtimes.first() {
            let _context = runtime.enter();
            if let Some(tcp) = listeners.tcp.take() {
                let tcp = tokio::net::TcpListener::from_std(tcp)?;
                let hand_on = hand_on(desks.clone());
                let accept = listener::accept_tcp(tcp, places(), hand_on);
                runtime.spawn(life.clone().run(accept));
            }
            if let Some((unix, _)) = listeners.unix.take() {
                let unix = tokio::net::UnixListener::from_std(unix)?;
                let accept = listener::accept_unix(unix, places(), hand_on(desks));
                runtime.spawn(life.run(accept));
            }
        }
        for (number, (runtime, work)) in runtimes.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("rpc-{number}"));
            self.workers.push(thread.spawn(move || {
                runtime.block_on(work);
                // Dropping it would wait for reads of the disk, however long they take.
                runtime.shutdown_background();
            })?);
        }
        Ok(())
    }

    fn stop_and_join(&mut self) {
        self.close_listeners();
        self.stopping.send_replace(true);
        // Whoever has stopped already needs no second word.
        let _ = self.stop_library.stop();
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a thread that served connections had panicked");
            }
        }
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.stop_and_join();
    }
}

impl Listening {
    /// Runs the accepting until it is to end; the listener is closed with it.
    async fn run(mut self, accept: impl Future<Output = ()>) {
        tokio::select! {
            () = accept => {}
            _ = self.until.changed() => {}
        }
        drop(self.closed);
    }
}

fn worker_count(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn hand_on(desks: Vec<Desk>) -> impl Fn(Accepted) {
    move |accepted| {
        let Some(desk) = desks
            .iter()
            .min_by_key(|desk| desk.load.load(Ordering::Relaxed))
        else {
            return;
        };
        desk.load.fetch_add(1, Ordering::Relaxed);
        // A worker that has ended takes nothing more: the server stops, the connection is closed.
        let _ = desk.accepted.send(accepted);
    }
}
