//! The way into the engine, shared by everybody who wants something.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use opstead_core::{
    After, Claim, Cursor, Declaration, Failure, Fault, Json, Lease, MethodKind, Moment, Operation,
    Order, Reason, Refusal, Register, Registration, Reply, Retry, State, Time,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::executor::{Executor, Objects, QueryContext};
use super::outside::{Outside, Seat};
use super::post::Asker;
use super::request::{MOST_WAITING_BYTES, PurgeTarget, Registering, Request};
use super::schemas::{Declared, Schemas};
use super::{Changes, EngineConfig, Vault};
use crate::journal::{Archive, Reader};

/// The way into the engine.
#[derive(Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

struct Shared {
    requests: mpsc::UnboundedSender<Request>,
    /// Bytes of requests sent and not taken up yet: the bound of the queue.
    waiting_bytes: AtomicUsize,
    /// Whether the loop has ended as it was told to. If it ended otherwise, nobody knows what
    /// became of an order.
    stopped: AtomicBool,
    schemas: RwLock<Schemas>,
    outside: Outside,
    vault: Vault,
    built_in: HashSet<String>,
    query_timeout: Duration,
    capacity: u32,
    executors: HashMap<String, Arc<dyn Executor>>,
    reader: Arc<dyn Reader>,
    latest: Mutex<Weak<Snapshot>>,
    changes: Arc<Changes>,
}

/// The whole state at one cursor, for readers. Hold it briefly: while it lives, each change of the
/// state copies a little.
pub struct Snapshot {
    /// All that is open, and the objects.
    pub state: State,
    /// All that has ended and is kept.
    pub archive: Archive,
    /// When it was taken, by both clocks.
    pub now: Moment,
}

impl Snapshot {
    /// The cursor of the last event it includes; all of it is durable.
    pub fn cursor(&self) -> Cursor {
        self.state.head()
    }
}

/// A request to register an operation.
#[derive(Clone, Debug)]
pub struct RegisterRequest {
    /// `<subsystem>.<method>`.
    pub method_name: Arc<str>,
    /// The highest declared, if left out.
    pub version: Option<u32>,
    /// A JSON object.
    pub kwargs: Json,
    /// The caller's choice.
    pub id: Option<Arc<str>>,
    /// Claims beside the declared ones.
    pub claims: Vec<Claim>,
    /// In place of the declared weight.
    pub weight: Option<u32>,
    /// Not before.
    pub start_at: Option<Time>,
    /// Not later.
    pub start_before: Option<Time>,
    /// What must be done before it starts.
    pub after: Vec<After>,
    /// In place of what is declared.
    pub retry: Option<Retry>,
    /// The attempt that registers it.
    pub lease: Option<Lease>,
    /// Who carries that attempt out, if it is somebody outside of this process.
    pub seat: Option<Seat>,
    /// The caller's labels.
    pub tags: Vec<Arc<str>>,
    /// Who asks.
    pub registered_by: Arc<str>,
}

impl RegisterRequest {
    /// To run the method with these kwargs, and nothing else said.
    pub fn new(method_name: &str, kwargs: Json, registered_by: &Arc<str>) -> Self {
        Self {
            method_name: method_name.into(),
            version: None,
            kwargs,
            id: None,
            claims: Vec::new(),
            weight: None,
            start_at: None,
            start_before: None,
            after: Vec::new(),
            retry: None,
            lease: None,
            seat: None,
            tags: Vec::new(),
            registered_by: registered_by.clone(),
        }
    }
}

/// Why the engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EngineError {
    /// The core refused; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A bound is reached; nothing was changed.
    #[error("{what}; try again later")]
    Overloaded {
        /// Which bound.
        what: &'static str,
    },
    /// The journal failed; the outcome is unknown.
    #[error("the journal failed; whether this was stored is unknown")]
    StorageFailed,
    /// The daemon is ending; nothing was changed.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// Nobody can answer the query now.
    #[error("{method_name} cannot be answered now")]
    ExecutorUnavailable {
        /// The query.
        method_name: Arc<str>,
    },
    /// The query was answered with an error.
    #[error("{}", .0.message)]
    QueryFailed(Failure),
}

impl EngineHandle {
    pub(super) fn new(
        config: &EngineConfig,
        schemas: Schemas,
        executors: &[Arc<dyn Executor>],
        reader: Arc<dyn Reader>,
    ) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, received) = mpsc::unbounded_channel();
        let by_method = |executor: &Arc<dyn Executor>| {
            let methods = executor.declarations();
            let executor = executor.clone();
            methods
                .into_iter()
                .map(move |method| (method.name.to_string(), executor.clone()))
        };
        let subsystem = |method: Arc<Declaration>| method.subsystem().to_owned();
        let own = executors.iter().flat_map(|executor| {
            let methods = executor.declarations().into_iter();
            methods.map(subsystem).chain([executor.name().to_owned()])
        });
        let switched_off = config.built_in.iter().map(|name| (*name).to_owned());
        let built_in = own.chain(switched_off);
        let shared = Arc::new(Shared {
            requests,
            waiting_bytes: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            schemas: RwLock::new(schemas),
            outside: Outside::new(config.lease_ms),
            vault: config.vault.clone(),
            built_in: built_in.collect(),
            query_timeout: config.query_timeout,
            capacity: config.capacity,
            executors: executors.iter().flat_map(by_method).collect(),
            reader,
            latest: Mutex::new(Weak::new()),
            changes: Arc::new(Changes::default()),
        });
        (Self { shared }, received)
    }

    /// Registers an operation durably, or answers an earlier registration under the same id. The
    /// order is handed over before this returns, so calls made in turn take effect in turn, also
    /// when the answer is not waited for.
    pub fn register(
        &self,
        request: RegisterRequest,
    ) -> impl Future<Output = Result<Registration, EngineError>> + Send + use<> {
        let checked = self.check(&request.method_name, request.version, &request.kwargs);
        let register = Box::new(Register {
            method_name: request.method_name,
            version: request.version,
            kwargs: request.kwargs,
            sealed: None,
            id: request.id,
            ulid: "".into(),
            claims: request.claims,
            weight: request.weight,
            start_at: request.start_at,
            start_before: request.start_before,
            after: request.after,
            retry: request.retry,
            lease: request.lease,
            tags: request.tags,
            registered_by: request.registered_by,
            ended: None,
        });
        let registering = Registering {
            register,
            checked,
            seat: request.seat,
        };
        let (reply, answer) = Asker::new();
        self.registered(Request::Register(registering, reply), answer)
    }

    /// Hands over a registration, and waits for its answer.
    pub(super) fn registered(
        &self,
        request: Request,
        answer: oneshot::Receiver<Result<Reply, EngineError>>,
    ) -> impl Future<Output = Result<Registration, EngineError>> + Send + use<> {
        let sent = self.ask(request);
        let handle = self.clone();
        async move {
            sent?;
            match handle.answer(answer).await? {
                Reply::Registered(registration) => Ok(registration),
                other => unreachable!("a registration was answered with {other:?}"),
            }
        }
    }

    /// Cancels an operation, handed over like a registration. Answers how it stands then.
    pub fn cancel(
        &self,
        id: Arc<str>,
    ) -> impl Future<Output = Result<Arc<Operation>, EngineError>> + Send + use<> {
        let canceled = self.change(Order::Cancel { id, ended: None });
        async move { canceled.await.map(|(operation, _)| operation) }
    }

    /// Hands over an order that is answered with an operation and why it waits.
    pub(super) fn change(
        &self,
        order: Order,
    ) -> impl Future<Output = Result<(Arc<Operation>, Vec<Reason>), EngineError>> + Send + use<>
    {
        let sent = self.order(order);
        let handle = self.clone();
        async move {
            match handle.answer(sent?).await? {
                Reply::Operation(operation, reasons) => Ok((operation, reasons)),
                other => unreachable!("a change was answered with {other:?}"),
            }
        }
    }

    /// Whether a method is declared, and as what.
    pub fn method_kind(&self, method_name: &str) -> Option<MethodKind> {
        let schemas = self.schemas();
        let highest = schemas.find(method_name, None)?;
        Some(highest.declaration.kind)
    }

    /// Removes ended operations for good, handed over like a registration. Answers how many were
    /// still there.
    pub fn purge(
        &self,
        which: PurgeTarget,
    ) -> impl Future<Output = Result<usize, EngineError>> + Send + use<> {
        let sent = self.order_purge(which);
        let handle = self.clone();
        async move { handle.answer(sent?).await }
    }

    /// Answers a method that is declared as a query. `objects` is what it may look at.
    pub async fn query(
        &self,
        method_name: &str,
        kwargs: Json,
        objects: Arc<dyn Objects>,
    ) -> Result<Json, EngineError> {
        self.check_query(method_name, &kwargs)?;
        let unavailable = || EngineError::ExecutorUnavailable {
            method_name: Arc::from(method_name),
        };
        let most = self.shared.query_timeout;
        let Some(executor) = self.shared.executors.get(method_name) else {
            let answer = tokio::time::timeout(most, self.ask_outside(method_name, kwargs));
            return match answer.await.ok().flatten() {
                Some(answer) => answer.map_err(EngineError::QueryFailed),
                None => Err(unavailable()),
            };
        };
        let context = QueryContext {
            method_name: method_name.into(),
            objects,
        };
        match tokio::time::timeout(most, executor.query(context, kwargs)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(EngineError::QueryFailed(failure)),
            Err(_) => Err(unavailable()),
        }
    }

    /// The whole state as of now: at least as new as anything the caller was told of.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, EngineError> {
        let (reply, answer) = Asker::new();
        self.ask(Request::Snapshot(reply))?;
        answer.await.map_err(|_| self.lost())
    }

    /// The reading side of the journal.
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.shared.reader
    }

    /// Tells when operations change.
    pub fn changes(&self) -> &Arc<Changes> {
        &self.shared.changes
    }

    /// Ends the loop after what was ordered before. Attempts that run are left to the next start.
    pub fn stop(&self) {
        // Sending fails only when the loop has ended already, which is what is wanted.
        let _ = self.send(Request::Stop);
    }

    pub(super) fn send(&self, request: Request) -> Result<(), EngineError> {
        self.shared.requests.send(request).map_err(|_| self.lost())
    }

    /// Counts a request as taken up.
    pub(super) fn taken_up(&self, request: &Request) {
        let bytes = request.bytes();
        if bytes > 0 {
            self.shared
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// The loop ends as it was told to: whatever it did not take up has changed nothing.
    pub(super) fn stopped(&self) {
        self.shared.stopped.store(true, Ordering::Release);
    }

    pub(super) fn order_purge(
        &self,
        which: PurgeTarget,
    ) -> Result<oneshot::Receiver<Result<usize, EngineError>>, EngineError> {
        let (reply, answer) = Asker::new();
        self.ask(Request::Purge(which, reply))?;
        Ok(answer)
    }

    /// The snapshot that readers share as long as one of them holds it.
    pub(super) fn share(&self, state: &State, now: Moment) -> Arc<Snapshot> {
        let mut latest = self
            .shared
            .latest
            .lock()
            .expect("no reader panics with this lock");
        if let Some(snapshot) = latest.upgrade()
            && snapshot.cursor() == state.head()
        {
            return snapshot;
        }
        let archive = self.shared.reader.archive();
        let snapshot = Arc::new(Snapshot {
            state: state.clone(),
            archive,
            now,
        });
        *latest = Arc::downgrade(&snapshot);
        snapshot
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.shared.vault
    }

    /// Executors outside of this process.
    pub(super) fn outside(&self) -> &Outside {
        &self.shared.outside
    }

    /// What the weights of all that runs may come to.
    pub(super) fn capacity(&self) -> u32 {
        self.shared.capacity
    }

    /// Whether a subsystem or executor is, or would be, within this process.
    pub(super) fn is_built_in(&self, name: &str) -> bool {
        self.shared.built_in.contains(name)
    }

    /// A method is declared from here on.
    pub(super) fn declare(&self, declared: Declared) {
        let mut schemas = self.shared.schemas.write();
        let schemas = schemas.as_mut().expect("nobody panics with this lock");
        schemas.declare(declared);
    }

    /// How many methods would be declared with these.
    pub(super) fn declared_with(&self, declarations: &[Declaration]) -> usize {
        self.schemas().count_with(declarations)
    }

    fn schemas(&self) -> RwLockReadGuard<'_, Schemas> {
        let schemas = self.shared.schemas.read();
        schemas.expect("nobody panics with this lock")
    }

    async fn ask_outside(&self, method_name: &str, kwargs: Json) -> Option<Result<Json, Failure>> {
        let mut asked = self.shared.outside.ask(&method_name.into(), kwargs)?;
        asked.answer().await
    }

    fn check_query(&self, method_name: &str, kwargs: &Json) -> Result<(), EngineError> {
        let known = self.declared(method_name, None);
        let faults = known.map_or_else(Vec::new, |known| known.faults(kwargs));
        match faults.is_empty() {
            true => Ok(()),
            false => Err(invalid(faults)),
        }
    }

    /// What is declared of a method. Kept apart from the lock, under which nobody checks anything.
    pub(super) fn declared(
        &self,
        method_name: &str,
        version: Option<u32>,
    ) -> Option<Arc<Declared>> {
        self.schemas().find(method_name, version).cloned()
    }

    fn order(
        &self,
        order: Order,
    ) -> Result<oneshot::Receiver<Result<Reply, EngineError>>, EngineError> {
        let (reply, answer) = Asker::new();
        self.ask(Request::Order(order, reply))?;
        Ok(answer)
    }

    /// Sends a caller's request, if there is room for it.
    pub(super) fn ask(&self, request: Request) -> Result<(), EngineError> {
        let bytes = request.bytes();
        let waiting = &self.shared.waiting_bytes;
        if waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST_WAITING_BYTES {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(EngineError::Overloaded {
                what: "too much waits for the disk",
            });
        }
        self.send(request)
    }

    pub(super) async fn answer<T>(
        &self,
        answer: oneshot::Receiver<Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        answer.await.unwrap_or_else(|_| Err(self.lost()))
    }

    fn lost(&self) -> EngineError {
        if self.shared.stopped.load(Ordering::Acquire) {
            EngineError::ShuttingDown
        } else {
            EngineError::StorageFailed
        }
    }
}

pub(super) fn invalid(faults: Vec<Fault>) -> EngineError {
    EngineError::Refused(Refusal::Invalid { faults })
}
