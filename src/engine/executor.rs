//! The boundary to whoever carries out operations.
//!
//! The engine makes every state change, prepares every argument and saves every result. An executor
//! decides nothing about states and touches no storage of ours: a failure is a value that it
//! returns. It may be killed at any moment; it gets no warning and owes no clean-up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use opstead_core::{Cursor, Declaration, Failure, InfoUpdate, Json, Time};
use serde::{Deserialize, Serialize};

/// The keyword whose text is told, in the place of what the schema's keywords say, to whoever does
/// not keep to a part of a schema; known from other validators too. A pattern explains nothing.
pub const MESSAGE_KEYWORD: &str = "errorMessage";

/// A future that an executor returns.
pub type Work<'a> = Pin<Box<dyn Future<Output = Result<Json, Failure>> + Send + 'a>>;

/// A future that undoes something.
pub type Undoing<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// What has become of an operation that is to be reverted, and why.
#[derive(Clone, Debug)]
pub struct Past {
    /// What it returned, or the error that it ended with.
    pub outcome: Result<Json, Failure>,
    /// What failed in its flow, in the order in which it did: the first 100, messages cut short.
    pub failures: Vec<StepFailure>,
}

/// A step of a flow that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// Its name in the flow.
    pub step: Arc<str>,
    /// Its id.
    pub operation_id: Arc<str>,
    /// Why.
    pub failure: Failure,
}

/// Which operation it is, of all that there ever were, for records that outlive operations: an id
/// may come again once its operation is forgotten, or from another log, and even with its place once
/// the log is put back from a copy; all of this together does not, as long as the clock is not set
/// back too. All attempts have the same, also after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The log that it was registered in.
    pub log_id: Arc<str>,
    /// Its place in that log's order of registration.
    pub sequence: Cursor,
    /// Its id.
    pub operation_id: Arc<str>,
    /// When it was registered. A log that is put back from a copy gives places out again, to the
    /// same ids if the same is asked for.
    pub registered_at: Time,
}

/// Carries out the methods of one subsystem.
pub trait Executor: Send + Sync + 'static {
    /// Its name, which for a built-in one is that of its subsystem.
    fn name(&self) -> &str;

    /// How many operations it carries out at once.
    fn capacity(&self) -> u32;

    /// Its methods.
    fn declarations(&self) -> Vec<Arc<Declaration>>;

    /// Carries out one attempt of an operation and returns its result. A canceled one returns
    /// [`Failure::canceled`], whatever else it returns stands. Blocking work belongs on
    /// `tokio::task::spawn_blocking`.
    fn execute(&self, task: TaskContext, arguments: Json) -> Work<'_>;

    /// Undoes whatever the attempts of an operation have done, also if it failed, and nothing else;
    /// only for methods that are declared as revertible. It may be asked to do so again after a
    /// crash, so what is undone already is no failure.
    fn revert(&self, task: TaskContext, _arguments: Json, _past: Past) -> Undoing<'_> {
        Box::pin(async move {
            let name = task.method_name();
            let message = format!("{name} is revertible, but this executor has no revert for it");
            Err(Failure::new(
                Failure::EXECUTOR_PANICKED,
                &message,
                "executorPanicked",
                false,
            ))
        })
    }

    /// Answers a method that was declared as a query.
    fn query(&self, query: QueryContext, arguments: Json) -> Work<'_>;
}

/// What an executor knows of, and may say about, the attempt it carries out. Cheap to clone and
/// usable from any thread.
#[derive(Clone)]
pub struct TaskContext {
    inner: Arc<dyn Task>,
}

/// The engine's side of a [`TaskContext`].
pub trait Task: Send + Sync {
    /// `<subsystem>.<method>`.
    fn method_name(&self) -> &str;
    /// The id of the operation.
    fn operation_id(&self) -> &str;
    /// Which operation it is, of all that there ever were.
    fn identity(&self) -> Identity;
    /// The attempt, from 1.
    fn attempt(&self) -> u32;
    /// Takes progress; many of these in a row may be taken as one.
    fn progress(&self, update: InfoUpdate);
    /// Takes an error that does not end the operation.
    fn non_fatal_error(&self, failure: Failure);
    /// Whether the operation should stop.
    fn is_canceled(&self) -> bool;
    /// Resolves when the operation should stop.
    fn canceled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl TaskContext {
    /// A context in front of the engine's side.
    pub fn new(inner: Arc<dyn Task>) -> Self {
        Self { inner }
    }

    /// `<subsystem>.<method>`.
    pub fn method_name(&self) -> &str {
        self.inner.method_name()
    }

    /// The id of the operation.
    pub fn operation_id(&self) -> &str {
        self.inner.operation_id()
    }

    /// Which operation it is, of all that there ever were.
    pub fn identity(&self) -> Identity {
        self.inner.identity()
    }

    /// The attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.inner.attempt()
    }

    /// Replaces members of the operation's info. Cheap; call it as often as there is news.
    pub fn progress(&self, update: InfoUpdate) {
        self.inner.progress(update);
    }

    /// Records an error that does not end the operation.
    pub fn non_fatal_error(&self, failure: Failure) {
        self.inner.non_fatal_error(failure);
    }

    /// Whether the operation should stop: somebody canceled it, or the daemon is ending.
    pub fn is_canceled(&self) -> bool {
        self.inner.is_canceled()
    }

    /// Resolves when the operation should stop.
    pub async fn canceled(&self) {
        self.inner.canceled().await;
    }
}

/// What a query may look at.
#[derive(Clone)]
pub struct QueryContext {
    /// `<subsystem>.<method>`.
    pub method_name: Arc<str>,
    /// How objects stand.
    pub objects: Arc<dyn Objects>,
}

/// How objects stand, as a query may see it.
pub trait Objects: Send + Sync {
    /// The OperationInfo of an object as JSON, by its whole alert name.
    fn operation_info(&self, alert_name: &str) -> Option<Json>;
}
