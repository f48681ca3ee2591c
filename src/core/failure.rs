//! Failures: why an operation, or an attempt of it, ended with an error.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::operation::{LastError, OperationState};
use crate::refusal::Fault;

/// Why an operation, or an attempt of it, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The same codes as call errors.
    pub code: i32,
    /// For people.
    pub message: Arc<str>,
    /// More for programs, a JSON object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "Json::deserialize_present"
    )]
    pub data: Option<Json>,
}

impl Failure {
    /// Code of a step whose kwargs are wrong once they are known: that of a call with wrong params.
    pub const INVALID_PARAMS: i32 = -32602;
    /// Code of an operation whose executor was lost.
    pub const EXECUTOR_LOST: i32 = 2001;
    /// Code of an operation that can never run beside what is outstanding.
    pub const CONFLICT: i32 = 1001;
    /// Code of an attempt that took longer than it may.
    pub const ATTEMPT_TIMED_OUT: i32 = 2002;
    /// Code of an operation that was not started in time.
    pub const START_DEADLINE_PASSED: i32 = 2003;
    /// Code of an operation that was skipped.
    pub const DEPENDENCY_FAILED: i32 = 2004;
    /// Code of an operation that somebody canceled.
    pub const CANCELED: i32 = 2005;
    /// Code of an operation whose executor panicked.
    pub const EXECUTOR_PANICKED: i32 = 2006;

    /// The most failures of its steps that are told together of a flow. The steps have all of them.
    pub const MOST_TOLD: usize = 100;
    /// The most bytes of the message of one that is told with others.
    const SHORT_BYTES: usize = 1 << 10;

    /// A failure with `data: {reason, retryable}`.
    pub fn new(code: i32, message: &str, reason: &str, retryable: bool) -> Self {
        let data = serde_json::json!({"reason": reason, "retryable": retryable});
        Self {
            code,
            message: message.into(),
            data: Some(Json::from_value(&data).expect("reason and retryable are JSON")),
        }
    }

    /// Whether another attempt may help: unless `data.retryable` says that it cannot.
    pub fn is_retryable(&self) -> bool {
        #[derive(Deserialize)]
        struct Data {
            retryable: bool,
        }
        let data = self.data.as_ref();
        let said = data.and_then(|data| data.parse::<Data>().ok());
        said.is_none_or(|data| data.retryable)
    }

    /// The failure of an operation whose executor was lost.
    pub fn executor_lost(message: &str) -> Self {
        Self::new(Self::EXECUTOR_LOST, message, "executorLost", true)
    }

    /// The failure of an attempt that took longer than it may.
    pub fn attempt_timed_out(timeout_ms: u64) -> Self {
        let message = format!("the attempt took longer than {timeout_ms} ms");
        Self::new(Self::ATTEMPT_TIMED_OUT, &message, "attemptTimedOut", true)
    }

    /// The failure of an operation that was not started in time.
    pub fn start_deadline_passed() -> Self {
        let message = "not started before its startBefore";
        let reason = "startDeadlinePassed";
        Self::new(Self::START_DEADLINE_PASSED, message, reason, false)
    }

    /// The failure of an operation that was to follow one that ended in such a state.
    pub fn dependency_failed(id: &str, state: OperationState) -> Self {
        let state = state.as_str();
        let data = serde_json::json!({
            "reason": "dependencyFailed", "retryable": false, "operationId": id, "state": state,
        });
        Self {
            code: Self::DEPENDENCY_FAILED,
            message: format!("{id:?}, which it was to follow, is {state}").into(),
            data: Some(Json::from_value(&data).expect("a name and a word are JSON")),
        }
    }

    /// The failure of a step whose flow ended, or stopped, before it could start.
    pub(crate) fn flow_ended(flow: &str) -> Self {
        let data = serde_json::json!({
            "reason": "dependencyFailed", "retryable": false, "operationId": flow,
        });
        Self {
            code: Self::DEPENDENCY_FAILED,
            message: format!("its flow {flow:?} stopped before it could start").into(),
            data: Some(Json::from_value(&data).expect("names are JSON")),
        }
    }

    /// The failure of a step whose kwargs have these faults, now that they are known.
    pub(crate) fn invalid_params(faults: &[Fault]) -> Self {
        let faults = faults.iter().take(Self::MOST_TOLD);
        let faults = faults.map(|fault| Fault::new(short(&fault.pointer), short(&fault.message)));
        let faults: Vec<_> = faults.collect();
        let told: Vec<_> = faults.iter().map(Fault::to_string).collect();
        let members = faults
            .iter()
            .map(|fault| serde_json::json!({"pointer": fault.pointer, "message": fault.message}));
        let members: Vec<_> = members.collect();
        let (message, reason) = (told.join("; "), "invalidParams");
        let mut failure = Self::new(Self::INVALID_PARAMS, &message, reason, false);
        failure.tell("faults", &members);
        failure
    }

    /// The message, or as much of a long one as is told where another failure speaks of it.
    pub fn short_message(&self) -> Arc<str> {
        match short(&self.message) {
            Cow::Borrowed(_) => self.message.clone(),
            Cow::Owned(short) => short.into(),
        }
    }

    /// Adds a member to the data; what is there stays as it is written.
    pub(crate) fn tell<T: Serialize>(&mut self, member: &str, value: &T) {
        let data = self.data.take().unwrap_or_else(Json::empty_object);
        let value = Json::from_value(value).expect("names and numbers are JSON");
        self.data = Some(data.with_member(member, &value));
    }

    /// The failure of an operation that somebody canceled.
    pub fn canceled() -> Self {
        Self::new(Self::CANCELED, "canceled on request", "canceled", false)
    }

    /// Whether it is that somebody canceled the operation, whatever else it tells.
    pub(crate) fn is_cancel(&self) -> bool {
        let canceled = Self::canceled();
        (self.code, &self.message) == (canceled.code, &canceled.message)
    }

    /// Its executor says that it is canceled, which nobody has asked for.
    pub(crate) fn stopped() -> Self {
        let message = "its executor stopped without being asked";
        Self::new(Self::CANCELED, message, "canceled", false)
    }
}

/// A text, or the beginning of a long one.
fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= Failure::SHORT_BYTES {
        return text.into();
    }
    let mut end = Failure::SHORT_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end]).into()
}

impl From<&Failure> for LastError {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_long_faults_the_first_are_told_with_their_beginnings() {
        let long = "x".repeat(1 << 20);
        let faults = vec![Fault::new(format!("/kwargs/{long}"), long); 200];
        let failure = Failure::invalid_params(&faults);
        let data = failure.data.expect("the faults are named");
        let data: serde_json::Value = data.parse().expect("it is JSON");
        assert_eq!(
            data["faults"].as_array().map(Vec::len),
            Some(Failure::MOST_TOLD)
        );
        let most = Failure::MOST_TOLD * 3 * Failure::SHORT_BYTES;
        assert!(failure.message.len() < most && data.to_string().len() < most);
    }
}
