//! An engine over a disk in memory, an executor whose attempts the test ends itself, and a clock
//! that the test moves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use opstead::engine::executor::{Executor, QueryContext, TaskContext, Work};
use opstead::engine::{
    Clock, Engine, EngineConfig, EngineError, EngineHandle, RegisterRequest, recover,
};
use opstead::journal::{AppendError, Block, MemoryDisk, MemoryJournal, Reader};
use opstead_core::operation::LastError;
use opstead_core::{
    ClaimOperation, ClaimTemplate, Cursor, Declaration, Event, EventBody, Failure, InfoUpdate,
    Json, MethodKind, OnInterrupt, Operation, OperationEvent, Registration, Retry, Stage, State,
    Time,
};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The engine and all that the test holds of it.
pub(crate) struct World {
    pub(crate) disk: MemoryDisk,
    pub(crate) handle: EngineHandle,
    pub(crate) clock: Arc<HandClock>,
    engine: Option<Engine>,
    attempts: Receiver<Attempt>,
    blocks: Receiver<Arc<Block>>,
    seen: RefCell<Vec<Arc<Block>>>,
    gate: Arc<Gate>,
    runtime: Option<Runtime>,
}

/// An attempt as its executor sees it. It runs until the test ends it.
pub(crate) struct Attempt {
    pub(crate) task: TaskContext,
    end: oneshot::Sender<Result<Json, Failure>>,
}

/// A clock that only the test moves.
#[derive(Debug)]
pub(crate) struct HandClock {
    passed_ms: AtomicU64,
    /// By how much the wall clock was set back.
    back_ms: AtomicU64,
}

/// What a world begins with.
pub(crate) struct Setup {
    pub(crate) disk: MemoryDisk,
    pub(crate) config: EngineConfig,
    pub(crate) with_executor: bool,
    /// With the clock of the system, and without ticks.
    pub(crate) in_real_time: bool,
    pub(crate) capacity: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            disk: MemoryDisk::default(),
            config: EngineConfig::default(),
            with_executor: true,
            in_real_time: false,
            capacity: 10_000,
        }
    }
}

impl Setup {
    pub(crate) fn on(disk: &MemoryDisk) -> Self {
        Self {
            disk: disk.copy(),
            ..Self::default()
        }
    }

    pub(crate) fn start(self) -> World {
        let clock = Arc::new(HandClock {
            passed_ms: AtomicU64::new(0),
            back_ms: AtomicU64::new(0),
        });
        let config = match self.in_real_time {
            // Nobody ticks for as long as a test takes.
            true => EngineConfig {
                tick: PATIENCE * 10,
                ..self.config
            },
            false => EngineConfig {
                clock: clock.clone(),
                tick: Duration::from_millis(1),
                built_in: vec!["test"],
                ..self.config
            },
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (started, attempts) = channel();
        let (published, blocks) = channel();
        let gate = Arc::new(Gate::default());
        let passed = gate.clone();
        let observer = move |block: &Arc<Block>| {
            passed.pass();
            let _ = published.send(block.clone());
        };
        let executors: Vec<Arc<dyn Executor>> = if self.with_executor {
            vec![Arc::new(Puppet {
                started,
                capacity: self.capacity,
            })]
        } else {
            Vec::new()
        };
        let engine = Engine::start(
            config,
            Box::new(MemoryJournal::open(&self.disk)),
            recover(&self.disk).unwrap(),
            executors,
            runtime.handle().clone(),
            Box::new(observer),
        )
        .unwrap();
        World {
            disk: self.disk,
            handle: engine.handle.clone(),
            clock,
            engine: Some(engine),
            attempts,
            blocks,
            seen: RefCell::default(),
            gate,
            runtime: Some(runtime),
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Setup::default().start()
    }

    /// The daemon is killed now and started again.
    pub(crate) fn crash(self) -> Self {
        Setup::on(&self.disk).start()
    }

    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        let runtime = self.runtime.as_ref().unwrap();
        let patient = async { tokio::time::timeout(PATIENCE, future).await };
        runtime.block_on(patient).expect("what must come")
    }

    /// Registers and waits for the answer.
    pub(crate) fn register(&self, request: RegisterRequest) -> Result<Registration, EngineError> {
        self.wait(self.handle.register(request))
    }

    pub(crate) fn cancel(&self, id: &str) -> Result<Arc<Operation>, EngineError> {
        self.wait(self.handle.cancel(id.into()))
    }

    /// Registers what must start at once, and its attempt.
    pub(crate) fn run(&self, id: &str, method: &str) -> Attempt {
        let registration = self.register(request(id, method)).unwrap();
        assert!(registration.reasons.is_empty(), "{registration:?}");
        let attempt = self.attempt();
        assert_eq!(attempt.task.operation_id(), id);
        attempt
    }

    /// The next attempt that starts.
    pub(crate) fn attempt(&self) -> Attempt {
        self.attempts.recv_timeout(PATIENCE).expect("an attempt")
    }

    pub(crate) fn has_new_attempt(&self) -> bool {
        self.attempts.try_recv().is_ok()
    }

    /// Whether a block was published that the test has not looked at.
    pub(crate) fn has_new_block(&self) -> bool {
        match self.blocks.try_recv() {
            Ok(block) => {
                self.saw(block);
                true
            }
            Err(_) => false,
        }
    }

    /// Keeps the loop where a block has just been released, until the guard goes: what is ordered
    /// meanwhile goes into one turn.
    pub(crate) fn pause(&self) -> Paused<'_> {
        let paused = self.gate.close();
        let id = format!("pause-{}", self.disk.head());
        drop(self.handle.register(request(&id, "test.noop")));
        self.gate.wait_until_reached();
        paused
    }

    /// Keeps the loop from publishing the next block, until the guard goes.
    pub(crate) fn pause_at_next_block(&self) -> Paused<'_> {
        // A snapshot is answered after all blocks before it were published.
        drop(self.wait(self.handle.snapshot()).unwrap());
        self.gate.close()
    }

    /// All blocks that the test has looked at.
    pub(crate) fn seen(&self) -> Vec<Arc<Block>> {
        self.seen.borrow().clone()
    }

    /// Waits until an operation's event of that word was published. Returns it with its block.
    pub(crate) fn event(&self, id: &str, word: &str) -> (Arc<Block>, OperationEvent) {
        let is_wanted =
            |event: &&OperationEvent| &*event.subject.id == id && event.change.as_str() == word;
        let mut from = 0;
        loop {
            let seen = self.seen.borrow();
            let found = seen[from..].iter().find_map(|block| {
                let event = operation_events(block).find(is_wanted)?;
                Some((block.clone(), event.clone()))
            });
            if let Some(found) = found {
                return found;
            }
            from = seen.len();
            drop(seen);
            self.next_block();
        }
    }

    /// Waits for the next block that the test has not seen.
    pub(crate) fn next_block(&self) -> Arc<Block> {
        let block = self.blocks.recv_timeout(PATIENCE).expect("a block");
        self.saw(block.clone());
        block
    }

    /// Every block must follow its predecessor.
    fn saw(&self, block: Arc<Block>) {
        let mut seen = self.seen.borrow_mut();
        if let Some(before) = seen.last() {
            assert_eq!(block.first, before.last() + 1, "blocks come in order");
        }
        seen.push(block);
    }

    /// The words of all events of an operation on the disk.
    pub(crate) fn words(&self, id: &str) -> Vec<&'static str> {
        self.told(id, |event| event.change.as_str())
    }

    /// Something of all events of an operation on the disk.
    pub(crate) fn told<T>(&self, id: &str, what: impl Fn(&OperationEvent) -> T) -> Vec<T> {
        self.log()
            .iter()
            .flat_map(|block| operation_events(block))
            .filter(|event| &*event.subject.id == id)
            .map(what)
            .collect()
    }

    pub(crate) fn log(&self) -> Vec<Arc<Block>> {
        self.disk.read(0, usize::MAX).unwrap()
    }

    /// The record of an operation, open or ended.
    pub(crate) fn operation(&self, id: &str) -> Option<Arc<Operation>> {
        let snapshot = self.wait(self.handle.snapshot()).unwrap();
        let open = snapshot.state.operation(id).cloned();
        open.or_else(|| self.disk.ended(id).unwrap())
    }

    /// Waits for the end of the loop.
    pub(crate) fn join(&mut self) -> Result<(), AppendError> {
        self.engine.take().expect("joined once").join()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where the observer can be kept.
#[derive(Default)]
struct Gate {
    place: Mutex<Place>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Place {
    #[default]
    Open,
    Closed,
    /// Closed, and the loop waits before it.
    Reached,
}

/// Opens the gate when it goes.
pub(crate) struct Paused<'a>(&'a Gate);

impl Gate {
    fn close(&self) -> Paused<'_> {
        *self.place.lock().unwrap() = Place::Closed;
        Paused(self)
    }

    fn pass(&self) {
        let mut place = self.place.lock().unwrap();
        while *place != Place::Open {
            *place = Place::Reached;
            self.changed.notify_all();
            place = self.changed.wait(place).unwrap();
        }
    }

    fn wait_until_reached(&self) {
        let mut place = self.place.lock().unwrap();
        while *place != Place::Reached {
            place = self.changed.wait(place).unwrap();
        }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        *self.0.place.lock().unwrap() = Place::Open;
        self.0.changed.notify_all();
    }
}

impl Attempt {
    pub(crate) fn complete(self) {
        self.answer(Ok(Json::null()));
    }

    pub(crate) fn answer(self, outcome: Result<Json, Failure>) {
        let _ = self.end.send(outcome);
    }
}

impl HandClock {
    pub(crate) fn pass(&self, passed: Duration) {
        self.passed_ms
            .fetch_add(passed.as_millis() as u64, Ordering::SeqCst);
    }

    /// The wall clock is set back.
    pub(crate) fn set_back(&self, by: Duration) {
        self.back_ms
            .fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Time {
        let (passed, back) = (&self.passed_ms, &self.back_ms);
        Time(1_800_000_000_000 + passed.load(Ordering::SeqCst) - back.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::SeqCst))
    }
}

/// Two attempts, the second after a second.
pub(crate) const RETRY: Retry = Retry {
    max_attempts: 2,
    initial_ms: 1_000,
    factor: 1.0,
    max_ms: 1_000,
};

/// Carries out `test.*`. Every attempt but those of `noop` and `panic` waits for the test.
struct Puppet {
    started: Sender<Attempt>,
    capacity: u32,
}

impl Executor for Puppet {
    fn name(&self) -> &str {
        "test"
    }

    fn capacity(&self) -> u32 {
        self.capacity
    }

    fn declarations(&self) -> Vec<Arc<Declaration>> {
        use ClaimOperation::{Create, Read, Update};
        let retried = |name| declaration(name, OnInterrupt::Retry, None);
        let claiming = |name, claim| declaration(name, OnInterrupt::Retry, Some(claim));
        let stubborn = Declaration {
            cancelable: false,
            ..retried("test.stubborn")
        };
        let timed = Declaration {
            attempt_timeout_ms: Some(1_000),
            retry: Some(RETRY),
            ..retried("test.timed")
        };
        let asked = Declaration {
            kind: MethodKind::Query,
            kwargs_schema: Json::from_value(&json!({"required": ["thing"]})).ok(),
            ..retried("test.ask")
        };
        [
            asked,
            retried("test.run"),
            retried("test.noop"),
            retried("test.panic"),
            stubborn,
            timed,
            declaration("test.fragile", OnInterrupt::Fail, None),
            claiming("test.create", Create),
            claiming("test.read", Read),
            claiming("test.update", Update),
        ]
        .into_iter()
        .map(Arc::new)
        .collect()
    }

    fn execute(&self, task: TaskContext, _arguments: Json) -> Work<'_> {
        match task.method_name() {
            "test.noop" => return Box::pin(async { Ok(Json::null()) }),
            "test.panic" => panic!("as it was told"),
            _ => {}
        }
        let (end, ended) = oneshot::channel();
        let _ = self.started.send(Attempt { task, end });
        Box::pin(async move {
            match ended.await {
                Ok(outcome) => outcome,
                // The test left it running.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn query(&self, _query: QueryContext, arguments: Json) -> Work<'_> {
        Box::pin(async move {
            if arguments.as_str().contains("silence") {
                std::future::pending::<()>().await;
            }
            Ok(Json::null())
        })
    }
}

pub(crate) fn declaration(
    name: &str,
    on_interrupt: OnInterrupt,
    claim: Option<ClaimOperation>,
) -> Declaration {
    let claims = claim.map(|operation| ClaimTemplate {
        kind: "thing".into(),
        id: "{thing}".into(),
        operation,
    });
    Declaration {
        name: name.into(),
        version: 1,
        kind: MethodKind::Operation,
        summary: "For tests.".into(),
        kwargs_schema: None,
        object: claim.map(|_| "Thing.{thing}".into()),
        claims: claims.into_iter().collect(),
        cancelable: true,
        on_interrupt,
        weight: 0,
        retry: None,
        attempt_timeout_ms: None,
        holds_schedule: false,
        revertible: false,
        secrets: Vec::new(),
    }
}

/// A declaration of a method with nothing special to it.
pub(crate) fn declared(name: &str) -> Declaration {
    declaration(name, OnInterrupt::Retry, None)
}

/// A request of which nothing but id and method matters.
pub(crate) fn request(id: &str, method: &str) -> RegisterRequest {
    let kwargs = Json::from_value(&json!({"thing": "a"})).unwrap();
    RegisterRequest {
        id: Some(id.into()),
        ..RegisterRequest::new(method, kwargs, &"test".into())
    }
}

pub(crate) fn percentage(percentage: f64) -> InfoUpdate {
    InfoUpdate {
        percentage: Some(percentage),
        ..InfoUpdate::default()
    }
}

pub(crate) fn stage(number: u32, total: u32) -> InfoUpdate {
    InfoUpdate {
        stage: Some(Stage { number, total }),
        ..InfoUpdate::default()
    }
}

pub(crate) fn last_error(code: i32) -> InfoUpdate {
    InfoUpdate {
        last_error: Some(LastError {
            code,
            message: "it creaks".into(),
        }),
        ..InfoUpdate::default()
    }
}

pub(crate) fn failure(code: i32) -> Failure {
    Failure::new(code, "it broke", "broken", false)
}

pub(crate) fn operation_events(block: &Block) -> impl Iterator<Item = &OperationEvent> {
    block.events.iter().filter_map(|event| match &event.body {
        EventBody::Operation(event) => Some(event),
        _ => None,
    })
}

/// The state that the events up to a cursor lead to.
pub(crate) fn replay<'a>(log: impl IntoIterator<Item = &'a Arc<Block>>, until: Cursor) -> State {
    let mut state = State::new();
    let events = log.into_iter().flat_map(|block| block.events());
    let due = events.take_while(|(cursor, _)| *cursor <= until);
    due.for_each(|(_, event): (Cursor, &Event)| drop(state.apply(event)));
    state
}

/// How many operations there are with how many events of that word.
pub(crate) fn count(log: &[Arc<Block>], word: &str) -> HashMap<Arc<str>, usize> {
    let mut counts = HashMap::new();
    for event in log.iter().flat_map(|block| operation_events(block)) {
        if event.change.as_str() == word {
            *counts.entry(event.subject.id.clone()).or_default() += 1;
        }
    }
    counts
}

/// Waits for what nobody signals.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "what must come");
        std::thread::yield_now();
    }
}
