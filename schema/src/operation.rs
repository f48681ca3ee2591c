//! `Operation`: the whole record of an operation, as it can be read at any time.

use serde::{Deserialize, Serialize};

use crate::{Claim, ErrorObject, Json, OperationInfo, Reason, Timestamp};

words! {
    /// Where an operation stands.
    OperationState {
        /// It waits for its start time and holds no claims.
        Scheduled = "scheduled",
        /// It waits for what its reasons say.
        Waiting = "waiting",
        /// An executor carries it out.
        Running = "running",
        /// An executor was told to stop.
        Canceling = "canceling",
        /// It ended well.
        Completed = "completed",
        /// It ended with an error.
        Failed = "failed",
        /// It ended because somebody asked.
        Canceled = "canceled",
        /// It is being undone.
        Reverting = "reverting",
        /// It was undone.
        Reverted = "reverted",
        /// Undoing it failed.
        RevertFailed = "revertFailed",
        /// It will never start.
        Skipped = "skipped",
    }
}

/// The whole record of an operation, true at its `cursor`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id, chosen by the caller or made by the daemon.
    pub id: String,
    /// What it runs: `<subsystem>.<method>`.
    pub method_name: String,
    /// The version of the method.
    pub version: u32,
    /// Its arguments, secrets replaced by `"***"`.
    #[cfg_attr(test, schemars(with = "crate::openrpc::AnyObject"))]
    pub kwargs: Json,
    /// Whose method it is.
    pub subsystem: String,
    /// The name that its alerts bear: that of its object, or one of its own.
    pub alert_name: String,
    /// Where it stands.
    pub state: OperationState,
    /// Nothing more will happen to it.
    pub done: bool,
    /// Why it is not running; empty when nothing holds it.
    pub reasons: Vec<Reason>,
    /// How far it is.
    pub operation_info: OperationInfo,
    /// What it claims.
    pub claims: Vec<Claim>,
    /// Its share of the capacity.
    pub weight: u32,
    /// The caller's own words.
    pub tags: Vec<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// Not later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_before: Option<Timestamp>,
    /// When it was first started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The number of its latest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// How many attempts it may have.
    pub max_attempts: u32,
    /// Who carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// What the method returned; there, also as `null`, once it is completed. After a fatal error
    /// the error.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub result: Option<Json>,
    /// The fatal error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
    /// Errors that did not end it, in the order recorded.
    pub non_fatal_errors: Vec<NonFatalError>,
    /// The operation that registered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The ids of the operations that it registered.
    pub spawned_tasks: Vec<String>,
    /// What must be done before it starts.
    pub after: Vec<Dependency>,
    /// Who registered it.
    pub registered_by: String,
    /// The place in the log up to which this record is true.
    pub cursor: u64,
}

/// An error that does not end its operation, durable as it is recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NonFatalError {
    /// When it was recorded.
    pub time: Timestamp,
    /// The same codes as call errors.
    pub code: i32,
    /// For a person.
    pub message: String,
    /// Whatever else the executor said.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<Json>,
}

/// An operation that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dependency {
    /// Whose end is awaited.
    pub id: String,
    /// In which states it may have ended; completed if left out by a caller.
    #[cfg_attr(test, schemars(default))]
    pub states: Vec<OperationState>,
}

impl OperationState {
    /// Whether the state ends an operation, so that `stage.number == stage.total`. A step of a flow
    /// can still be reverted; whether nothing more will happen is [`Operation::done`].
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Canceled | Self::Skipped | Self::Reverted
        )
    }
}
