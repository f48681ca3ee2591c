//! The engine: the one loop that decides, makes durable, and only then lets out.
//!
//! Whoever wants something changed hands an order to the [`EngineHandle`]. One thread gathers all
//! that came meanwhile, has the core decide each, appends the events as one block with one flush,
//! and only after that answers the callers, starts attempts and tells the observer. Readers get a
//! [`Snapshot`]: the whole state at a known cursor, which costs the loop next to nothing.
//!
//! The shortest path through a registration: [`EngineHandle::register`] → `turn::Loop::take` →
//! `State::execute` → `Journal::append` → `turn::Loop::release`.

pub mod executor;

mod handle;
pub use handle::{EngineError, EngineHandle, RegisterRequest, Snapshot};

mod flows;
pub use flows::{FlowRequest, StepRequest};

mod outside;
pub use outside::{Assignment, Handed, Outlet, Seat};

mod attach;
pub use attach::{AttachRequest, Said};

mod vault;
pub use vault::{SealBroken, Vault};

mod post;

mod request;
pub use request::PurgeTarget;

mod changes;
pub use changes::{Changes, Listener};

mod turn;

mod draft;

mod alarm;

mod attempts;

mod reports;

mod clock;
pub use clock::{Clock, SystemClock};

mod housekeeping;
pub use housekeeping::{Retention, purged_with};

mod recovery;
pub use recovery::{RecoveryError, recover};

mod kwargs;

mod schemas;
pub use schemas::check_schema;

mod schema_bounds;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use opstead_core::{Cursor, Limits, Order, State};
use tokio::runtime;

use crate::engine::executor::Executor;
use crate::journal::{AppendError, Block, Journal, ReadError};

/// How the engine is to run.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Bounds that decisions keep.
    pub limits: Limits,
    /// The weight that all that runs may have together.
    pub capacity: u32,
    /// How long things are kept.
    pub retention: Retention,
    /// A checkpoint is due after so many events; sooner if they are large.
    pub checkpoint_events: Cursor,
    /// How long the attempts of an executor outside of this process are kept when it is gone.
    pub lease_ms: u64,
    /// How long a query may take.
    pub query_timeout: Duration,
    /// Names of subsystems and executors within this process, also of those that are switched off.
    pub built_in: Vec<&'static str>,
    /// Encrypts secrets.
    pub vault: Vault,
    /// How often the loop looks after what nobody reminds it of: progress that lies unsaid, and
    /// housekeeping.
    pub tick: Duration,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            capacity: 9,
            lease_ms: 30_000,
            query_timeout: Duration::from_secs(10),
            built_in: Vec::new(),
            vault: Vault::fleeting(),
            retention: Retention::default(),
            checkpoint_events: 200_000,
            tick: Duration::from_millis(250),
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// Is told of each block, in order, once it is durable. Must not block.
pub type Observer = Box<dyn Fn(&Arc<Block>) + Send>;

/// A running engine.
pub struct Engine {
    /// The way in.
    pub handle: EngineHandle,
    thread: JoinHandle<Result<(), AppendError>>,
}

impl Engine {
    /// Starts the loop on a thread of its own, from a recovered state. Attempts run on `runtime`.
    /// When this returns, the executors are attached and what a lost daemon left running is
    /// interrupted or handed out again, durably.
    pub fn start(
        config: EngineConfig,
        journal: Box<dyn Journal>,
        state: State,
        executors: Vec<Arc<dyn Executor>>,
        runtime: runtime::Handle,
        observer: Observer,
    ) -> Result<Self, StartError> {
        let orders = turn::first_orders(&config, &state, &executors);
        let attached = orders.iter().flat_map(|order| match order {
            Order::Attach { declarations, .. } => declarations.as_slice(),
            _ => &[],
        });
        let schemas = schemas::Schemas::compile(&state, attached)?;
        let (handle, requests) = EngineHandle::new(&config, schemas, &executors, journal.reader());
        let alarm = alarm::Alarm::new(&runtime, handle.clone());
        let attempts = attempts::Attempts::new(&config, handle.clone(), executors, runtime);
        let channel = (handle.clone(), requests);
        let mut engine =
            turn::Loop::new(config, journal, state, channel, attempts, alarm, observer)?;
        engine.begin(orders)?;
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || engine.run())
            .map_err(StartError::Thread)?;
        Ok(Self { handle, thread })
    }

    /// Waits until the loop has ended: after [`EngineHandle::stop`], or because the journal failed.
    pub fn join(self) -> Result<(), AppendError> {
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A method's schema of its kwargs is no JSON Schema.
    #[error("the kwargs schema of {method} is not valid: {message}")]
    Schema {
        /// The method.
        method: String,
        /// What was wrong.
        message: String,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// The newest checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] ReadError),
    /// The operating system gave no thread.
    #[error("the engine's thread could not be started")]
    Thread(#[source] std::io::Error),
}
