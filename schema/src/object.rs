//! Objects: the things that a subsystem manages.

use serde::{Deserialize, Serialize};

use crate::{OperationInfo, Timestamp};

/// An object as it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ObjectInfo {
    /// Its name: `<subsystem>(.<objectType>)?.<object>(.<subobject>)*`.
    pub alert_name: String,
    /// That of its latest-started operation that has not ended, else of what came last.
    pub operation_info: OperationInfo,
    /// The operation that says so; none if the subsystem published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// When that was.
    pub updated_at: Timestamp,
    /// The place of the object's last alert.
    pub cursor: u64,
}
