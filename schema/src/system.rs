//! What the daemon says of itself and of those who carry out its operations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::OperationState;

/// Somebody who carries out methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExecutorInfo {
    /// Its name.
    pub executor: String,
    /// Whether it is here now; one in process always is.
    pub attached: bool,
    /// How many operations it carries out at a time.
    pub capacity: u32,
    /// How many it carries out now.
    pub running: u32,
    /// What it carries out.
    pub methods: Vec<OfferedMethod>,
}

/// A method that an executor offers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OfferedMethod {
    /// `<subsystem>.<method>`.
    pub name: String,
    /// Its version.
    pub version: u32,
}

/// How the daemon is: the answer to `system.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SystemStatus {
    /// The daemon's version.
    pub version: String,
    /// The log that its cursors belong to.
    pub log_id: String,
    /// The head of the log.
    pub cursor: u64,
    /// The oldest place from which alerts can still be read.
    pub oldest_cursor: u64,
    /// How many operations are kept, by state; states without any may be left out.
    pub counts: BTreeMap<OperationState, u64>,
    /// Those who carry out methods.
    pub executors: Vec<ExecutorInfo>,
    /// How long the daemon has been running.
    pub uptime_ms: u64,
    /// Over these, a request is refused or reduced.
    pub limits: Limits,
}

/// The bounds of a daemon. Over them is a typed error, never memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Bytes of a request.
    pub request_bytes: u64,
    /// Bytes of an answer; over it `answerTooLarge` names the paged method.
    pub answer_bytes: u64,
    /// Connections at a time.
    pub connections: u32,
    /// Calls in flight on one connection; further ones wait their turn.
    pub calls_in_flight: u32,
    /// Waits and long polls in flight on one connection.
    pub waits: u32,
    /// Subscriptions of one connection.
    pub subscriptions: u32,
    /// Operations that are not done.
    pub open_operations: u64,
    /// Claims of one operation.
    pub claims: u32,
    /// Operations that one may follow.
    #[serde(default)]
    pub dependencies: u32,
    /// Operations that one may register while it runs.
    #[serde(default)]
    pub children: u32,
    /// Steps of a flow.
    #[serde(default)]
    pub flow_steps: u32,
    /// The weight of all that runs.
    #[serde(default)]
    pub capacity: u32,
    /// Bytes of an operation's result or error.
    pub result_bytes: u32,
    /// Bytes of an `operationInfo`, of a non-fatal error, of a declaration.
    pub report_bytes: u32,
    /// Bytes of a filter.
    pub filter_bytes: u32,
    /// How long a subscriber may leave its connection unread.
    pub write_timeout_ms: u64,
}
