//! `TaskInfo`: what the list of running tasks shows of an operation.

use serde::{Deserialize, Serialize};

use crate::Json;

/// An operation that is not done, as `getRunningTasks` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TaskInfo {
    /// The operation's id.
    pub id: String,
    /// What it runs: `<subsystem>.<method>`.
    pub method_name: String,
    /// Its arguments, secrets replaced by `"***"`.
    #[cfg_attr(test, schemars(with = "crate::openrpc::AnyObject"))]
    pub kwargs: Json,
}
