//! Attempts that run, in this process or outside: handing them out, passing on what they report,
//! ending them.
//! What becomes of a report is the loop's business.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use opstead_core::{Cursor, Failure, InfoUpdate, Json, Lease, Operation, OperationState, Time};
use tokio::runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::executor::{Executor, Identity, Past, Task, TaskContext};
use super::outside::{Assignment, Handed, Seat};
use super::reports::{Early, Report, Reports};
use super::request::Request;
use super::{Clock, EngineConfig, EngineHandle};

/// What runs.
pub(super) struct Attempts {
    handle: EngineHandle,
    log_id: Arc<str>,
    clock: Arc<dyn Clock>,
    most_errors: usize,
    executors: HashMap<Arc<str>, Arc<dyn Executor>>,
    runtime: runtime::Handle,
    running: HashMap<Cursor, Running>,
    /// Attempts that were given up and have not returned yet, by operation.
    lingering: HashMap<Cursor, JoinHandle<()>>,
}

/// An attempt and who carries it out.
struct Running {
    attempt: Arc<Attempt>,
    hands: Hands,
}

/// What an attempt is for.
pub(super) struct Errand {
    /// With their secrets, and with the results of other steps.
    pub(super) kwargs: Result<Json, Failure>,
    /// What is to be undone, if something is.
    pub(super) past: Option<Past>,
}

/// Who carries an attempt out.
enum Hands {
    /// A task in this process.
    Task(JoinHandle<()>),
    /// An executor outside; none if its kwargs could not be read.
    Seat(Option<Seat>),
}

/// One attempt that runs.
struct Attempt {
    lease: Lease,
    log_id: Arc<str>,
    method_name: Arc<str>,
    operation_id: Arc<str>,
    registered_at: Time,
    stop: CancellationToken,
    reports: Mutex<Reports>,
    clock: Arc<dyn Clock>,
    handle: EngineHandle,
}

impl Attempts {
    pub(super) fn new(
        config: &EngineConfig,
        handle: EngineHandle,
        executors: Vec<Arc<dyn Executor>>,
        runtime: runtime::Handle,
    ) -> Self {
        let by_name = |executor: Arc<dyn Executor>| (executor.name().into(), executor);
        Self {
            log_id: handle.reader().log_id().into(),
            handle,
            clock: config.clock.clone(),
            most_errors: config.limits.non_fatal_errors,
            executors: executors.into_iter().map(by_name).collect(),
            runtime,
            running: HashMap::new(),
            lingering: HashMap::new(),
        }
    }

    /// Begins to remind the loop of what nobody else reminds it of.
    pub(super) fn begin_ticks(&self, every: Duration) {
        let handle = self.handle.clone();
        self.runtime.spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if handle.send(Request::Tick).is_err() {
                    break;
                }
            }
        });
    }

    /// Hands an attempt to its executor: to carry the operation out, or to undo its past.
    pub(super) fn start(&mut self, operation: &Operation, executor: &Arc<str>, errand: Errand) {
        let attempt = self.attempt(operation, operation.attempt);
        let Errand { kwargs, past } = errand;
        let hands = match (kwargs, self.executors.get(executor)) {
            (Ok(kwargs), Some(executor)) => {
                let executor = executor.clone();
                Hands::Task(self.spawn(&attempt, executor, kwargs, past))
            }
            (Ok(kwargs), None) => self.hand(operation, &attempt, executor, kwargs, past),
            (Err(failure), _) => {
                // The loop may have ended; then the next start tries again.
                let _ = self
                    .handle
                    .send(Request::Ended(attempt.lease, Err(failure)));
                Hands::Seat(None)
            }
        };
        let sequence = operation.subject.sequence;
        self.running.insert(sequence, Running { attempt, hands });
    }

    /// An executor that has come back goes on with an attempt. If it was to stop meanwhile, it is
    /// told so.
    pub(super) fn resume(&mut self, operation: &Operation, seat: &Seat) {
        let sequence = operation.subject.sequence;
        let known = self.running.remove(&sequence);
        let known = known.filter(|running| running.attempt.lease.attempt == operation.attempt);
        let attempt = match known {
            Some(running) => running.attempt,
            None => self.attempt(operation, operation.attempt),
        };
        let hands = Hands::Seat(Some(seat.clone()));
        self.running.insert(sequence, Running { attempt, hands });
        if operation.state == OperationState::Canceling {
            self.cancel(sequence);
        }
    }

    /// Hands an attempt to an executor outside. If it has just gone, the core is about to hear so.
    fn hand(
        &self,
        operation: &Operation,
        attempt: &Attempt,
        executor: &Arc<str>,
        kwargs: Json,
        past: Option<Past>,
    ) -> Hands {
        let request = &operation.request;
        let conditions = request.conditions.as_ref();
        let keeps_time = conditions.is_some_and(|asked| asked.holds_schedule);
        let handed = Handed {
            operation_id: attempt.operation_id.clone(),
            lease: attempt.lease,
            method_name: attempt.method_name.clone(),
            version: request.version,
            kwargs,
            start_at: request.start_at().filter(|_| keeps_time),
            start_before: request.start_before().filter(|_| keeps_time),
        };
        let outside = self.handle.outside();
        let seat = outside.seat(executor);
        let handed = Box::new(handed);
        let assignment = match past {
            None => Assignment::Execute(handed),
            Some(past) => Assignment::Revert(handed, past),
        };
        outside.assign(executor, assignment);
        Hands::Seat(seat)
    }

    fn attempt(&self, operation: &Operation, number: u32) -> Arc<Attempt> {
        let subject = &operation.subject;
        let errors_left = self
            .most_errors
            .saturating_sub(operation.non_fatal_errors.len());
        Arc::new(Attempt {
            lease: Lease {
                sequence: subject.sequence,
                attempt: number,
            },
            log_id: self.log_id.clone(),
            method_name: subject.method_name.clone(),
            operation_id: subject.id.clone(),
            registered_at: operation.request.registered_at,
            stop: CancellationToken::new(),
            reports: Mutex::new(Reports::new(errors_left)),
            clock: self.clock.clone(),
            handle: self.handle.clone(),
        })
    }

    fn spawn(
        &mut self,
        attempt: &Arc<Attempt>,
        executor: Arc<dyn Executor>,
        arguments: Json,
        past: Option<Past>,
    ) -> JoinHandle<()> {
        // The one before may still be at work on the same things.
        let before = self.lingering.remove(&attempt.lease.sequence);
        let attempt = attempt.clone();
        self.runtime.spawn(async move {
            let has_waited = before.is_some();
            if let Some(before) = before {
                // However it ended, it has ended.
                let _ = before.await;
            }
            let context = TaskContext::new(attempt.clone());
            let work = async {
                match past {
                    // Meanwhile somebody else may have done or undone it.
                    _ if has_waited && attempt.stop.is_cancelled() => Err(Failure::canceled()),
                    None => executor.execute(context, arguments).await,
                    Some(past) => {
                        let undone = executor.revert(context, arguments, past).await;
                        undone.map(|()| Json::null())
                    }
                }
            };
            let outcome = AssertUnwindSafe(work)
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| Err(panicked(&*panic)));
            // The loop may have ended; then the attempt is interrupted.
            let _ = attempt.handle.send(Request::Ended(attempt.lease, outcome));
        })
    }

    /// Tells an attempt to stop.
    pub(super) fn cancel(&self, sequence: Cursor) {
        if let Some(running) = self.running.get(&sequence) {
            self.stop(running);
        }
    }

    fn stop(&self, Running { attempt, hands }: &Running) {
        attempt.stop.cancel();
        let outside = self.handle.outside();
        if let Hands::Seat(Some(seat)) = hands
            && outside.is_seated(seat)
        {
            let assignment = Assignment::Cancel {
                operation_id: attempt.operation_id.clone(),
                lease: attempt.lease,
            };
            outside.assign(seat.executor(), assignment);
        }
    }

    /// Forgets an attempt that was interrupted.
    pub(super) fn forget(&mut self, sequence: Cursor) {
        self.running.remove(&sequence);
    }

    /// Takes progress of an attempt outside in; the loop looks at it next. Gives it back if nothing
    /// is known of the attempt.
    pub(super) fn note(&self, lease: Lease, update: InfoUpdate) -> Result<(), InfoUpdate> {
        let Some(attempt) = self.get(lease) else {
            return Err(update);
        };
        attempt.reports().progress(update, self.clock.uptime());
        Ok(())
    }

    /// Tells an attempt to stop and waits for it no longer: whatever it still says is stale.
    pub(super) fn give_up(&mut self, sequence: Cursor) {
        self.lingering.retain(|_, task| !task.is_finished());
        if let Some(running) = self.running.remove(&sequence) {
            self.stop(&running);
            if let Hands::Task(task) = running.hands {
                self.lingering.insert(sequence, task);
            }
        }
    }

    /// Tells every attempt to stop.
    pub(super) fn cancel_all(&self) {
        self.running
            .values()
            .for_each(|running| running.attempt.stop.cancel());
    }

    /// Forgets an attempt that is over.
    pub(super) fn end(&mut self, lease: Lease) {
        if self.get(lease).is_some() {
            self.running.remove(&lease.sequence);
        }
    }

    /// Takes what an attempt has reported, and since when progress lies there. Nothing if the
    /// attempt is over.
    pub(super) fn take(&self, lease: Lease) -> Option<(VecDeque<Report>, Option<Duration>)> {
        Some(self.get(lease)?.reports().take())
    }

    /// Puts progress back that came too soon.
    pub(super) fn put_back(&self, lease: Lease, early: Early) {
        if let Some(attempt) = self.get(lease) {
            attempt.reports().put_back(early);
        }
    }

    /// Attempts whose progress has lain too long.
    pub(super) fn overdue(&self) -> Vec<Lease> {
        let now = self.clock.uptime();
        self.running
            .values()
            .map(|running| &running.attempt)
            .filter(|attempt| attempt.reports().is_overdue(now))
            .map(|attempt| attempt.lease)
            .collect()
    }

    /// The attempt, unless it is over; a later one of the same operation is another.
    fn get(&self, lease: Lease) -> Option<&Arc<Attempt>> {
        self.running
            .get(&lease.sequence)
            .map(|running| &running.attempt)
            .filter(|attempt| attempt.lease == lease)
    }
}

impl Attempt {
    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().expect("nobody panics with this lock")
    }

    fn ask_loop(&self) {
        // When the loop has ended, the attempt is interrupted and says everything again.
        let _ = self.handle.send(Request::Reports(self.lease));
    }
}

impl Task for Attempt {
    fn method_name(&self) -> &str {
        &self.method_name
    }

    fn operation_id(&self) -> &str {
        &self.operation_id
    }

    fn identity(&self) -> Identity {
        Identity {
            log_id: self.log_id.clone(),
            sequence: self.lease.sequence,
            operation_id: self.operation_id.clone(),
            registered_at: self.registered_at,
        }
    }

    fn attempt(&self) -> u32 {
        self.lease.attempt
    }

    fn progress(&self, update: InfoUpdate) {
        if let Err(refusal) = update.check() {
            tracing::warn!(%refusal, method = %self.method_name, "progress was not taken");
        } else if self.reports().progress(update, self.clock.uptime()) {
            self.ask_loop();
        }
    }

    fn non_fatal_error(&self, failure: Failure) {
        if self.reports().error(failure, self.clock.uptime()) {
            self.ask_loop();
        }
    }

    fn is_canceled(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn canceled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.stop.cancelled())
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let message = format!("the executor panicked: {words}");
    Failure::new(
        Failure::EXECUTOR_PANICKED,
        &message,
        "executorPanicked",
        false,
    )
}
