//! The pure heart of Opstead.
//!
//! A [`Command`] is decided into [`Event`]s or a [`Refusal`]; events are applied to the [`State`].
//! Nothing here reads a clock, draws a random number, touches a file or starts a thread: time and
//! identity enter as data, so that the same journal always gives the same state. The one way in is
//! [`State::execute`], the one way back from disk is [`State::apply`].

pub mod json;

pub mod operation;

mod failure;

pub mod conditions;

pub mod declaration;

pub mod event;

pub mod command;

pub mod refusal;

mod capacity;
mod claims;
pub mod flow;
mod queue;
mod results;
mod schemas;
mod template;

mod state;

mod decide;

mod apply;

mod places;

mod cascade;

mod reasons;

mod size;

pub mod checkpoint;

pub use capacity::Reserve;
pub use cascade::{Cascade, News};
pub use command::{
    After, Command, Lease, Moment, Order, Register, RegisterFlow, RegisterStep, Registration,
    Reply, Verdict,
};
pub use conditions::{Conditions, Dependency, Retry, Revert, Steady, Step, Timer};
pub use decide::Executed;
pub use declaration::{ClaimTemplate, Declaration, MethodKind};
pub use event::{Change, Cursor, Event, EventBody, OperationEvent, Purged};
pub use failure::Failure;
pub use json::Json;
pub use operation::{
    Claim, ClaimOperation, InfoUpdate, NonFatalError, OnInterrupt, Operation, OperationInfo,
    OperationState, Outcome, Parent, Request, Resource, Stage, Subject, Time,
};
pub use refusal::{Cause, Fault, Reason, Refusal};
pub use schemas::Schemas;
pub use state::{Executor, Limits, Object, ObjectView, State};
