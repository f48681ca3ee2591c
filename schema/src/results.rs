//! The answers that are more than one noun, or less than one.

use serde::{Deserialize, Serialize};

use crate::{Alert, ExecutorInfo, MethodDeclaration, ObjectInfo, Operation};

/// A page of `operations.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OperationsPage {
    /// The operations of this page: perhaps fewer than asked for, or none, though others follow.
    pub operations: Vec<Operation>,
    /// What to ask for the next page with; none after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
    /// The place in the log at which the page is true.
    pub cursor: u64,
    /// The log that the cursor belongs to.
    pub log_id: String,
}

/// A page of `objects.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ObjectsPage {
    /// The objects of this page, by alert name: perhaps fewer than asked for, though others follow.
    pub objects: Vec<ObjectInfo>,
    /// What to ask for the next page with; none after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
    /// The place in the log at which the page is true.
    pub cursor: u64,
    /// The log that the cursor belongs to.
    pub log_id: String,
}

/// The answer to `operations.wait`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WaitResult {
    /// Those waited for, as they stand.
    pub operations: Vec<Operation>,
    /// The time was over before what was awaited.
    pub timed_out: bool,
    /// The place in the log at which the answer is true.
    pub cursor: u64,
}

/// The answer to `operations.dismiss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dismissed {
    /// How many operations were removed.
    pub dismissed: u64,
}

/// The answer to `alerts.subscribe`, sent before the first alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// The subscription's id on this connection.
    pub subscription: String,
    /// The place after which alerts are sent.
    pub cursor: u64,
    /// The log that the cursor belongs to.
    pub log_id: String,
    /// The oldest place from which alerts can still be read.
    pub oldest_cursor: u64,
}

/// The answer to `alerts.read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AlertsRead {
    /// The alerts, in cursor order.
    pub alerts: Vec<Alert>,
    /// The place from which to read on.
    pub cursor: u64,
    /// There are more at once.
    pub more: bool,
}

/// The answer to `filters.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Matches {
    /// Which names match, in the order given.
    pub matches: Vec<String>,
}

/// The answer to `executors.attach`, sent before the first assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// The subscription's id on this connection; while it lasts, the executor is attached.
    pub subscription: String,
    /// How long attempts are kept once the connection is gone.
    pub lease_ms: u64,
    /// Leases of `resume` that go on.
    pub accepted: Vec<String>,
    /// Leases of `resume` that are over.
    pub refused: Vec<String>,
}

/// The answer to what an executor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Taken {
    /// The place in the log at which it was taken.
    pub cursor: u64,
}

/// The answer to `methods.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MethodsList {
    /// What is declared, by name and version.
    pub methods: Vec<MethodDeclaration>,
}

/// The answer to `executors.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExecutorsList {
    /// Those who carry out methods, by name.
    pub executors: Vec<ExecutorInfo>,
}
