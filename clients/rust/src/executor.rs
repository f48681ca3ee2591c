//! What a program implements that carries out methods of its own: a trait, and what it knows of
//! each attempt.

use std::future::Future;
use std::sync::Arc;

use opstead_schema::params::{FlowsRegisterParams, InfoUpdate, RegisterParams};
use opstead_schema::{
    Assignment, ErrorCode, ErrorObject, Json, Registration, StepFailure, Timestamp,
};

use crate::Error;
use crate::attempt::Attempt;
use crate::random::random;

/// Carries out methods. Attach it with [`crate::Client::attach`].
pub trait Executor: Send + Sync + 'static {
    /// Carries out one attempt and returns its result. One that is asked to stop returns
    /// [`Task::stopped`]; whatever else it returns stands. A panic fails the operation. Work that
    /// blocks belongs on a thread of its own.
    fn execute(
        &self,
        task: Task,
        kwargs: Json,
    ) -> impl Future<Output = Result<Json, ErrorObject>> + Send;

    /// Undoes an operation whose method is declared `revertible`, as a step of a flow that does not
    /// succeed. `outcome` is what the operation came to: one that failed is reverted too. `failures`
    /// are the steps that failed, of many the first 100. It may be called again after a crash, so what
    /// is undone already is no error. An error leaves the operation `revertFailed`.
    fn revert(
        &self,
        task: Task,
        kwargs: Json,
        outcome: Result<Json, ErrorObject>,
        failures: Vec<StepFailure>,
    ) -> impl Future<Output = Result<(), ErrorObject>> + Send {
        drop((kwargs, outcome, failures));
        let name = task.method_name();
        let message = format!("{name} is revertible, but this executor has no revert for it");
        async { Err(ErrorObject::new(ErrorCode::ExecutorPanicked, message)) }
    }

    /// Answers a method that is declared as a query, within 10 seconds.
    fn query(
        &self,
        method_name: &str,
        kwargs: Json,
    ) -> impl Future<Output = Result<Json, ErrorObject>> + Send {
        drop(kwargs);
        let message = format!("{method_name} is not answered here");
        async { Err(ErrorObject::new(ErrorCode::ExecutorUnavailable, message)) }
    }
}

/// What is known of an attempt, and may be said about it. Cheap to clone, usable from any thread,
/// and good over any number of reconnections.
#[derive(Clone)]
pub struct Task {
    pub(crate) attempt: Arc<Attempt>,
}

impl Task {
    /// The operation's id.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        self.attempt
            .assignment
            .operation_id
            .as_deref()
            .unwrap_or_default()
    }

    /// `<subsystem>.<method>`.
    #[must_use]
    pub fn method_name(&self) -> &str {
        self.attempt
            .assignment
            .method_name
            .as_deref()
            .unwrap_or_default()
    }

    /// All that the daemon said: version, number of the attempt, times of a held schedule.
    #[must_use]
    pub fn assignment(&self) -> &Assignment {
        &self.attempt.assignment
    }

    /// Not to be begun before, where the executor itself keeps start times.
    #[must_use]
    pub fn start_at(&self) -> Option<Timestamp> {
        self.attempt.assignment.start_at
    }

    /// Replaces members of the operation's info. Cheap: what is said in a row is sent as one, and
    /// waits while there is no connection.
    pub fn progress(&self, update: InfoUpdate) {
        self.attempt.progress(update);
    }

    /// Records an error that does not end the operation. After a lost connection it may be
    /// recorded twice.
    pub fn non_fatal_error(&self, error: ErrorObject) {
        self.attempt.non_fatal_error(error);
    }

    /// Registers an operation as a child of this one, once, over lost connections too. Choose its
    /// id: another attempt then finds it instead of registering another child. Left out, it is the
    /// method's name and a random number.
    ///
    /// # Errors
    /// As [`crate::Client::register`]; `staleLease` once the attempt is over.
    pub async fn register(&self, mut params: RegisterParams) -> Result<Registration, Error> {
        params.lease = Some(self.attempt.lease().to_owned());
        // The request may be repeated, which without an id would register another child.
        params
            .id
            .get_or_insert_with(|| unique_id(&params.method_name));
        let answer = self.attempt.call("operations.register", &params).await?;
        serde_json::from_str(answer.get()).map_err(|error| Error::Protocol(error.to_string()))
    }

    /// Registers a flow as a child of this operation, as [`Self::register`] does an operation.
    ///
    /// # Errors
    /// As [`crate::Client::register_flow`]; `staleLease` once the attempt is over.
    pub async fn register_flow(
        &self,
        mut params: FlowsRegisterParams,
    ) -> Result<Registration, Error> {
        params.lease = Some(self.attempt.lease().to_owned());
        params
            .id
            .get_or_insert_with(|| unique_id(&format!("flow.{}", params.name)));
        let answer = self.attempt.call("flows.register", &params).await?;
        serde_json::from_str(answer.get()).map_err(|error| Error::Protocol(error.to_string()))
    }

    /// Whether it should stop: its operation was canceled, or the attempt is over.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.attempt.stop.is_cancelled()
    }

    /// Resolves when it should stop.
    pub async fn canceled(&self) {
        self.attempt.stop.cancelled().await;
    }

    /// What an attempt returns that has stopped because it was asked to.
    #[must_use]
    pub fn stopped() -> ErrorObject {
        ErrorObject::new(ErrorCode::Canceled, "canceled on request")
    }
}

/// An id that no other operation has, in the shape of those that the daemon makes.
fn unique_id(method_name: &str) -> String {
    // Ids have at most 200 characters.
    format!("{method_name:.160}.{:016x}{:016x}", random(), random())
}
