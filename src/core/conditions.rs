//! What an operation can ask for beside its claims: weight, dependencies, a time to start, further
//! attempts, a parent. Most operations ask for none of it, so all of it is in boxes of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Cursor;
use crate::failure::Failure;
use crate::operation::{Operation, OperationState, Request, Time};
use crate::refusal::{Fault, Refusal};

/// A moment of a clock that never jumps: milliseconds. It stands still while no daemon runs and
/// goes on where the log has heard of it last, so what it is told to wait is waited at least.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Steady(pub u64);

/// A span of the steady clock that is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Since when.
    pub since: Steady,
    /// How long.
    pub ms: u64,
}

impl Timer {
    /// When it is over.
    pub fn due(self) -> Steady {
        Steady(self.since.0.saturating_add(self.ms))
    }
}

/// What was asked for beside method, kwargs and claims: fixed at registration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Its share of the capacity.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: u32,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Time>,
    /// Not later; of the first attempt only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_before: Option<Time>,
    /// Its executor itself keeps `start_at`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub holds_schedule: bool,
    /// What must be done before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Dependency>,
    /// Further attempts after a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// The kwargs with their secrets, encrypted; gone when the operation has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Arc<str>>,
    /// It is a flow of so many steps, which were registered directly behind it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub steps: u32,
    /// It is a step of the flow that is its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

/// The part of an operation in a flow: fixed at registration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The steps that must have completed before it starts, by their places in the order of
    /// registration: those asked for, those whose results it takes, those it conflicts with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Cursor>,
    /// Whether its method can be undone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revertible: bool,
    /// Whether its kwargs take results of other steps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub takes_results: bool,
}

/// An operation that must be done before another starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Its place in the order of registration.
    pub sequence: Cursor,
    /// Its id.
    pub id: Arc<str>,
    /// The states in which it may have ended; in any other the dependent is skipped.
    pub states: Vec<OperationState>,
}

/// How often, and after which delays, a failed attempt is followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts at the most, interrupted ones not counted.
    pub max_attempts: u32,
    /// The first delay.
    pub initial_ms: u64,
    /// Each further delay is so many times the one before.
    pub factor: f64,
    /// The longest delay.
    pub max_ms: u64,
}

impl Retry {
    /// The most milliseconds of a delay: a year.
    pub const MOST_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

    /// The delay after so many failed attempts.
    pub(crate) fn delay_ms(&self, failures: u32) -> u64 {
        // Multiplied one by one, which is the same on every machine; a power need not be.
        let mut delay = self.initial_ms as f64;
        for _ in 1..failures {
            if delay >= self.max_ms as f64 {
                break;
            }
            delay *= self.factor;
        }
        delay.min(self.max_ms as f64) as u64
    }

    /// Checks that every member is allowed; the error names all that are not. `pointer` says where
    /// they stand.
    pub fn check(&self, pointer: &str) -> Result<(), Refusal> {
        let most = Self::MOST_MS;
        let rules = [
            (
                self.max_attempts >= 1,
                "maxAttempts",
                "must be at least 1".to_owned(),
            ),
            (
                self.factor >= 1.0 && self.factor.is_finite(),
                "factor",
                "must be at least 1".to_owned(),
            ),
            (
                self.initial_ms <= self.max_ms,
                "initialMs",
                "must be at most maxMs".to_owned(),
            ),
            (
                self.max_ms <= most,
                "maxMs",
                format!("must be at most {most}, a year"),
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, ..)| !holds);
        let faults: Vec<_> = broken
            .map(|(_, member, message)| Fault::new(format!("{pointer}/{member}"), message))
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid { faults })
        }
    }
}

/// What becomes of the conditions as time goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Its place in the queues, if that is not the order of registration; 0: it has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Cursor>,
    /// Dependencies that are not met yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outstanding: Vec<Outstanding>,
    /// The dependency that ended otherwise: the operation is about to be skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_dependency: Option<FailedDependency>,
    /// While it runs: the attempt's time-out. While it waits: the delay before the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// Its parent was canceled: it is about to be, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_cancel_due: bool,
    /// The ids of the operations that it registered, of a flow those of its steps. They can be many
    /// and hardly change, so that copies of the record share them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spawned: Arc<Vec<Arc<str>>>,
    /// Of a step: how far its revert has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Revert>,
    /// Of a step: its flow is done, and with it the step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flow_is_done: bool,
    /// Of a flow: the steps that failed for good, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_steps: Vec<Cursor>,
    /// Of a flow: why it is reverted. Of a step: why its last attempt failed, while it waits for the
    /// next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// How far the revert of a step has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Revert {
    /// It is to be handed to an executor.
    Due,
    /// An executor has it.
    Held,
    /// It failed with this.
    Failed(Failure),
    /// It is done, or somebody said that it is to be skipped.
    Done,
}

/// A dependency that is not met yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outstanding {
    /// Which operation.
    pub sequence: Cursor,
    /// Whether it has a place in the queues. Who depends on one that has none gets none either:
    /// so a place is always behind those of all that are waited for, and nobody waits in a circle.
    pub is_placed: bool,
}

/// A dependency that ended in a state that was not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedDependency {
    /// Which operation.
    pub id: Arc<str>,
    /// How it ended.
    pub state: OperationState,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Request {
    /// Its share of the capacity.
    pub fn weight(&self) -> u32 {
        self.conditions.as_ref().map_or(0, |asked| asked.weight)
    }

    /// What must be done before it starts.
    pub fn after(&self) -> &[Dependency] {
        self.conditions.as_ref().map_or(&[], |asked| &asked.after)
    }

    /// Not before.
    pub fn start_at(&self) -> Option<Time> {
        self.conditions.as_ref()?.start_at
    }

    /// Not later.
    pub fn start_before(&self) -> Option<Time> {
        self.conditions.as_ref()?.start_before
    }

    /// Further attempts after a failed one.
    pub fn retry(&self) -> Option<Retry> {
        self.conditions.as_ref()?.retry
    }

    /// The kwargs with their secrets, encrypted, if there are any.
    pub fn sealed(&self) -> Option<&Arc<str>> {
        self.conditions.as_ref()?.sealed.as_ref()
    }

    /// Nobody needs the secrets any more.
    pub(crate) fn forget_secrets(&mut self) {
        if let Some(asked) = &mut self.conditions {
            asked.sealed = None;
        }
        self.conditions = self.conditions.take().filter(|asked| !is_default(asked));
    }

    /// How many steps it has, if it is a flow.
    pub fn flow_steps(&self) -> Option<u32> {
        let steps = self.conditions.as_ref().map_or(0, |asked| asked.steps);
        (steps > 0).then_some(steps)
    }

    /// Its part in the flow that is its parent, if it is a step.
    pub fn step(&self) -> Option<&Step> {
        self.conditions.as_ref()?.step.as_ref()
    }

    /// How many attempts it may have, interrupted ones not counted.
    pub fn max_attempts(&self) -> u32 {
        self.retry().map_or(1, |retry| retry.max_attempts)
    }
}

impl Operation {
    /// Its place in the queues: the order in which claims are met and executors are given. 0: it
    /// has none yet.
    pub fn place(&self) -> Cursor {
        let moved = self.course.as_ref().and_then(|course| course.place);
        moved.unwrap_or(self.subject.sequence)
    }

    /// The ids of the operations that it registered.
    pub fn spawned(&self) -> &[Arc<str>] {
        self.course.as_ref().map_or(&[], |course| &course.spawned)
    }

    /// Whether nothing more will happen. A step is done when its flow is.
    pub fn is_done(&self) -> bool {
        let flow_is_done = || self.course.as_ref().is_some_and(|own| own.flow_is_done);
        self.state.has_ended() && (self.request.step().is_none() || flow_is_done())
    }

    /// How far its revert has come, if it is a step that is or was reverted.
    pub fn revert(&self) -> Option<&Revert> {
        self.course.as_ref()?.revert.as_ref()
    }

    /// Of a flow: the steps that failed for good, by their places in the order of registration.
    pub fn failed_steps(&self) -> &[Cursor] {
        self.course
            .as_ref()
            .map_or(&[], |course| &course.failed_steps)
    }

    /// Dependencies that are not met yet.
    pub(crate) fn outstanding(&self) -> &[Outstanding] {
        let course = self.course.as_ref();
        course.map_or(&[], |course| &course.outstanding)
    }

    /// What it waits for on the steady clock.
    pub(crate) fn timer(&self) -> Option<Timer> {
        self.course.as_ref()?.timer
    }

    /// Whether it waits for the delay before its next attempt.
    pub(crate) fn is_delayed(&self) -> bool {
        self.state == OperationState::Waiting && self.timer().is_some()
    }

    /// The dependency that it is about to be skipped for.
    pub(crate) fn failed_dependency(&self) -> Option<&FailedDependency> {
        self.course.as_ref()?.failed_dependency.as_ref()
    }

    pub(crate) fn course(&mut self) -> &mut Course {
        self.course.get_or_insert_default()
    }

    /// The moment of the wall clock that it waits for: its start, or the end of the time to start.
    pub(crate) fn due_at(&self) -> Option<Time> {
        let asked = self.request.conditions.as_ref()?;
        match self.state {
            OperationState::Scheduled => asked.start_at,
            OperationState::Waiting if self.attempt == 0 => asked.start_before,
            _ => None,
        }
    }
}
