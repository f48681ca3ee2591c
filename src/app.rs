//! The composition root: the only place that names concrete types. It opens the journal, recovers
//! the state, starts the engine, and opens the listeners last.

mod config;
mod key;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use config::{Config, ConfigError};
pub use key::KeyError;

use crate::alerts::{Hub, HubLimits};
use crate::engine::executor::Executor;
use crate::engine::{Engine, EngineConfig, RecoveryError, StartError, recover};
use crate::journal::{AppendError, Journal, OpenError, SledJournal, abort_when_storage_panics};
use crate::rpc::{self, Api, RpcServer, Token, TokenError, convert, method_table};
use crate::subsystems::diagnostic::Diagnostic;
use crate::subsystems::storage::Storage;

/// How long attempts may take to notice that the daemon ends; they go on at the next start.
const ATTEMPTS_GRACE: Duration = Duration::from_secs(2);

/// The subsystems of this process, also those that are switched off: nobody else takes their names.
const BUILT_IN: [&str; 3] = ["diagnostic", "exec", "storage"];

/// What `opstead serve` was told.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The data folder; made if it is missing.
    pub data: PathBuf,
    /// Where to listen for TCP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The configuration file.
    pub config: Option<PathBuf>,
}

/// Why the daemon did not start, or ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be made or used.
    #[error("the data folder {} cannot be used", .path.display())]
    Data {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal cannot be opened.
    #[error("the data folder {} cannot be opened", .path.display())]
    Open {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The state cannot be recovered.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The token file cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The key of secrets cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A subsystem cannot start.
    #[error("the subsystem {subsystem} cannot start")]
    Subsystem {
        /// Which.
        subsystem: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The listeners cannot be opened.
    #[error(transparent)]
    Rpc(#[from] rpc::StartError),
    /// The operating system gave no thread or signal.
    #[error("the daemon could not be set up")]
    Setup(#[source] std::io::Error),
    /// The journal failed while the daemon ran. What was acknowledged is on disk.
    #[error("the journal failed; start again once the cause is mended, acknowledged work is kept")]
    Journal(#[from] AppendError),
}

/// Runs the daemon until SIGTERM or SIGINT, or until its journal fails.
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let config = Config::load(options.config.as_deref())?;
    abort_when_storage_panics();
    allow_many_files();
    make_folder(&options.data)?;
    let journal =
        SledJournal::open(&options.data, &config.journal_options()).map_err(|source| {
            ServeError::Open {
                path: options.data.clone(),
                source,
            }
        })?;
    let reader = journal.reader();
    let state = recover(&*reader)?;
    let token = Token::load_or_create(&options.data)?;
    let vault = key::load_or_create(&options.data)?;
    let executors = executors(&config, &options)?;
    let limits = config.rpc_limits();
    let mut hub_limits = HubLimits::default();
    // Sizes in the hub are estimates, so they keep well below.
    hub_limits.answer_bytes = hub_limits.answer_bytes.min(limits.max_answer_bytes / 2);
    let hub = Hub::new(reader, convert::encode_alert, hub_limits);
    let runtime = runtime()?;
    let publisher = hub.clone();
    let engine = Engine::start(
        EngineConfig {
            limits: config.core_limits(),
            capacity: config.capacity(),
            retention: config.retention(),
            lease_ms: config.lease_ms(),
            built_in: BUILT_IN.to_vec(),
            vault,
            ..EngineConfig::default()
        },
        Box::new(journal),
        state,
        executors,
        runtime.handle().clone(),
        Box::new(move |block| publisher.publish(block)),
    )?;
    let api = Api::new(engine.handle.clone(), hub, config.wire_limits(&limits));
    let server = RpcServer::start(
        rpc::Config {
            listen: Some(options.listen),
            socket: Some(options.data.join("opstead.sock")),
            allowed_hosts: config.listen.hosts.clone(),
            allowed_origins: config.listen.origins.clone(),
            limits,
            ..rpc::Config::new(token)
        },
        method_table(&api),
    )?;
    engine.handle.listening();
    let signals = Signals::new(&runtime).map_err(ServeError::Setup)?;
    announce(&server);
    let result = run(&runtime, signals, engine, server);
    runtime.shutdown_timeout(ATTEMPTS_GRACE);
    result
}

/// What tells the daemon to end. From when it exists on, the system does not end it by itself.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new(runtime: &Runtime) -> std::io::Result<Self> {
        let _context = runtime.enter();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Waits for the end, and ends in order: no new connections, no new orders, what was ordered made
/// durable and answered, then the connections, then the attempts.
fn run(
    runtime: &Runtime,
    mut signals: Signals,
    engine: Engine,
    mut server: RpcServer,
) -> Result<(), ServeError> {
    let handle = engine.handle.clone();
    let (ended, mut engine_ended) = tokio::sync::oneshot::channel();
    let joined = std::thread::spawn(move || {
        let result = engine.join();
        // The other end is gone only when the daemon ends anyway.
        let _ = ended.send(());
        result
    });
    runtime.block_on(async {
        tokio::select! {
            _ = signals.terminate.recv() => tracing::info!("ending on SIGTERM"),
            _ = signals.interrupt.recv() => tracing::info!("ending on SIGINT"),
            _ = &mut engine_ended => {}
        }
    });
    // Before the data folder is free for another daemon, whose socket has the same path.
    server.close_listeners();
    handle.stop();
    let result = joined
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    server.stop();
    Ok(result?)
}

fn make_folder(path: &std::path::Path) -> Result<(), ServeError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|source| ServeError::Data {
        path: path.to_owned(),
        source,
    })
}

fn executors(
    config: &Config,
    options: &ServeOptions,
) -> Result<Vec<Arc<dyn Executor>>, ServeError> {
    let storage =
        Storage::open(config.storage(&options.data)).map_err(|source| ServeError::Subsystem {
            subsystem: "storage",
            source,
        })?;
    let mut executors: Vec<Arc<dyn Executor>> = vec![Arc::new(storage)];
    if config.diagnostic.enabled {
        executors.push(Arc::new(Diagnostic));
    }
    Ok(executors)
}

/// Takes as many open files as the system allows: each connection is one.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

fn runtime() -> Result<Runtime, ServeError> {
    Builder::new_multi_thread()
        .thread_name("executor")
        .enable_all()
        .build()
        .map_err(ServeError::Setup)
}

/// Says on standard output where clients find the daemon, in one line that programs can wait for.
fn announce(server: &RpcServer) {
    let mut line = "opstead is ready:".to_owned();
    if let Some(address) = server.local_address() {
        line.push_str(&format!(" ws://{address}"));
    }
    if let Some(socket) = server.socket() {
        line.push_str(&format!(" unix:{}", socket.display()));
    }
    // Nobody may be listening on standard output, and that is no reason to end.
    let _ = writeln!(std::io::stdout(), "{line}");
}
