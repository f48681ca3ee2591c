//! An executor that stays attached: over lost connections and restarts of the daemon it comes back
//! and goes on with its attempts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opstead_schema::params::{
    ExecutorsAnswerParams, ExecutorsAttachParams, ExecutorsCapacityParams, InfoUpdate,
    ObjectsPublishParams, ObjectsRetireParams,
};
use opstead_schema::results::{Attached, Taken};
use opstead_schema::{
    Assignment, AssignmentAction, ErrorCode, ErrorObject, ExecutorInfo, Json, MethodDeclaration,
    StepFailure, empty_object, null, to_json,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::attempt::{Attempt, Presence};
use crate::backoff::Backoff;
use crate::session::{Delivery, Route};
use crate::{Client, Error, Executor, Task};

/// Assignments that may wait beside those of the attempts themselves: queries.
const MOST_QUERIES: usize = 1_024;

/// As whom, and for what, an executor attaches.
#[derive(Debug, Clone)]
pub struct AttachOptions {
    /// The executor's name, of this program alone. Who attaches under the same name takes its
    /// place, until it leaves again.
    pub executor: String,
    /// What it carries out.
    pub methods: Vec<MethodDeclaration>,
    /// How many operations it carries out at a time.
    pub capacity: u32,
}

/// An executor that is attached for as long as this is kept. Dropping it leaves: its attempts are
/// told to stop, and end when the daemon has kept them for long enough.
pub struct Attachment {
    client: Client,
    executor: String,
    capacity: watch::Sender<u32>,
    idle: watch::Receiver<usize>,
    presence: Presence,
    keeper: JoinHandle<Error>,
    stop_all: Arc<Running>,
}

/// The attempts that this executor carries out, by lease.
struct Running {
    attempts: Mutex<HashMap<String, Arc<Attempt>>>,
    count: watch::Sender<usize>,
    /// By operation, the work of all attempts at it; also of those that were given up. Canceled is
    /// the work that has returned.
    work: Mutex<Vec<(String, CancellationToken)>>,
}

/// What keeps an executor attached.
struct Keeper<E> {
    client: Client,
    executor: Arc<E>,
    options: AttachOptions,
    capacity: watch::Receiver<u32>,
    presence: watch::Sender<Option<u64>>,
    running: Arc<Running>,
}

impl Client {
    /// Attaches an executor: live when it returns. From then on it stays attached over lost
    /// connections, and attempts go on meanwhile; results that could not be delivered are
    /// delivered later.
    ///
    /// # Errors
    /// As [`Client::call`]; what is wrong with a declaration is [`Error::Refused`].
    pub async fn attach<E: Executor>(
        &self,
        options: AttachOptions,
        executor: E,
    ) -> Result<Attachment, Error> {
        let (capacity, wanted) = watch::channel(options.capacity);
        let (count, idle) = watch::channel(0);
        let running = Arc::new(Running {
            attempts: Mutex::default(),
            count,
            work: Mutex::default(),
        });
        let name = options.executor.clone();
        let mut keeper = Keeper {
            client: self.clone(),
            executor: Arc::new(executor),
            options,
            capacity: wanted,
            presence: watch::Sender::new(None),
            running: Arc::clone(&running),
        };
        let presence = keeper.presence.subscribe();
        let route = keeper.attach().await?;
        Ok(Attachment {
            client: self.clone(),
            executor: name,
            capacity,
            idle,
            presence,
            keeper: tokio::spawn(async move { keeper.keep(route).await }),
            stop_all: running,
        })
    }
}

impl Attachment {
    /// Carries out more, fewer or (0) no operations at a time from here on. What runs goes on.
    pub fn set_capacity(&self, capacity: u32) {
        self.capacity.send_replace(capacity);
    }

    /// Takes nothing new and waits until nothing runs, what was already on its way included; then
    /// leaves.
    pub async fn drain(mut self) {
        self.set_capacity(0);
        let config = &self.client.handle.shared.config;
        let mut backoff = Backoff::new(config.backoff, config.backoff_most);
        loop {
            // The count is there for as long as this is.
            drop(self.idle.wait_for(|running| *running == 0).await);
            if self.is_empty().await {
                return self.leave().await;
            }
            sleep(backoff.delay()).await;
        }
    }

    /// Whether the daemon assigns nothing more, and nothing is on its way to here.
    async fn is_empty(&self) -> bool {
        // Without its place it is assigned nothing, and attempts that come back are those here.
        if self.presence.borrow().is_none() {
            return true;
        }
        let known = match self.tell_nothing().await {
            Ok(_) => self.client.executors().await,
            Err(error) => Err(error),
        };
        let mine = |known: &&ExecutorInfo| known.executor == self.executor;
        match known {
            Ok(known) => known.iter().find(mine).is_none_or(|mine| mine.running == 0),
            // It is about to attach again, with no capacity.
            Err(error) if error.code() == Some(ErrorCode::StaleLease) => false,
            Err(Error::Disconnected | Error::TimedOut) => false,
            Err(error) => !error.is_passing(),
        }
    }

    /// Leaves, as dropping it does, once the daemon assigns nothing more; then the client can attach
    /// again.
    pub async fn leave(mut self) {
        // Without a connection nothing is assigned either.
        let _told = self.tell_nothing().await;
        self.keeper.abort();
        let _aborted = (&mut self.keeper).await;
    }

    /// Tells the daemon to assign nothing more.
    async fn tell_nothing(&self) -> Result<Taken, Error> {
        let nothing = ExecutorsCapacityParams { capacity: 0 };
        self.client.call("executors.capacity", &nothing).await
    }

    /// Waits until the executor cannot stay attached: the daemon refuses it for good.
    pub async fn ended(&mut self) -> Error {
        match (&mut self.keeper).await {
            Ok(error) => error,
            Err(_) => Error::Disconnected,
        }
    }

    /// Tells how an object stands.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn publish(
        &self,
        alert_name: impl Into<String>,
        operation_info: InfoUpdate,
    ) -> Result<u64, Error> {
        let params = ObjectsPublishParams {
            alert_name: alert_name.into(),
            operation_info,
        };
        let Taken { cursor } = self.client.call("objects.publish", &params).await?;
        Ok(cursor)
    }

    /// Tells that an object is no more.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn retire(&self, alert_name: impl Into<String>) -> Result<u64, Error> {
        let alert_name = alert_name.into();
        let params = ObjectsRetireParams { alert_name };
        let Taken { cursor } = self.client.call("objects.retire", &params).await?;
        Ok(cursor)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.keeper.abort();
        self.stop_all.stop_all();
    }
}

impl Running {
    fn attempts(&self) -> MutexGuard<'_, HashMap<String, Arc<Attempt>>> {
        // Each change is a single call, so what it guards is whole.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, attempt: &Arc<Attempt>) {
        let lease = attempt.lease().to_owned();
        self.attempts().insert(lease, Arc::clone(attempt));
        self.recount();
    }

    fn remove(&self, lease: &str) {
        self.attempts().remove(lease);
        self.recount();
    }

    fn stop(&self, lease: &str) {
        if let Some(attempt) = self.attempts().get(lease) {
            attempt.stop.cancel();
        }
    }

    fn stop_all(&self) {
        self.attempts()
            .values()
            .for_each(|attempt| attempt.stop.cancel());
    }

    /// Notes work at an operation. Returns what tells its end, and the earlier work at the operation
    /// that may not have returned yet.
    fn begin_work(&self, operation: &str) -> (DropGuard, Vec<CancellationToken>) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.retain(|(_, over)| !over.is_cancelled());
        let earlier = work.iter().filter(|(id, _)| id == operation);
        let earlier = earlier.map(|(_, over)| over.clone()).collect();
        let over = CancellationToken::new();
        work.push((operation.to_owned(), over.clone()));
        (over.drop_guard(), earlier)
    }

    fn recount(&self) {
        let count = self.attempts().len();
        self.count.send_replace(count);
    }
}

impl<E: Executor> Keeper<E> {
    /// Attaches on the present connection, and gives up the attempts that are over.
    async fn attach(&mut self) -> Result<Route, Error> {
        let capacity = *self.capacity.borrow_and_update();
        let params = ExecutorsAttachParams {
            executor: self.options.executor.clone(),
            methods: self.options.methods.clone(),
            capacity,
            resume: self.running.attempts().keys().cloned().collect(),
        };
        let params = to_json(&params).map_err(Error::Params)?;
        let queue = 4 * capacity as usize + MOST_QUERIES;
        let shared = &self.client.handle.shared;
        let (answer, route) = shared.subscribe("executors.attach", &params, queue).await?;
        let attached: Attached = serde_json::from_str(answer.get())
            .map_err(|error| Error::Protocol(error.to_string()))?;
        for lease in &attached.refused {
            self.running.stop(lease);
            self.running.remove(lease);
        }
        self.presence.send_replace(Some(route.number()));
        Ok(route)
    }

    /// Carries out what is assigned, and attaches again whenever the connection is lost. Returns
    /// why that is not possible any more.
    async fn keep(&mut self, mut route: Route) -> Error {
        let config = self.client.handle.shared.config.clone();
        loop {
            self.serve(route).await;
            self.presence.send_replace(None);
            let mut backoff = Backoff::new(config.backoff, config.backoff_most);
            route = loop {
                if self.client.handle.shared.connected().await.is_err() {
                    return Error::Disconnected;
                }
                match self.come_back().await {
                    Ok(Some(route)) => break route,
                    Ok(None) => {}
                    Err(Error::Disconnected | Error::TimedOut) => {}
                    Err(error) if error.is_passing() => {}
                    Err(error) => {
                        self.running.stop_all();
                        return error;
                    }
                }
                sleep(backoff.delay()).await;
            };
        }
    }

    /// Attaches again, unless another program has come under the name meanwhile: the two would
    /// drive each other out without end.
    async fn come_back(&mut self) -> Result<Option<Route>, Error> {
        let executors = self.client.executors().await?;
        let is_taken = executors
            .iter()
            .any(|known| known.attached && known.executor == self.options.executor);
        match is_taken {
            true => Ok(None),
            false => self.attach().await.map(Some),
        }
    }

    /// Carries out what comes until the connection is lost.
    async fn serve(&mut self, mut route: Route) {
        loop {
            tokio::select! {
                delivery = route.next() => match delivery {
                    Some(delivery) => self.take(delivery),
                    None => return,
                },
                changed = self.capacity.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let capacity = *self.capacity.borrow_and_update();
                    let params = ExecutorsCapacityParams { capacity };
                    let told = self.client.call::<Taken>("executors.capacity", &params).await;
                    if told.is_err() && !route.is_connected() {
                        return;
                    }
                }
            }
        }
    }

    fn take(&self, delivery: Delivery) {
        // A daemon that is newer may assign what this version does not know.
        let Ok(assignment) = serde_json::from_str::<Assignment>(delivery.params.get()) else {
            return;
        };
        match assignment.action {
            AssignmentAction::Execute | AssignmentAction::Revert => self.carry_out(assignment),
            AssignmentAction::Cancel => {
                self.running
                    .stop(assignment.lease.as_deref().unwrap_or_default());
            }
            AssignmentAction::Query => self.answer(assignment),
        }
    }

    fn carry_out(&self, mut assignment: Assignment) {
        let kwargs = assignment.kwargs.take().unwrap_or_else(empty_object);
        let undone = (assignment.action == AssignmentAction::Revert).then(|| undone(&assignment));
        let shared = Arc::clone(&self.client.handle.shared);
        let presence = self.presence.subscribe();
        let attempt = Arc::new(Attempt::new(assignment, shared, presence));
        self.running.add(&attempt);
        let (executor, running) = (Arc::clone(&self.executor), Arc::clone(&self.running));
        let task = Task {
            attempt: Arc::clone(&attempt),
        };
        let (over, earlier) = running.begin_work(task.operation_id());
        let work = tokio::spawn(async move {
            let _over = over;
            match undone {
                None => executor.execute(task, kwargs).await,
                Some((outcome, failures)) => {
                    // What is still being done cannot be undone.
                    for work in earlier {
                        work.cancelled().await;
                    }
                    // It may have been given up meanwhile, and somebody else undone what it was to.
                    if task.is_canceled() {
                        return Err(Task::stopped());
                    }
                    let reverted = executor.revert(task, kwargs, outcome, failures).await;
                    reverted.map(|()| null())
                }
            }
        });
        let ending = Arc::clone(&attempt);
        tokio::spawn(async move {
            let outcome = work.await.unwrap_or_else(|_| Err(panicked()));
            ending.end(outcome);
        });
        tokio::spawn(async move {
            attempt.tell().await;
            running.remove(attempt.lease());
        });
    }

    fn answer(&self, mut assignment: Assignment) {
        let (Some(query_id), Some(method_name)) = (assignment.query_id, assignment.method_name)
        else {
            return;
        };
        let kwargs = assignment.kwargs.take().unwrap_or_else(empty_object);
        let (executor, client) = (Arc::clone(&self.executor), self.client.clone());
        tokio::spawn(async move {
            let asked = method_name.clone();
            let work = tokio::spawn(async move { executor.query(&asked, kwargs).await });
            let (result, error) = match work.await.unwrap_or_else(|_| Err(panicked())) {
                Ok(result) => (Some(result), None),
                Err(error) => (None, Some(error)),
            };
            let params = ExecutorsAnswerParams {
                query_id,
                result,
                error,
            };
            // Who asked has been told that nobody answers, if this is not taken.
            let _late = client.call::<Taken>("executors.answer", &params).await;
        });
    }
}

/// What a revert is told of its operation: what that came to, and what else failed.
fn undone(assignment: &Assignment) -> (Result<Json, ErrorObject>, Vec<StepFailure>) {
    let outcome = match &assignment.error {
        Some(error) => Err(error.clone()),
        None => Ok(assignment.result.clone().unwrap_or_else(null)),
    };
    (outcome, assignment.failures.clone())
}

fn panicked() -> ErrorObject {
    ErrorObject::new(ErrorCode::ExecutorPanicked, "the executor panicked")
}
