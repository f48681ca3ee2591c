//! `Assignment`: what an attached executor is told to do, and what it says of itself when it has
//! begun something.

use serde::{Deserialize, Serialize};

use crate::{ErrorObject, Json, StepFailure, Timestamp};

words! {
    /// What an executor is told to do.
    AssignmentAction {
        /// Carry out an attempt.
        Execute = "execute",
        /// Undo what an operation did.
        Revert = "revert",
        /// Stop carrying one out.
        Cancel = "cancel",
        /// Answer a query.
        Query = "query",
    }
}

/// What an executor is told to do: the params of the notification `assignment`. Which members are
/// there goes by the action.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// That of `executors.attach`.
    pub subscription: String,
    /// What to do.
    pub action: AssignmentAction,
    /// `execute`, `revert`, `cancel`: with which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// `execute`, `revert`, `cancel`: by which every call about the attempt names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// `execute`, `revert`: the number of the attempt, from 1. A revert is an attempt, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `query`: by which `executors.answer` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// `execute`, `revert`, `query`: which method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_name: Option<String>,
    /// `execute`, `revert`, `query`: in which version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// `execute` of a method that holds the schedule: do not begin before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// `execute` of a method that holds the schedule: do not begin later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_before: Option<Timestamp>,
    /// `execute`, `revert`, `query`: the arguments, with their secrets; of a step, with the results
    /// that it takes.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(test, schemars(with = "Option<crate::openrpc::AnyObject>"))]
    pub kwargs: Option<Json>,
    /// `revert`: what the operation returned, also if that is `null`.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub result: Option<Json>,
    /// `revert`: how the operation itself ended, if it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
    /// `revert`: the steps of the flow that failed, in the order in which they did; the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<StepFailure>,
}
