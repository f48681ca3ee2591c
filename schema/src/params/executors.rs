//! The parameters of what executors call.

use serde::{Deserialize, Deserializer, Serialize};

use super::defaults::claims;
use crate::{
    Claim, ErrorObject, InterruptPolicy, Json, LastError, MethodDeclaration, MethodKind,
    OperationDescription, RetryPolicy, Stage, null,
};

/// Of `executors.attach`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorsAttachParams {
    /// The executor's name: who comes under the same takes its place.
    pub executor: String,
    /// What it carries out.
    #[serde(deserialize_with = "declarations")]
    pub methods: Vec<MethodDeclaration>,
    /// How many operations it carries out at a time; 0 for none.
    #[serde(default = "one", deserialize_with = "capacity")]
    pub capacity: u32,
    /// Leases of attempts that it goes on with.
    #[serde(default, deserialize_with = "resume")]
    pub resume: Vec<String>,
}

/// Of `executors.update`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorsUpdateParams {
    /// Of which attempt.
    pub lease: String,
    /// The members that are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_info: Option<InfoUpdate>,
    /// An error that does not end the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_fatal_error: Option<ErrorObject>,
}

/// Members of an `OperationInfo` that are replaced; the others stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InfoUpdate {
    /// A word from the agreed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_description: Option<OperationDescription>,
    /// Free text, finer than `operationDescription`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_description: Option<String>,
    /// Stages completed, out of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// 0 to 100, or -1 for unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<f64>,
    /// The error that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// The subsystem's own, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<crate::openrpc::AnyObject>"))]
    pub extra_data: Option<Json>,
}

/// Of `executors.complete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorsCompleteParams {
    /// Of which attempt.
    pub lease: String,
    /// Any JSON; null if left out.
    #[serde(default = "null")]
    pub result: Json,
}

/// Of `executors.fail`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorsFailParams {
    /// Of which attempt.
    pub lease: String,
    /// Why.
    pub error: ErrorObject,
}

/// Of `executors.canceled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorsCanceledParams {
    /// Of which attempt.
    pub lease: String,
}

/// Of `executors.answer`: a result, or an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorsAnswerParams {
    /// Which query.
    pub query_id: String,
    /// Its answer.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub result: Option<Json>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// Of `executors.capacity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorsCapacityParams {
    /// How many operations it carries out at a time; 0 for none.
    pub capacity: u32,
}

/// Of `objects.publish`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectsPublishParams {
    /// Which object.
    pub alert_name: String,
    /// How it stands. Left out: no text, stage 1 of 1, percentage unknown, no error, no data.
    pub operation_info: InfoUpdate,
}

/// Of `objects.retire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectsRetireParams {
    /// Which object.
    pub alert_name: String,
}

/// Declarations with unknown members refused; where the daemon writes them, readers tolerate more.
fn declarations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<MethodDeclaration>, D::Error> {
    let methods = Vec::<Strict>::deserialize(deserializer)?;
    Ok(methods.into_iter().map(MethodDeclaration::from).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Strict {
    name: String,
    version: Option<u32>,
    kind: MethodKind,
    #[serde(default)]
    summary: String,
    kwargs_schema: Option<Json>,
    object: Option<String>,
    #[serde(default, deserialize_with = "claims")]
    claims: Option<Vec<Claim>>,
    weight: Option<u32>,
    cancelable: Option<bool>,
    revertible: Option<bool>,
    on_interrupt: Option<InterruptPolicy>,
    retry: Option<StrictRetry>,
    attempt_timeout_ms: Option<u64>,
    holds_schedule: Option<bool>,
    secrets: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StrictRetry {
    max_attempts: u32,
    initial_ms: u64,
    factor: f64,
    max_ms: u64,
}

impl From<Strict> for MethodDeclaration {
    fn from(strict: Strict) -> Self {
        Self {
            name: strict.name,
            version: strict.version.unwrap_or(1),
            kind: strict.kind,
            summary: strict.summary,
            kwargs_schema: strict.kwargs_schema,
            object: strict.object,
            claims: strict.claims.unwrap_or_default(),
            weight: strict.weight.unwrap_or_default(),
            cancelable: strict.cancelable.unwrap_or_default(),
            revertible: strict.revertible.unwrap_or_default(),
            on_interrupt: strict.on_interrupt.unwrap_or(InterruptPolicy::Fail),
            retry: strict.retry.map(|retry| RetryPolicy {
                max_attempts: retry.max_attempts,
                initial_ms: retry.initial_ms,
                factor: retry.factor,
                max_ms: retry.max_ms,
            }),
            attempt_timeout_ms: strict.attempt_timeout_ms,
            holds_schedule: strict.holds_schedule.unwrap_or_default(),
            secrets: strict.secrets.unwrap_or_default(),
        }
    }
}

fn capacity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(one))
}

fn resume<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

const fn one() -> u32 {
    1
}
