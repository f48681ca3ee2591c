//! `Registration`: the answer to a registered operation.

use serde::{Deserialize, Serialize};

use crate::{OperationState, Reason};

words! {
    /// Whether a registered operation may start.
    Response {
        /// Nothing holds it.
        Accepted = "accepted",
        /// It waits, and will start by itself.
        Postponed = "postponed",
    }
}

/// The answer to `operations.register`; given only when the operation is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The operation's id.
    pub id: String,
    /// `accepted` exactly when `reasons` is empty.
    pub response: Response,
    /// What the operation waits for.
    pub reasons: Vec<Reason>,
    /// Where it stands.
    pub state: OperationState,
    /// The name that its alerts bear.
    pub alert_name: String,
    /// It had been registered before, with this id.
    pub existing: bool,
    /// The place of its `registered` alert.
    pub cursor: u64,
    /// The log that the cursor belongs to.
    pub log_id: String,
}
