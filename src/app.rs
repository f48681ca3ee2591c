//! The composition root: the only place that names concrete types. It reads the configuration, binds
//! the address, opens the journal, recovers the state, starts the engine, and serves last.

mod config;
mod error;
mod folder;
mod journal;
mod key;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opstead_core::State;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use config::{Config, ConfigError};
pub use error::{Fault, ServeError};
pub use journal::StoppedFolder;
pub use key::KeyError;

use self::folder::DataFolder;
use crate::alerts::{Hub, HubLimits};
use crate::engine::executor::Executor;
use crate::engine::{Engine, EngineConfig, Vault, recover};
use crate::journal::{Journal, OpenError, SledJournal, abort_when_storage_panics};
use crate::rpc::{self, Api, Listeners, RpcServer, Token, convert, method_table};
use crate::subsystems::diagnostic::Diagnostic;
use crate::subsystems::exec::Exec;
use crate::subsystems::storage::Storage;

/// How long attempts may take to notice that the daemon ends; they go on at the next start.
const ATTEMPTS_GRACE: Duration = Duration::from_secs(3);

/// How long programs among them have to end by themselves; then they are killed.
const PROGRAMS_GRACE: Duration = Duration::from_secs(2);

/// The Unix socket in the data folder.
const SOCKET: &str = "opstead.sock";

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

/// All that can fail before anything is written to the log of a new data folder.
struct Ground {
    listeners: Listeners,
    journal: SledJournal,
    state: State,
    token: Token,
    vault: Vault,
    exec: Exec,
    executors: Vec<Arc<dyn Executor>>,
    // Last, so that the journal is closed when the folder is taken back.
    folder: DataFolder,
}

/// Runs the daemon until SIGTERM or SIGINT, or until its journal fails. A start that fails leaves
/// nothing behind.
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let config = Config::load(options.config.as_deref())?;
    abort_when_storage_panics();
    allow_many_files();
    let runtime = runtime()?;
    let mut ground = Ground::prepare(&options, &config)?;
    let signals = Signals::new(&runtime).map_err(ServeError::Setup)?;
    ground.folder.keep();
    let limits = config.rpc_limits();
    let mut hub_limits = HubLimits::default();
    // Sizes in the hub are estimates, so they keep well below.
    hub_limits.answer_bytes = hub_limits.answer_bytes.min(limits.max_answer_bytes / 2);
    let hub = Hub::new(ground.journal.reader(), convert::encode_alert, hub_limits);
    let publisher = hub.clone();
    let engine = Engine::start(
        EngineConfig {
            limits: config.core_limits(),
            capacity: config.capacity(),
            retention: config.retention(),
            lease_ms: config.lease_ms(),
            built_in: BUILT_IN.to_vec(),
            vault: ground.vault,
            ..EngineConfig::default()
        },
        Box::new(ground.journal),
        ground.state,
        ground.executors,
        runtime.handle().clone(),
        Box::new(move |block| publisher.publish(block)),
    )?;
    let api = Api::new(engine.handle.clone(), hub, config.wire_limits(&limits));
    let server = RpcServer::start(
        ground.listeners,
        rpc::Config {
            allowed_hosts: config.listen.hosts.clone(),
            allowed_origins: config.listen.origins,
            limits,
            ..rpc::Config::new(ground.token)
        },
        method_table(&api),
    )?;
    engine.handle.listening();
    announce(&server);
    let result = run(&runtime, signals, engine, server);
    let told = Instant::now();
    runtime.block_on(ground.exec.end(PROGRAMS_GRACE));
    runtime.shutdown_timeout(ATTEMPTS_GRACE.saturating_sub(told.elapsed()));
    result
}

impl Ground {
    /// The address is taken before the folder is made. Who connects meanwhile waits.
    fn prepare(options: &ServeOptions, config: &Config) -> Result<Self, ServeError> {
        let data = &options.data;
        let socket = data.join(SOCKET);
        Listeners::check_unix(&socket)?;
        let mut listeners = Listeners::default();
        listeners.tcp(options.listen)?;
        let mut folder = DataFolder::make(data).map_err(|source| ServeError::Data {
            path: data.clone(),
            source,
        })?;
        let journal = open_journal(options, config, &mut folder)?;
        let state = recover(&*journal.reader())?;
        let token = Token::load_or_create(data)?;
        let vault = key::load_or_create(data)?;
        listeners.unix(&socket)?;
        // The journal's lock says that no other daemon runs programs on this folder.
        let exec = Exec::open(config.exec(data)).map_err(|source| ServeError::Subsystem {
            subsystem: "exec",
            source,
        })?;
        Ok(Self {
            executors: executors(config, options, &exec)?,
            exec,
            listeners,
            journal,
            state,
            token,
            vault,
            folder,
        })
    }
}

fn open_journal(
    options: &ServeOptions,
    config: &Config,
    folder: &mut DataFolder,
) -> Result<SledJournal, ServeError> {
    let opened = SledJournal::open(&options.data, &config.journal_options());
    let is_others = match &opened {
        Ok(journal) => !journal.report().created,
        Err(error) => !matches!(error, OpenError::Storage(_)),
    };
    if is_others {
        folder.keep();
    }
    opened.map_err(|source| ServeError::Open {
        path: options.data.clone(),
        source,
    })
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

fn executors(
    config: &Config,
    options: &ServeOptions,
    exec: &Exec,
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
    executors.extend(exec.executors());
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
