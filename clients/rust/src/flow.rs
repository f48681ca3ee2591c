//! Flows, built step by step.
//!
//! ```
//! use opstead_client::{Flow, result};
//! use serde_json::json;
//!
//! let request = Flow::new("stock")
//!     .with_id("stock-1")
//!     .step("create", "storage.createImage", json!({"image": "base", "sizeBytes": 1 << 20}))
//!     .step("copy", "storage.copyImage", json!({"source": "base", "target": "copy"}))
//!     .requires("create")
//!     // Takes a part of what `copy` returns, and so waits for it.
//!     .step("spare", "storage.createImage", json!({
//!         "image": "spare",
//!         "sizeBytes": result("copy", "/sizeBytes"),
//!     }))
//!     .build()?;
//! assert_eq!(
//!     request.steps[2].kwargs.get(),
//!     r#"{"image":"spare","sizeBytes":{"$result":"copy#/sizeBytes"}}"#
//! );
//! # Ok::<(), opstead_client::Error>(())
//! ```

use opstead_schema::params::FlowsRegisterParams;
use opstead_schema::{Dependency, FlowStep, RetryPolicy, Timestamp, to_json};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::Error;

/// A flow that has no step yet: what is said of it as a whole.
#[derive(Debug, Clone)]
pub struct Flow {
    request: FlowsRegisterParams,
}

/// A flow whose latest step may be said more of, or be followed by another.
#[derive(Debug)]
pub struct FlowSteps {
    request: FlowsRegisterParams,
    latest: FlowStep,
    /// The first kwargs that were no JSON.
    fault: Option<serde_json::Error>,
}

/// A step's result, or a part of it; see [`result`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult(String);

/// Takes the result of another step, wherever it stands in a step's kwargs: whole if the JSON
/// pointer is empty, else the part that the pointer leads to. The step waits for the other one.
#[must_use]
pub fn result(step: &str, pointer: &str) -> StepResult {
    match pointer.is_empty() {
        true => StepResult(step.to_owned()),
        false => StepResult(format!("{step}#{pointer}")),
    }
}

impl Flow {
    /// A flow of this name: its `methodName` is `flow.<name>`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            request: FlowsRegisterParams::new(name, Vec::new()),
        }
    }

    /// With an id of one's own, so that the request can be repeated.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.request.id = Some(id.into());
        self
    }

    /// With words of one's own, to find it by.
    #[must_use]
    pub fn with_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        let all = self.request.tags.get_or_insert_default();
        all.extend(tags.into_iter().map(Into::into));
        self
    }

    /// It starts not before.
    #[must_use]
    pub const fn start_at(mut self, time: Timestamp) -> Self {
        self.request.start_at = Some(time);
        self
    }

    /// It starts not later.
    #[must_use]
    pub const fn start_before(mut self, time: Timestamp) -> Self {
        self.request.start_before = Some(time);
        self
    }

    /// It starts when that operation is done; if that has ended in another state, it is skipped.
    #[must_use]
    pub fn after(mut self, dependency: Dependency) -> Self {
        self.request.after.get_or_insert_default().push(dependency);
        self
    }

    /// With this step as its first. Steps start as soon as what they require has completed, and in
    /// parallel where nothing orders them.
    #[must_use]
    pub fn step(self, name: &str, method_name: &str, kwargs: impl Serialize) -> FlowSteps {
        let (latest, fault) = new_step(name, method_name, kwargs);
        FlowSteps {
            request: self.request,
            latest,
            fault,
        }
    }
}

impl FlowSteps {
    /// And with this one.
    #[must_use]
    pub fn step(mut self, name: &str, method_name: &str, kwargs: impl Serialize) -> Self {
        let (next, fault) = new_step(name, method_name, kwargs);
        self.fault = self.fault.or(fault);
        let before = std::mem::replace(&mut self.latest, next);
        self.request.steps.push(before);
        self
    }

    /// The latest step waits for that one, whose result it need not take.
    #[must_use]
    pub fn requires(mut self, step: impl Into<String>) -> Self {
        self.latest = self.latest.after(step);
        self
    }

    /// The latest step runs that version of its method.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.latest.version = Some(version);
        self
    }

    /// The latest step is tried again so, in place of what its method declares.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.latest.retry = Some(policy);
        self
    }

    /// The request, for [`crate::Client::register_flow`].
    ///
    /// # Errors
    /// [`Error::Params`] if kwargs of a step are no JSON. Everything else is judged by the daemon.
    pub fn build(self) -> Result<FlowsRegisterParams, Error> {
        if let Some(fault) = self.fault {
            return Err(Error::Params(fault));
        }
        let mut request = self.request;
        request.steps.push(self.latest);
        Ok(request)
    }
}

impl Serialize for StepResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("$result", &self.0)?;
        map.end()
    }
}

fn new_step(
    name: &str,
    method_name: &str,
    kwargs: impl Serialize,
) -> (FlowStep, Option<serde_json::Error>) {
    let (kwargs, fault) = match to_json(&kwargs) {
        Ok(kwargs) => (kwargs, None),
        Err(fault) => (opstead_schema::empty_object(), Some(fault)),
    };
    (FlowStep::new(name, method_name, kwargs), fault)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_can_be_said_of_a_flow_and_of_a_step() {
        let retry = RetryPolicy {
            max_attempts: 3,
            initial_ms: 10,
            factor: 2.0,
            max_ms: 100,
        };
        let before = Dependency {
            id: "before".to_owned(),
            states: vec![opstead_schema::OperationState::Completed],
        };
        let request = Flow::new("f")
            .with_id("f-1")
            .with_tags(["t"])
            .start_at(Timestamp::from_unix_ms(1))
            .start_before(Timestamp::from_unix_ms(2))
            .after(before)
            .step("a", "s.m", json!({}))
            .version(2)
            .retry(retry)
            .step("b", "s.n", json!({"all": [result("a", "")]}))
            .requires("a")
            .requires("c")
            .step("c", "s.m", json!({"x": 1}))
            .build()
            .unwrap();
        assert_eq!(
            serde_json::to_value(request).unwrap(),
            json!({
                "name": "f", "id": "f-1", "tags": ["t"],
                "startAt": "1970-01-01T00:00:00.001Z", "startBefore": "1970-01-01T00:00:00.002Z",
                "after": [{"id": "before", "states": ["completed"]}],
                "steps": [
                    {"name": "a", "methodName": "s.m", "version": 2, "kwargs": {},
                     "retry": {"maxAttempts": 3, "initialMs": 10, "factor": 2.0, "maxMs": 100}},
                    {"name": "b", "methodName": "s.n", "kwargs": {"all": [{"$result": "a"}]}, "requires": ["a", "c"]},
                    {"name": "c", "methodName": "s.m", "kwargs": {"x": 1}},
                ]
            })
        );
    }

    #[test]
    fn kwargs_that_are_no_json_are_refused() {
        let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
        let built = Flow::new("f")
            .step("a", "s.m", no_json)
            .step("b", "s.m", json!({}));
        assert!(matches!(built.build(), Err(Error::Params(_))));
    }
}
