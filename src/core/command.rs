//! Commands: what somebody wants to happen, with all that a decision needs as data.

use std::sync::Arc;

use crate::conditions::{Retry, Steady};
use crate::declaration::Declaration;
use crate::event::{Cursor, Purged};
use crate::failure::Failure;
use crate::json::Json;
use crate::operation::{Claim, InfoUpdate, Operation, OperationInfo, OperationState, Time};
use crate::refusal::{Fault, Reason};

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// What the events will bear: the wall clock, except that it never goes back.
    pub time: Time,
    /// What the wall clock shows, against which start times are held. It may have been set back.
    pub wall: Time,
    /// By the steady clock, for delays, time-outs and kept attempts.
    pub steady: Steady,
}

impl Moment {
    /// What the wall clock will show at a moment of the steady one, if nobody sets it.
    pub(crate) fn wall_at(self, steady: Steady) -> Time {
        let left = steady.0.saturating_sub(self.steady.0);
        Time(self.wall.0.saturating_add(left))
    }
}

/// An order, and when it was given.
#[derive(Clone, Debug)]
pub struct Command {
    /// When.
    pub now: Moment,
    /// What is wanted.
    pub order: Order,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Order {
    /// Register an operation.
    Register(Box<Register>),
    /// Register a flow and all its steps.
    RegisterFlow(Box<RegisterFlow>),
    /// Try again what could not be reverted: of a step, or of all such steps of a flow.
    RetryRevert {
        /// Which.
        id: Arc<str>,
        /// The operation under that id that has ended already, if there is one.
        ended: Option<Arc<Operation>>,
    },
    /// Take for reverted what could not be: a step, or all such steps of a flow.
    SkipRevert {
        /// Which.
        id: Arc<str>,
        /// The operation under that id that has ended already, if there is one.
        ended: Option<Arc<Operation>>,
    },
    /// End an operation before its time.
    Cancel {
        /// Which.
        id: Arc<str>,
        /// The operation under that id that has ended already, if there is one.
        ended: Option<Arc<Operation>>,
    },
    /// An executor reports how far it has come.
    Update {
        /// The attempt.
        lease: Lease,
        /// What has changed.
        update: InfoUpdate,
        /// Take it even though the last progress was only a moment ago.
        flush: bool,
    },
    /// An executor records an error that does not end the operation.
    RecordError {
        /// The attempt.
        lease: Lease,
        /// What went wrong.
        failure: Failure,
    },
    /// An attempt is over.
    End {
        /// The attempt.
        lease: Lease,
        /// Progress that was reported but not taken yet.
        update: InfoUpdate,
        /// How it ended.
        verdict: Verdict,
    },
    /// An executor comes with its methods, or with another capacity. Attempts that it was carrying
    /// out before and does not resume are interrupted.
    Attach {
        /// Its name.
        executor: Arc<str>,
        /// How many operations it carries out at once.
        capacity: u32,
        /// Its methods.
        declarations: Vec<Arc<Declaration>>,
        /// Attempts that it goes on with.
        resume: Vec<Lease>,
    },
    /// An executor leaves.
    Detach {
        /// Its name.
        executor: Arc<str>,
        /// How long its attempts are kept for it to come back; without it they are interrupted.
        keep_ms: Option<u64>,
    },
    /// An executor carries out more, or fewer, operations at once from here on.
    Resize {
        /// Its name.
        executor: Arc<str>,
        /// How many.
        capacity: u32,
    },
    /// A subsystem tells how an object stands.
    Publish {
        /// The object.
        alert_name: Arc<str>,
        /// How it stands.
        info: Arc<OperationInfo>,
    },
    /// An object is no more.
    Retire {
        /// The object.
        alert_name: Arc<str>,
    },
    /// Limit the weight of all that runs.
    SetCapacity {
        /// The whole of it.
        capacity: u32,
    },
    /// Do what is due, and more of what is done a few at a time.
    Continue,
    /// Ended operations were removed from the archive.
    Purge {
        /// Which ones.
        operations: Vec<Purged>,
    },
}

/// A request to register an operation.
#[derive(Clone, Debug)]
pub struct Register {
    /// `<subsystem>.<method>`.
    pub method_name: Arc<str>,
    /// The highest declared, if left out.
    pub version: Option<u32>,
    /// A JSON object, already checked against the method's schema.
    pub kwargs: Json,
    /// The caller's choice.
    pub id: Option<Arc<str>>,
    /// A fresh ULID, for an id that the caller did not choose.
    pub ulid: Arc<str>,
    /// Claims beside the declared ones.
    pub claims: Vec<Claim>,
    /// In place of the declared weight.
    pub weight: Option<u32>,
    /// Not before.
    pub start_at: Option<Time>,
    /// Not later.
    pub start_before: Option<Time>,
    /// What must be done before it starts.
    pub after: Vec<After>,
    /// In place of what is declared.
    pub retry: Option<Retry>,
    /// The attempt that registers it.
    pub lease: Option<Lease>,
    /// The kwargs with their secrets, encrypted; `kwargs` are then without them.
    pub sealed: Option<Arc<str>>,
    /// The caller's labels.
    pub tags: Vec<Arc<str>>,
    /// Who asks.
    pub registered_by: Arc<str>,
    /// The operation under the chosen id that has ended already, if there is one.
    pub ended: Option<Arc<Operation>>,
}

/// A flow to be registered.
#[derive(Clone, Debug)]
pub struct RegisterFlow {
    /// Its name; the method is `flow.<name>`.
    pub name: Arc<str>,
    /// What is wrong with it already, in the eyes of who knows schemas.
    pub faults: Vec<Fault>,
    /// Its steps, as listed.
    pub steps: Vec<RegisterStep>,
    /// Chosen by the caller.
    pub id: Option<Arc<str>>,
    /// What an id is made from when the caller chose none.
    pub ulid: Arc<str>,
    /// Not before.
    pub start_at: Option<Time>,
    /// Not later.
    pub start_before: Option<Time>,
    /// What must be done before it starts.
    pub after: Vec<After>,
    /// The attempt that registers it.
    pub lease: Option<Lease>,
    /// The caller's labels.
    pub tags: Vec<Arc<str>>,
    /// Who asks.
    pub registered_by: Arc<str>,
    /// The flow under the chosen id that has ended already, if there is one, and its steps in order.
    pub ended: Option<(Arc<Operation>, Vec<Arc<Operation>>)>,
}

/// A step of a flow to be registered.
#[derive(Clone, Debug)]
pub struct RegisterStep {
    /// Its name, by which the others refer to it.
    pub name: Arc<str>,
    /// What it runs.
    pub method_name: Arc<str>,
    /// The highest declared if left out.
    pub version: Option<u32>,
    /// What it is run with; `{"$result": "step"}` or `{"$result": "step#/pointer"}` anywhere within
    /// stands for the result of another step, or a part of it.
    pub kwargs: Json,
    /// The kwargs with their secrets, encrypted; `kwargs` are then without them.
    pub sealed: Option<Arc<str>>,
    /// The steps that must have completed before it starts.
    pub requires: Vec<Arc<str>>,
    /// In place of what is declared.
    pub retry: Option<Retry>,
    /// The operation under the step's id that has ended already, if there is one and the flow is
    /// not there.
    pub ended: Option<Arc<Operation>>,
}

/// An operation that must be done before another starts.
#[derive(Clone, Debug)]
pub struct After {
    /// Its id.
    pub id: Arc<str>,
    /// The states in which it may have ended.
    pub states: Vec<OperationState>,
    /// The operation under that id that has ended already, if there is one.
    pub ended: Option<Arc<Operation>>,
}

impl After {
    /// The dependency as its caller names it; who has ended is added by whoever keeps the ended.
    pub fn new(id: &str, states: Vec<OperationState>) -> Self {
        Self {
            id: id.into(),
            states,
            ended: None,
        }
    }
}

/// The right to speak for one attempt of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The operation.
    pub sequence: Cursor,
    /// The attempt.
    pub attempt: u32,
}

/// `<sequence>.<attempt>`, by which an executor names its attempt on the wire.
impl std::fmt::Display for Lease {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.sequence, self.attempt)
    }
}

impl Lease {
    /// The lease of that name, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let (sequence, attempt) = text.split_once('.')?;
        let lease = Self {
            sequence: sequence.parse().ok()?,
            attempt: attempt.parse().ok()?,
        };
        (lease.to_string() == text).then_some(lease)
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// With this result.
    Completed(Json),
    /// With this error.
    Failed(Failure),
    /// As it was asked to: by a request to cancel its operation.
    Canceled,
}

/// The answer to a command that was not refused.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Order::Register`].
    Registered(Registration),
    /// To [`Order::Cancel`], [`Order::RetryRevert`] and [`Order::SkipRevert`]: the operation as it
    /// stands now, and why it waits if it does.
    Operation(Arc<Operation>, Vec<Reason>),
    /// To [`Order::Attach`]: the attempts that it goes on with.
    Attached(Vec<Lease>),
    /// To an update that came too soon after the last one: send it again later.
    Deferred,
    /// To everything else.
    Done,
}

/// How an operation was registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The operation's id.
    pub id: Arc<str>,
    /// What its alerts are named.
    pub alert_name: Arc<str>,
    /// Why it does not run yet; empty when it was accepted.
    pub reasons: Vec<Reason>,
    /// Where it stands.
    pub state: OperationState,
    /// Whether it had been registered before.
    pub existing: bool,
    /// The cursor of its `registered` alert.
    pub cursor: Cursor,
}
