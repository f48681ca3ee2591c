//! One attempt at the executor: what it has said and the daemon has not taken yet, in order. It is
//! said again after a lost connection, for as long as the attempt is this executor's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opstead_schema::params::{
    ExecutorsCanceledParams, ExecutorsCompleteParams, ExecutorsFailParams, ExecutorsUpdateParams,
    InfoUpdate,
};
use opstead_schema::{Assignment, ErrorCode, ErrorObject, Json, to_json};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::backoff::Backoff;
use crate::session::Shared;

/// Errors that may wait to be sent; further ones are left out.
const MOST_ERRORS: usize = 1_000;
/// Of a refused error's message, so many characters are told: it may be refused for its length.
const MOST_TOLD: usize = 1_000;

/// Which connection the executor is attached on, if it is.
pub(crate) type Presence = watch::Receiver<Option<u64>>;

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) assignment: Assignment,
    pub(crate) stop: CancellationToken,
    shared: Arc<Shared>,
    presence: Presence,
    said: Mutex<Said>,
    news: Notify,
}

#[derive(Default)]
struct Said {
    update: Option<InfoUpdate>,
    errors: VecDeque<ErrorObject>,
    end: Option<Result<Json, ErrorObject>>,
}

/// What is to be told next: one thing at a time, so that the daemon refuses no more than is wrong.
enum Next {
    Progress(InfoUpdate),
    Error(ErrorObject),
    End(Result<Json, ErrorObject>),
    /// Told in the place of what the daemon refused. If it is refused too, nothing else would help.
    ErrorInstead(ErrorObject),
    EndInstead(ErrorObject),
}

impl Attempt {
    pub(crate) fn new(assignment: Assignment, shared: Arc<Shared>, presence: Presence) -> Self {
        Self {
            assignment,
            stop: CancellationToken::new(),
            shared,
            presence,
            said: Mutex::default(),
            news: Notify::new(),
        }
    }

    pub(crate) fn lease(&self) -> &str {
        self.assignment.lease.as_deref().unwrap_or_default()
    }

    pub(crate) fn progress(&self, newer: InfoUpdate) {
        let mut said = self.said();
        let update = said.update.get_or_insert_default();
        merge(update, newer);
        drop(said);
        self.news.notify_one();
    }

    pub(crate) fn non_fatal_error(&self, error: ErrorObject) {
        let mut said = self.said();
        if said.errors.len() < MOST_ERRORS {
            said.errors.push_back(error);
        }
        drop(said);
        self.news.notify_one();
    }

    pub(crate) fn end(&self, outcome: Result<Json, ErrorObject>) {
        self.said().end = Some(outcome);
        self.news.notify_one();
    }

    /// Tells the daemon whatever is said, until the end is told or the attempt is over.
    pub(crate) async fn tell(&self) {
        let mut instead = None;
        loop {
            let next = match instead.take() {
                Some(instead) => instead,
                None => self.next().await,
            };
            match (self.tell_one(&next).await, next) {
                (Ok(_), Next::End(_) | Next::EndInstead(_)) => return,
                (Ok(_), _) => {}
                (Err(Error::Refused(refusal)), next)
                    if refusal.known() != Some(ErrorCode::StaleLease) =>
                {
                    if matches!(next, Next::EndInstead(_)) {
                        return;
                    }
                    instead = next.instead(&refusal);
                }
                (Err(_), _) => {
                    self.stop.cancel();
                    return;
                }
            }
        }
    }

    async fn tell_one(&self, next: &Next) -> Result<Json, Error> {
        let lease = self.lease().to_owned();
        let update = |operation_info, non_fatal_error| ExecutorsUpdateParams {
            lease: self.lease().to_owned(),
            operation_info,
            non_fatal_error,
        };
        match next {
            Next::Progress(info) => {
                let params = update(Some(info.clone()), None);
                self.call("executors.update", &params).await
            }
            Next::Error(error) | Next::ErrorInstead(error) => {
                let params = update(None, Some(error.clone()));
                self.call("executors.update", &params).await
            }
            Next::End(Ok(result)) => {
                let result = result.clone();
                let params = ExecutorsCompleteParams { lease, result };
                self.call("executors.complete", &params).await
            }
            Next::End(Err(error)) if error.known() == Some(ErrorCode::Canceled) => {
                let params = ExecutorsCanceledParams { lease };
                self.call("executors.canceled", &params).await
            }
            Next::End(Err(error)) | Next::EndInstead(error) => {
                let error = error.clone();
                let params = ExecutorsFailParams { lease, error };
                self.call("executors.fail", &params).await
            }
        }
    }

    /// Calls a method that needs the lease, on a connection on which the executor is attached, as
    /// often as it takes.
    pub(crate) async fn call(&self, method: &str, params: &impl Serialize) -> Result<Json, Error> {
        let params = to_json(params).map_err(Error::Params)?;
        let config = &self.shared.config;
        let mut backoff = Backoff::new(config.backoff, config.backoff_most);
        let mut presence = self.presence.clone();
        loop {
            let attached = presence.wait_for(Option::is_some).await;
            // The attachment is gone, and nobody will come back.
            let number = *attached.map_err(|_| Error::Disconnected)?;
            let answer = self.shared.call(method, &params, config.call_timeout).await;
            let is_same = number == self.shared.present() && number == *presence.borrow();
            match answer {
                Err(Error::Disconnected | Error::TimedOut) => {}
                // It went over a connection on which the executor was not attached yet.
                Err(Error::Refused(error))
                    if error.known() == Some(ErrorCode::StaleLease) && !is_same => {}
                Err(error) if error.is_passing() => {}
                answer => return answer,
            }
            pause(backoff.delay()).await;
        }
    }

    /// Takes the next that is to be told, as soon as there is something: what went before the end
    /// comes before it.
    async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.said().next() {
                return next;
            }
            self.news.notified().await;
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // Nothing panics under the lock, so what it guards is whole.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn next(&mut self) -> Option<Next> {
        if let Some(update) = self.update.take() {
            return Some(Next::Progress(update));
        }
        if let Some(error) = self.errors.pop_front() {
            return Some(Next::Error(error));
        }
        self.end.take().map(Next::End)
    }
}

impl Next {
    /// What is told of something that the daemon refused. Progress is let go: more will come.
    fn instead(self, refusal: &ErrorObject) -> Option<Self> {
        match self {
            Self::Progress(_) | Self::ErrorInstead(_) | Self::EndInstead(_) => None,
            Self::Error(error) => Some(Self::ErrorInstead(refused_error(&error, refusal))),
            Self::End(Err(error)) => Some(Self::EndInstead(refused_error(&error, refusal))),
            // The next attempt would come to the same, so there is to be none.
            Self::End(Ok(result)) => {
                let bytes = result.get().len();
                let message = format!("the result of {bytes} bytes was refused: {refusal}");
                let error = ErrorObject::new(ErrorCode::ExecutorPanicked, message);
                Some(Self::EndInstead(error))
            }
        }
    }
}

/// An error that stands for one that the daemon refused. It says nothing about another attempt, as
/// the refused one could not.
fn refused_error(error: &ErrorObject, refusal: &ErrorObject) -> ErrorObject {
    let ErrorObject { code, message, .. } = error;
    ErrorObject {
        code: ErrorCode::ExecutorPanicked.code(),
        message: format!("the error {code}, {message:.MOST_TOLD$}, was refused: {refusal}"),
        data: None,
    }
}

async fn pause(delay: Duration) {
    tokio::time::sleep(delay).await;
}

/// Lays a later update over an earlier one.
fn merge(update: &mut InfoUpdate, newer: InfoUpdate) {
    fn replace<T>(member: &mut Option<T>, newer: Option<T>) {
        if newer.is_some() {
            *member = newer;
        }
    }
    replace(
        &mut update.operation_description,
        newer.operation_description,
    );
    replace(&mut update.stage_description, newer.stage_description);
    replace(&mut update.stage, newer.stage);
    replace(&mut update.percentage, newer.percentage);
    replace(&mut update.last_error, newer.last_error);
    replace(&mut update.extra_data, newer.extra_data);
}
