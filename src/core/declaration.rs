//! What a subsystem declares about a method before anybody can register it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::conditions::{Retry, is_default};
use crate::json::Json;
use crate::operation::{ClaimOperation, OnInterrupt};

/// One method of a subsystem, in one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// `<subsystem>.<method>`.
    pub name: Arc<str>,
    /// From 1 on; without a wish of the caller the highest is taken.
    pub version: u32,
    /// Whether it runs as an operation or only answers.
    pub kind: MethodKind,
    /// One sentence for people.
    pub summary: Arc<str>,
    /// JSON Schema of the kwargs.
    pub kwargs_schema: Option<Json>,
    /// The object it works on, a template without the subsystem, as `Image.{image}`.
    pub object: Option<Arc<str>>,
    /// The claims each operation takes.
    pub claims: Vec<ClaimTemplate>,
    /// Whether a running one can be canceled.
    pub cancelable: bool,
    /// What becomes of an attempt whose executor is lost.
    pub on_interrupt: OnInterrupt,
    /// The share of the capacity that each takes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: u32,
    /// Further attempts after a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// Whether its executor keeps start times itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub holds_schedule: bool,
}

impl Declaration {
    /// Whether anything is made from the kwargs.
    pub(crate) fn has_templates(&self) -> bool {
        let claims = self.claims.iter().map(|claim| &claim.id);
        claims.chain(&self.object).any(|text| text.contains('{'))
    }
}

/// Whether a method runs as an operation or only answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MethodKind {
    /// Registered durably and run.
    Operation,
    /// Answered at once, nothing is stored.
    Query,
}

/// A claim whose resource id is made from kwargs, as `{type: "image", id: "{image}"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimTemplate {
    /// The kind of resource.
    pub kind: Arc<str>,
    /// The template of the id.
    pub id: Arc<str>,
    /// What for.
    pub operation: ClaimOperation,
}
