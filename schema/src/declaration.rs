//! `MethodDeclaration`: what a subsystem says of a method that it carries out.

use serde::{Deserialize, Serialize};

use crate::reason::is_false;
use crate::{Claim, Json};

words! {
    /// What a call of the method is answered with.
    MethodKind {
        /// With a registration: it becomes an operation.
        Operation = "operation",
        /// With its own answer, at once.
        Query = "query",
    }
}

words! {
    /// What becomes of an operation whose attempt was interrupted.
    InterruptPolicy {
        /// A new attempt.
        Retry = "retry",
        /// It fails.
        Fail = "fail",
    }
}

/// A method, what it claims and how it behaves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MethodDeclaration {
    /// `<subsystem>.<method>`.
    pub name: String,
    /// Its version.
    #[serde(default = "one")]
    pub version: u32,
    /// Operation or query.
    pub kind: MethodKind,
    /// One line for a person.
    pub summary: String,
    /// JSON Schema of its kwargs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<crate::openrpc::AnyObject>"))]
    pub kwargs_schema: Option<Json>,
    /// Template of the object that it is about, without the subsystem: `VM.{vmID}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Templates of what it claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// Its share of the capacity.
    #[serde(default)]
    pub weight: u32,
    /// Whether it can be canceled while it runs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cancelable: bool,
    /// Whether it can be undone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revertible: bool,
    /// What becomes of it when its attempt is interrupted.
    #[serde(default = "fail")]
    pub on_interrupt: InterruptPolicy,
    /// Whether a failed attempt is followed by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// Whether its executor keeps the start time itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub holds_schedule: bool,
    /// Paths of kwargs that are never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl MethodDeclaration {
    /// A method in version 1 with nothing special to it.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: MethodKind, summary: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: one(),
            kind,
            summary: summary.into(),
            kwargs_schema: None,
            object: None,
            claims: Vec::new(),
            weight: 0,
            cancelable: false,
            revertible: false,
            on_interrupt: fail(),
            retry: None,
            attempt_timeout_ms: None,
            holds_schedule: false,
            secrets: Vec::new(),
        }
    }
}

/// How often and when a failed attempt is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// How many attempts there may be.
    pub max_attempts: u32,
    /// The delay before the second one.
    pub initial_ms: u64,
    /// By how much each delay is longer than the one before.
    pub factor: f64,
    /// The longest delay.
    pub max_ms: u64,
}

const fn one() -> u32 {
    1
}

const fn fail() -> InterruptPolicy {
    InterruptPolicy::Fail
}
