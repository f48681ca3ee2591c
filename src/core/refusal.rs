//! Refusals and reasons: why a command changed nothing, and why an operation does not run yet.

use std::sync::Arc;

use thiserror::Error;

use crate::operation::{ClaimOperation, OperationState, Resource, Time};

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Refusal {
    /// It can never run beside what is outstanding; only the rejecting reasons.
    #[error("conflicts with operations that are outstanding")]
    ClaimHeld {
        /// One for each resource and outstanding operation.
        reasons: Vec<Reason>,
    },
    /// No open or retained operation has that id.
    #[error("there is no operation {id:?}")]
    OperationNotFound {
        /// The id asked for.
        id: Arc<str>,
    },
    /// No object has that name.
    #[error("there is no object {alert_name:?}")]
    ObjectNotFound {
        /// The name asked for.
        alert_name: Arc<str>,
    },
    /// It cannot be canceled any more.
    #[error("the operation has ended already: it is {}", .state.as_str())]
    OperationEnded {
        /// How it ended.
        state: OperationState,
    },
    /// It is in no state in which its revert could be retried or skipped.
    #[error("the operation is {}: only what is in revertFailed, or a flow with such steps, can be retried or skipped", .state.as_str())]
    NotStuck {
        /// Where it stands.
        state: OperationState,
    },
    /// The id belongs to another request.
    #[error("the id {id:?} belongs to an operation with another {differs}")]
    IdReused {
        /// The id.
        id: Arc<str>,
        /// What differs: `method`, `version`, `kwargs`, or the `parent` of a step of a flow.
        differs: &'static str,
    },
    /// The lease is over, somebody else's, or none.
    #[error("not the lease of a running attempt of this executor")]
    StaleLease,
    /// The attempt that asks is being canceled.
    #[error("the operation that asks is being canceled")]
    Canceled,
    /// It weighs more than there is capacity.
    #[error("/weight: {weight} is over the whole capacity of {capacity}")]
    WeightTooLarge {
        /// What it weighs.
        weight: u32,
        /// The whole capacity.
        capacity: u32,
    },
    /// It cannot be canceled now, or not alone.
    #[error("{what} cannot be canceled {when}")]
    NotCancelable {
        /// The method, or the id of a step or a flow.
        what: Arc<str>,
        /// In which situation.
        when: &'static str,
    },
    /// Nobody has declared the method, or not in this version.
    #[error("no subsystem declares the method {method_name:?}{}", match .version { Some(version) => format!(" in version {version}"), None => String::new() })]
    MethodUnknown {
        /// The method asked for.
        method_name: Arc<str>,
        /// The version asked for.
        version: Option<u32>,
    },
    /// Something in the request is not allowed.
    #[error("{}", .faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// Every fault found.
        faults: Vec<Fault>,
    },
    /// A bound is reached.
    #[error("the limit of {limit} {what} is reached")]
    LimitReached {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON pointer into the params.
    pub pointer: String,
    /// What was wrong and what is allowed.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_str() {
            "" => formatter.write_str(&self.message),
            pointer => write!(formatter, "{pointer}: {}", self.message),
        }
    }
}

impl Fault {
    /// A fault at a place.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// Why an operation does not run, or cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What kind of reason.
    pub cause: Cause,
    /// The resource, for [`Cause::Resource`].
    pub resource: Option<Resource>,
    /// What the outstanding operations hold it for.
    pub operation: Option<ClaimOperation>,
    /// The ids of the 16 oldest that are in the way, in registration order.
    pub blocked_by: Vec<Arc<str>>,
    /// Whether there are others.
    pub more: bool,
    /// More for people, as `busy`.
    pub detail: Option<Arc<str>>,
    /// When it will be over by the wall clock, for [`Cause::RetryDelay`].
    pub until: Option<Time>,
}

impl Reason {
    /// A reason of that kind, and nothing else said.
    pub(crate) fn of(cause: Cause) -> Self {
        Self {
            cause,
            resource: None,
            operation: None,
            blocked_by: Vec::new(),
            more: false,
            detail: None,
            until: None,
        }
    }

    /// As it is written on the wire.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        let mut value = serde_json::json!({"cause": self.cause.as_str()});
        if let (Some(held), Some(operation)) = (&self.resource, self.operation) {
            value["resource"] = serde_json::json!({"type": *held.kind, "id": *held.id});
            value["operation"] = operation.as_str().into();
        }
        let blockers: Vec<&str> = self.blocked_by.iter().map(|id| &**id).collect();
        value["blockedBy"] = blockers.into();
        value
    }
}

/// What kind of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Others hold a resource.
    Resource,
    /// What runs leaves too little of the capacity.
    Capacity,
    /// No executor can take it now.
    Executor,
    /// Only other versions of the method are offered.
    Version,
    /// Its time to start has not come.
    StartTime,
    /// What it follows has not ended.
    Dependency,
    /// The delay before another attempt is not over.
    RetryDelay,
}

impl Cause {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Capacity => "capacity",
            Self::Executor => "executor",
            Self::Version => "version",
            Self::StartTime => "startTime",
            Self::Dependency => "dependency",
            Self::RetryDelay => "retryDelay",
        }
    }
}
