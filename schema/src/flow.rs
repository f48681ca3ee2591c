//! Flows: operations that succeed or are undone together. Their steps, and what is said of a step
//! that went wrong.

use serde::{Deserialize, Serialize};

use crate::{Json, RetryPolicy};

/// A step of a flow: an operation whose arguments may take other steps' results.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowStep {
    /// What the flow calls it; its id is `<flow id>.<name>`.
    pub name: String,
    /// What to run: `<subsystem>.<method>`.
    pub method_name: String,
    /// Of the method; the highest declared if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Its arguments, an object. Anywhere within, `{"$result": "step"}` takes the result of another
    /// step, and `{"$result": "step#/pointer"}` a part of it.
    #[serde(
        default = "crate::empty_object",
        deserialize_with = "crate::json::object"
    )]
    #[cfg_attr(test, schemars(with = "crate::openrpc::AnyObject"))]
    pub kwargs: Json,
    /// Names of the steps that must have completed, beside those whose results it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Vec<String>>,
    /// In place of what the method declares of further attempts.
    #[serde(
        default,
        deserialize_with = "crate::params::retry",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry: Option<RetryPolicy>,
}

/// What went wrong with a step: when it was carried out, or when it was reverted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepFailure {
    /// Its name in the flow.
    pub step: String,
    /// Its id.
    pub operation_id: String,
    /// The same codes as call errors.
    pub code: i32,
    /// For a person; of a long one the first 1,024 bytes and `…`.
    pub message: String,
    /// Whatever else its executor said; left out in a flow's `error.data.reverts`.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<Json>,
}

impl FlowStep {
    /// A step that runs the method with these arguments, and nothing else said.
    #[must_use]
    pub fn new(name: impl Into<String>, method_name: impl Into<String>, kwargs: Json) -> Self {
        Self {
            name: name.into(),
            method_name: method_name.into(),
            version: None,
            kwargs,
            requires: None,
            retry: None,
        }
    }

    /// After this step has completed, too.
    #[must_use]
    pub fn after(mut self, step: impl Into<String>) -> Self {
        self.requires.get_or_insert_default().push(step.into());
        self
    }
}
