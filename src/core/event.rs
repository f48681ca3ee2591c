//! Events: what has happened. They are the log, the alerts and the only way the state changes.
//!
//! An event's place in the log is its cursor. It is not stored in the event: the block that holds
//! it knows the cursor of its first event, and the others follow without gaps. Each event carries
//! all that its alert needs, so that replay needs no state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::conditions::Timer;
use crate::declaration::Declaration;
use crate::failure::Failure;
use crate::json::Json;
use crate::operation::{
    NonFatalError, Operation, OperationInfo, OperationState, Request, Subject, Time,
};

/// A place in the log: the ordinal of an event, from 1; 0 is the log's beginning.
pub type Cursor = u64;

/// One thing that has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Time,
    /// What.
    pub body: EventBody,
}

/// What has happened, and to what. Written as JSON with the variant's name as the only key, so
/// that foreign JSON inside stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventBody {
    /// To an operation; each of these is an alert.
    Operation(OperationEvent),
    /// A method was declared, or declared anew.
    MethodDeclared(Arc<Declaration>),
    /// An executor came, or came again with other offers.
    ExecutorAttached {
        /// Its name.
        executor: Arc<str>,
        /// How many operations it carries out at once.
        capacity: u32,
        /// The methods and versions it offers.
        offers: Vec<(Arc<str>, u32)>,
    },
    /// An executor is gone.
    ExecutorDetached {
        /// Its name.
        executor: Arc<str>,
        /// How long its attempts are kept for it to come back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Timer>,
    },
    /// The next few operations of an interrupted mass wake-up were released.
    WakeContinued,
    /// The weight of all that runs is limited otherwise from here on.
    CapacitySet {
        /// The whole of it.
        capacity: u32,
    },
    /// Weight that is freed from here on is kept for an operation, or for none.
    CapacityReserved {
        /// Which, by its place in the order of registration.
        sequence: Option<Cursor>,
    },
    /// An operation got its place in the queues, after its start time or after what it follows
    /// got theirs. It is judged as if it had been registered here.
    Placed {
        /// Which, by its place in the order of registration.
        sequence: Cursor,
    },
    /// The delay before another attempt is over.
    DelayPassed {
        /// Of which operation, by its place in the order of registration.
        sequence: Cursor,
    },
    /// A subsystem told how an object stands; an alert.
    ObjectPublished {
        /// The object.
        alert_name: Arc<str>,
        /// How it stands.
        info: Arc<OperationInfo>,
    },
    /// An object is no more; an alert.
    ObjectRetired {
        /// The object.
        alert_name: Arc<str>,
        /// How it stood last.
        info: Arc<OperationInfo>,
    },
    /// Ended operations were removed for good.
    Purged {
        /// Which ones.
        operations: Vec<Purged>,
    },
}

/// An ended operation that was removed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Its place in the order of registration.
    pub sequence: Cursor,
    /// Its object.
    pub alert_name: Arc<str>,
}

impl From<&Operation> for Purged {
    fn from(operation: &Operation) -> Self {
        Self {
            sequence: operation.subject.sequence,
            alert_name: operation.subject.alert_name.clone(),
        }
    }
}

/// Something that has happened to an operation, and how the operation stands after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// The operation.
    pub subject: Arc<Subject>,
    /// Its state after the event.
    pub state: OperationState,
    /// Its info after the event.
    pub info: Arc<OperationInfo>,
    /// What has happened.
    pub change: Change,
}

/// What has happened to an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// It was registered.
    Registered(Arc<Request>),
    /// It cannot start yet.
    Postponed,
    /// An attempt was handed to an executor.
    Started {
        /// From 1.
        attempt: u32,
        /// Who carries it out.
        executor: Arc<str>,
        /// How long it may take.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<Timer>,
    },
    /// Its info changed. `described`: its executor set the description.
    Progressed {
        /// Whether its executor has set the description of this attempt.
        described: bool,
    },
    /// A non-fatal error was recorded.
    ErrorRecorded(NonFatalError),
    /// The attempt was interrupted; another will follow.
    Retrying,
    /// The attempt failed; another will follow.
    AttemptFailed {
        /// Why.
        failure: Failure,
        /// How long until then.
        delay: Timer,
    },
    /// Somebody asked to cancel it.
    CancelRequested,
    /// It ended with a result.
    Completed(Json),
    /// It ended with an error.
    Failed(Failure),
    /// It ended because somebody canceled it.
    Canceled(Failure),
    /// It ended before it started, because what it was to follow ended otherwise.
    Skipped(Failure),
    /// A flow began: its steps can start.
    FlowStarted,
    /// A flow is being reverted from here on, because of this; again, when somebody retried or
    /// skipped what could not be.
    FlowReverting(Failure),
    /// The revert of a step was handed to an executor.
    Reverting {
        /// It counts on from those of the step.
        attempt: u32,
        /// Who carries it out.
        executor: Arc<str>,
        /// How long it may take.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<Timer>,
    },
    /// The revert of a step failed; nothing happens until somebody retries or skips it.
    RevertFailed(Failure),
    /// Somebody asked to try the failed revert of a step again.
    RevertRetried,
    /// A step was undone, or somebody asked to skip its failed revert.
    Reverted,
    /// Nothing more of a flow can be reverted until somebody retries or skips what failed.
    FlowRevertFailed(Failure),
    /// A flow ended by being undone, because of this.
    FlowReverted(Failure),
}

impl Change {
    /// The alert's word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Registered(_) => "registered",
            Self::Postponed => "postponed",
            Self::Started { .. } => "started",
            Self::Progressed { .. } => "progress",
            Self::ErrorRecorded(_) => "error",
            Self::Retrying | Self::AttemptFailed { .. } => "retrying",
            Self::CancelRequested => "canceling",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Canceled(_) => "canceled",
            Self::Skipped(_) => "skipped",
            Self::FlowStarted => "started",
            Self::FlowReverting(_) | Self::Reverting { .. } | Self::RevertRetried => "reverting",
            Self::RevertFailed(_) | Self::FlowRevertFailed(_) => "revertFailed",
            Self::Reverted | Self::FlowReverted(_) => "reverted",
        }
    }
}
