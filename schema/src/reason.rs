//! Why an operation is not running.

use serde::{Deserialize, Serialize};

use crate::{ClaimOperation, Resource};

words! {
    /// What kind of thing an operation waits for.
    Cause {
        /// Another operation's claim on a resource.
        Resource = "resource",
        /// Weight: too much is running.
        Capacity = "capacity",
        /// Nobody who carries out the method is here, or free (detail `busy`).
        Executor = "executor",
        /// Only other versions of the method are offered.
        Version = "version",
        /// It is not time yet.
        StartTime = "startTime",
        /// Operations after which it is to start.
        Dependency = "dependency",
        /// The delay before another attempt.
        RetryDelay = "retryDelay",
    }
}

/// One reason why an operation is not running. There is one for each resource and outstanding
/// operation on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// What it waits for.
    pub cause: Cause,
    /// The resource that is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// What is outstanding on the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<ClaimOperation>,
    /// The ids of the 16 oldest blockers, in registration order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_by: Vec<String>,
    /// Whether there are blockers beside those named.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// Whatever else is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Reason {
    /// A reason of which only the cause is known.
    #[must_use]
    pub const fn of(cause: Cause) -> Self {
        Self {
            cause,
            resource: None,
            operation: None,
            blocked_by: Vec::new(),
            more: false,
            detail: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}
