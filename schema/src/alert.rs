//! Alerts, and the two other things that a subscription sends.

use serde::{Deserialize, Serialize};

use crate::reason::is_false;
use crate::{ErrorObject, OperationInfo, OperationState, Timestamp};

words! {
    /// What an alert tells of.
    AlertEvent {
        /// An operation is on disk.
        Registered = "registered",
        /// It has to wait.
        Postponed = "postponed",
        /// An attempt was started.
        Started = "started",
        /// Its `operationInfo` changed.
        Progress = "progress",
        /// An error that did not end it.
        Error = "error",
        /// Another attempt will follow.
        Retrying = "retrying",
        /// Its executor was told to stop.
        Canceling = "canceling",
        /// It ended well.
        Completed = "completed",
        /// It ended with an error.
        Failed = "failed",
        /// It ended because somebody asked.
        Canceled = "canceled",
        /// It will never start.
        Skipped = "skipped",
        /// It is being undone.
        Reverting = "reverting",
        /// It was undone.
        Reverted = "reverted",
        /// Undoing it failed.
        RevertFailed = "revertFailed",
        /// An object was changed by its subsystem.
        Object = "object",
        /// An object is no more.
        Retired = "retired",
    }
}

/// One entry of the log that a subscriber is told of: the params of the notification `alert`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Whom it is about.
    pub alert_name: String,
    /// How that one stands now.
    pub operation_info: OperationInfo,
    /// Its place in the log.
    pub cursor: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub event: AlertEvent,
    /// To which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// Which operation registered that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What that operation runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_name: Option<String>,
    /// Where that operation stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<OperationState>,
    /// Nothing happened: this is how the object stands at the snapshot's cursor.
    #[serde(default, skip_serializing_if = "is_false")]
    pub snapshot: bool,
    /// Whose alert it is; left out by `alerts.read`. The last member, so that the text before it
    /// can be shared among subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
}

words! {
    /// Why a bookmark is sent.
    BookmarkKind {
        /// Nothing matched for some time.
        Heartbeat = "heartbeat",
        /// The snapshot is complete.
        CaughtUp = "caughtUp",
    }
}

/// How far a subscription has come: the params of the notification `alertBookmark`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AlertBookmark {
    /// Which subscription.
    pub subscription: String,
    /// The place from which to resume.
    pub cursor: u64,
    /// When that was.
    pub time: Timestamp,
    /// Why it is sent.
    pub kind: BookmarkKind,
}

/// A subscription that the daemon ended: the params of the notification `alertClosed`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AlertClosed {
    /// Which subscription.
    pub subscription: String,
    /// How far it had come.
    pub cursor: u64,
    /// Why.
    pub error: ErrorObject,
}
