//! Attempts that run in this process: handing them out, gathering their progress, ending them.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use opstead_core::{Cursor, Failure, InfoUpdate, Lease, Operation};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::EngineHandle;
use super::executor::{Executor, Task, TaskContext};
use super::handle::Request;

/// How often the loop looks after what nobody else reminds it of.
const TICK: Duration = Duration::from_millis(250);

/// How long progress may lie before it is told, however little it is.
const MOST_SILENCE: Duration = Duration::from_millis(500);

/// What runs in this process.
pub(super) struct Attempts {
    handle: EngineHandle,
    executors: HashMap<Arc<str>, Arc<dyn Executor>>,
    runtime: Option<runtime::Handle>,
    running: HashMap<Cursor, Arc<Attempt>>,
}

/// One attempt that runs.
struct Attempt {
    lease: Lease,
    method_name: Arc<str>,
    operation_id: Arc<str>,
    stop: CancellationToken,
    pending: Mutex<Pending>,
    handle: EngineHandle,
}

/// Progress that the loop has not taken yet.
#[derive(Default)]
struct Pending {
    update: Option<InfoUpdate>,
    /// Since when it lies there.
    since: Option<Instant>,
    /// Whether the loop has been told to fetch it.
    told: bool,
}

impl Attempts {
    pub(super) fn new(handle: EngineHandle) -> Self {
        Self {
            handle,
            executors: HashMap::new(),
            runtime: None,
            running: HashMap::new(),
        }
    }

    /// Takes over the executors and begins to tick.
    pub(super) fn begin(&mut self, executors: Vec<Arc<dyn Executor>>, runtime: runtime::Handle) {
        self.executors = executors
            .into_iter()
            .map(|executor| (executor.name().into(), executor))
            .collect();
        let handle = self.handle.clone();
        runtime.spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while handle.send(Request::Tick).is_ok() {
                ticks.tick().await;
            }
        });
        self.runtime = Some(runtime);
    }

    /// Hands an attempt to its executor.
    pub(super) fn start(&mut self, operation: &Operation, number: u32, executor: &Arc<str>) {
        let subject = &operation.subject;
        let attempt = Arc::new(Attempt {
            lease: Lease {
                sequence: subject.sequence,
                attempt: number,
            },
            method_name: subject.method_name.clone(),
            operation_id: subject.id.clone(),
            stop: CancellationToken::new(),
            pending: Mutex::default(),
            handle: self.handle.clone(),
        });
        self.running.insert(subject.sequence, attempt.clone());
        let executor = self
            .executors
            .get(executor)
            .expect("only attached executors start")
            .clone();
        let arguments = operation.request.kwargs.clone();
        let runtime = self
            .runtime
            .as_ref()
            .expect("attempts begin before they start");
        runtime.spawn(async move {
            let work = async {
                executor
                    .execute(TaskContext::new(attempt.clone()), arguments)
                    .await
            };
            let outcome = AssertUnwindSafe(work)
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| {
                    let message = format!("the executor panicked: {}", panic_message(&*panic));
                    let reason = "executorPanicked";
                    Err(Failure::new(
                        Failure::EXECUTOR_PANICKED,
                        &message,
                        reason,
                        false,
                    ))
                });
            // The loop may have ended; then the attempt is interrupted.
            let _ = attempt.handle.send(Request::Ended(attempt.lease, outcome));
        });
    }

    /// Tells an attempt to stop.
    pub(super) fn cancel(&self, sequence: Cursor) {
        if let Some(attempt) = self.running.get(&sequence) {
            attempt.stop.cancel();
        }
    }

    /// Tells every attempt to stop.
    pub(super) fn cancel_all(&self) {
        self.running
            .values()
            .for_each(|attempt| attempt.stop.cancel());
    }

    /// Forgets an attempt that is over. Returns progress that was not taken yet.
    pub(super) fn end(&mut self, lease: Lease) -> InfoUpdate {
        let update = self.pending(lease);
        self.running.remove(&lease.sequence);
        update.unwrap_or_default()
    }

    /// Takes the progress that lies ready.
    pub(super) fn pending(&self, lease: Lease) -> Option<InfoUpdate> {
        let mut pending = self.running.get(&lease.sequence)?.lock();
        pending.told = false;
        pending.update.take()
    }

    /// Puts progress back that came too soon; what came meanwhile is newer.
    pub(super) fn defer(&self, lease: Lease, mut update: InfoUpdate) {
        let Some(attempt) = self.running.get(&lease.sequence) else {
            return;
        };
        let mut pending = attempt.lock();
        if let Some(newer) = pending.update.take() {
            update.merge(newer);
        }
        pending.update = Some(update);
    }

    /// Attempts whose progress has lain too long.
    pub(super) fn overdue(&self) -> Vec<Lease> {
        let is_overdue = |attempt: &&Arc<Attempt>| {
            let pending = attempt.lock();
            pending.update.is_some()
                && pending
                    .since
                    .is_some_and(|since| since.elapsed() >= MOST_SILENCE)
        };
        self.running
            .values()
            .filter(is_overdue)
            .map(|attempt| attempt.lease)
            .collect()
    }
}

impl Attempt {
    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().expect("nobody panics with this lock")
    }
}

impl Task for Attempt {
    fn method_name(&self) -> &str {
        &self.method_name
    }

    fn operation_id(&self) -> &str {
        &self.operation_id
    }

    fn attempt(&self) -> u32 {
        self.lease.attempt
    }

    fn progress(&self, update: InfoUpdate) {
        if let Err(refusal) = update.check() {
            tracing::warn!(%refusal, method = %self.method_name, "progress was not taken");
            return;
        }
        let mut pending = self.lock();
        match &mut pending.update {
            Some(earlier) => earlier.merge(update),
            None => {
                pending.update = Some(update);
                pending.since = Some(Instant::now());
            }
        }
        if !pending.told {
            pending.told = self.handle.send(Request::Progress(self.lease)).is_ok();
        }
    }

    fn non_fatal_error(&self, failure: Failure) {
        // When the loop has ended, the attempt is interrupted and the error comes again.
        let _ = self
            .handle
            .send(Request::NonFatalError(self.lease, failure));
    }

    fn is_canceled(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn canceled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.stop.cancelled())
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
