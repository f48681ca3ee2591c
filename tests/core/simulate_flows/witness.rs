//! The witness: it knows the plan of every flow, watches what happens, and panics when something
//! happens that must not, or is left undone that must be done. It knows nothing of how the core
//! does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use opstead_core::{
    Change, Claim, Cursor, Declaration, Event, EventBody, Failure, OperationEvent, OperationState,
    Request, State,
};

use crate::harness::Seen;
use OperationState::{Canceling, Failed, RevertFailed, Reverted, Reverting, Running, Waiting};

type Method = (Arc<str>, u32);

pub(super) struct Known {
    pub(super) id: Arc<str>,
    pub(super) state: OperationState,
    pub(super) method: Method,
    pub(super) claims: Vec<Claim>,
    pub(super) weight: u32,
    /// Its place in the queues; 0: none yet.
    pub(super) place: Cursor,
    pub(super) attempt: u32,
    /// It has been handed to an executor to be run.
    pub(super) ran: bool,
    pub(super) completed: bool,
    /// Who runs or reverts it now.
    pub(super) with: Option<Arc<str>>,
    /// It waits for the delay before another attempt.
    pub(super) is_delayed: bool,
    /// Why it ended, before it was reverted.
    pub(super) failure: Option<Failure>,
    /// Of a flow: its steps as listed, those that failed in that order, whether it was canceled.
    pub(super) steps: Vec<Cursor>,
    pub(super) failed: Vec<Cursor>,
    pub(super) was_canceled: bool,
    /// Of a step: its flow, and what must have completed before it.
    pub(super) flow: Option<Cursor>,
    pub(super) requires: BTreeSet<Cursor>,
}

impl Known {
    pub(super) fn new(event: &OperationEvent, request: &Request) -> Self {
        let subject = &event.subject;
        Self {
            id: subject.id.clone(),
            state: event.state,
            method: (subject.method_name.clone(), request.version),
            claims: request.claims.clone(),
            weight: request.conditions.as_ref().map_or(0, |asked| asked.weight),
            place: 0,
            attempt: 0,
            ran: false,
            completed: false,
            with: None,
            is_delayed: false,
            failure: None,
            steps: Vec::new(),
            failed: Vec::new(),
            was_canceled: false,
            flow: None,
            requires: BTreeSet::new(),
        }
    }

    pub(super) fn is_flow(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether a flow starts no step any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.was_canceled || !self.failed.is_empty()
    }

    /// Whether its claims are in use.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, Running | Canceling | Reverting | RevertFailed)
    }
}

pub(super) struct Executor {
    pub(super) capacity: u32,
    pub(super) offers: Vec<Method>,
}

#[derive(Default)]
pub(super) struct Witness {
    pub(super) known: BTreeMap<Cursor, Known>,
    pub(super) declared: BTreeMap<Method, Arc<Declaration>>,
    pub(super) executors: BTreeMap<Arc<str>, Executor>,
    pub(super) capacity: u32,
    /// The steps that are registered next, each with its flow and what it requires.
    pub(super) expected: BTreeMap<Cursor, (Cursor, BTreeSet<Cursor>)>,
}

impl Witness {
    /// One event after the other.
    pub(super) fn watch(&mut self, cursor: Cursor, event: &Event, seen: &mut Seen) {
        match &event.body {
            EventBody::Operation(event) => self.watch_operation(cursor, event, seen),
            EventBody::MethodDeclared(method) => {
                let key = (method.name.clone(), method.version);
                self.declared.insert(key, method.clone());
            }
            EventBody::ExecutorAttached {
                executor,
                capacity,
                offers,
            } => {
                let (capacity, offers) = (*capacity, offers.clone());
                let known = Executor { capacity, offers };
                self.executors.insert(executor.clone(), known);
            }
            EventBody::ExecutorDetached { executor, .. } => {
                self.executors.remove(executor);
            }
            EventBody::CapacitySet { capacity } => self.capacity = *capacity,
            EventBody::Placed { sequence } => {
                let known = self.known.get_mut(sequence).expect("it is known");
                (known.place, known.state) = (cursor, Waiting);
            }
            EventBody::DelayPassed { sequence } => {
                self.known
                    .get_mut(sequence)
                    .expect("it is known")
                    .is_delayed = false;
            }
            _ => {}
        }
    }

    fn watch_operation(&mut self, cursor: Cursor, event: &OperationEvent, seen: &mut Seen) {
        let place = event.subject.sequence;
        if let Change::Registered(request) = &event.change {
            let mut known = Known::new(event, request);
            if known.state == Waiting {
                known.place = cursor;
            }
            if let Some((flow, requires)) = self.expected.remove(&place) {
                (known.flow, known.requires) = (Some(flow), requires);
                self.known
                    .get_mut(&flow)
                    .expect("its flow comes first")
                    .steps
                    .push(place);
            }
            self.known.insert(place, known);
            return;
        }
        self.assert_may_happen(place, event, seen);
        let known = self.known.get_mut(&place).expect("it is registered");
        let before = known.state;
        known.state = event.state;
        match &event.change {
            Change::Started {
                attempt, executor, ..
            } => {
                (known.attempt, known.ran) = (*attempt, true);
                known.with = Some(executor.clone());
            }
            Change::Reverting {
                attempt, executor, ..
            } => {
                known.attempt = *attempt;
                known.with = Some(executor.clone());
            }
            Change::FlowStarted => known.attempt = 1,
            Change::AttemptFailed { .. } => (known.with, known.is_delayed) = (None, true),
            Change::Retrying => known.with = None,
            Change::CancelRequested => known.was_canceled = true,
            Change::Completed(_) => known.completed = true,
            Change::Failed(failure) => known.failure = Some(failure.clone()),
            _ => {}
        }
        if !matches!(event.state, Running | Canceling | Reverting) {
            known.with = None;
        }
        if event.state == Failed
            && let Some(flow) = known.flow.filter(|_| before != Failed)
        {
            self.known
                .get_mut(&flow)
                .expect("a step has a flow")
                .failed
                .push(place);
        }
    }

    /// A step that required this one, by however many others, and still stands.
    pub(super) fn first_to_revert(&self, place: Cursor) -> Option<&str> {
        let flow = &self.known[&self.known[&place].flow?];
        let mut followers = flow.steps.iter().filter(|other| {
            let requires = &self.known[other].requires;
            requires.contains(&place)
        });
        followers.find_map(|other| {
            let follower = &self.known[other];
            let stands = follower.ran && follower.state != Reverted && self.is_revertible(follower);
            match stands {
                true => Some(&*follower.id),
                false => self.first_to_revert(*other),
            }
        })
    }

    pub(super) fn is_revertible(&self, known: &Known) -> bool {
        self.declared[&known.method].revertible
    }

    pub(super) fn steps<'a>(&'a self, flow: &'a Known) -> impl Iterator<Item = &'a Known> {
        flow.steps.iter().map(|step| &self.known[step])
    }

    pub(super) fn with(&self) -> impl Iterator<Item = (&Arc<str>, &Known)> {
        let known = self.known.values();
        known.filter_map(|known| Some((known.with.as_ref()?, known)))
    }

    pub(super) fn carried_by(&self, executor: &str) -> usize {
        self.with().filter(|(name, _)| ***name == *executor).count()
    }

    /// The state knows what the witness has seen.
    pub(super) fn compare(&self, state: &State) {
        for (place, known) in &self.known {
            let flow = known.flow.map_or(known, |flow| &self.known[&flow]);
            if flow.state.has_ended() {
                continue;
            }
            let operation = state.operation(&known.id).expect("an open one is found");
            assert_eq!(operation.subject.sequence, *place);
            assert_eq!(
                (operation.state, operation.attempt),
                (known.state, known.attempt)
            );
        }
    }

    /// The ids of all that have not ended, and of their steps.
    pub(super) fn open(&self) -> impl Iterator<Item = &str> {
        let known = self.known.values();
        known
            .filter(|known| !known.state.has_ended())
            .map(|known| &*known.id)
    }

    /// The ids of those that an executor has.
    pub(super) fn held(&self) -> impl Iterator<Item = &str> {
        self.with().map(|(_, known)| &*known.id)
    }

    /// The ids of stuck flows, and of the steps that they are stuck with.
    pub(super) fn stuck(&self) -> impl Iterator<Item = &str> {
        let known = self.known.values();
        let stuck = known.filter(|known| known.state == RevertFailed);
        stuck.map(|known| &*known.id)
    }

    /// What a crash meets.
    pub(super) fn doing(&self) -> Option<&'static str> {
        let flows = || self.known.values().filter(|known| known.is_flow());
        if flows().any(|flow| flow.state == Reverting) {
            return Some("crash in a revert");
        }
        let is_stopping = |flow: &Known| flow.is_active() && flow.is_stopping();
        flows().any(is_stopping).then_some("crash in a stop")
    }
}
