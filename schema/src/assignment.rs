//! `Assignment`: what an attached executor is told to do, and what it says of itself when it has
//! begun something.

use serde::{Deserialize, Serialize};

use crate::{Json, Timestamp};

words! {
    /// What an executor is told to do.
    AssignmentAction {
        /// Carry out an attempt.
        Execute = "execute",
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
    /// `execute`, `cancel`: with which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// `execute`, `cancel`: by which every call about the attempt names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// `execute`: the number of the attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `query`: by which `executors.answer` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// `execute`, `query`: which method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_name: Option<String>,
    /// `execute`, `query`: in which version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// `execute` of a method that holds the schedule: do not begin before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// `execute` of a method that holds the schedule: do not begin later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_before: Option<Timestamp>,
    /// `execute`, `query`: the arguments, with their secrets.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(test, schemars(with = "Option<crate::openrpc::AnyObject>"))]
    pub kwargs: Option<Json>,
}
