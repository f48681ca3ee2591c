//! The parameters of `flows.register`.

use serde::{Deserialize, Serialize};

use super::defaults::after;
use crate::{Dependency, FlowStep, Timestamp};

/// Of `flows.register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowsRegisterParams {
    /// An id of one's own, 1 to 200 printable characters: the request can then be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the flow is called: its `methodName` is `flow.<name>`.
    pub name: String,
    /// What it consists of, at least one step; those that wait for none start first.
    pub steps: Vec<FlowStep>,
    /// The caller's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// Not later; of the flow's start only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_before: Option<Timestamp>,
    /// What must be done before it starts; if one ends in another state, the flow is skipped.
    #[serde(
        default,
        deserialize_with = "after",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<Vec<Dependency>>,
    /// Of the attempt that registers the flow as its child, on the connection of its executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
}

impl FlowsRegisterParams {
    /// A flow of these steps, and nothing else said.
    #[must_use]
    pub fn new(name: impl Into<String>, steps: Vec<FlowStep>) -> Self {
        Self {
            id: None,
            name: name.into(),
            steps,
            tags: None,
            start_at: None,
            start_before: None,
            after: None,
            lease: None,
        }
    }

    /// With an id of one's own, so that the request can be repeated.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}
