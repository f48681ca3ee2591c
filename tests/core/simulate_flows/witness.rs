//! The witness: it knows the plan of every flow, watches what happens, and panics when something
//! happens that must not, or is left undone that must be done. It knows nothing of how the core
//! does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use opstead_core::{
    Change, Claim, ClaimOperation, Cursor, Declaration, Event, EventBody, Executed, Failure,
    OperationEvent, OperationState, RegisterFlow, Reply, Request, State,
};
use serde_json::Value;

use crate::harness::Seen;
use crate::simulate::model::{Cell, cell};
use OperationState::{
    Canceled, Canceling, Completed, Failed, RevertFailed, Reverted, Reverting, Running, Scheduled,
    Skipped, Waiting,
};

type Method = (Arc<str>, u32);

struct Known {
    id: Arc<str>,
    state: OperationState,
    method: Method,
    claims: Vec<Claim>,
    weight: u32,
    /// Its place in the queues; 0: none yet.
    place: Cursor,
    attempt: u32,
    /// It has been handed to an executor to be run.
    ran: bool,
    completed: bool,
    /// Who runs or reverts it now.
    with: Option<Arc<str>>,
    /// It waits for the delay before another attempt.
    is_delayed: bool,
    /// Why it ended, before it was reverted.
    failure: Option<Failure>,
    /// Of a flow: its steps as listed, those that failed in that order, whether it was canceled.
    steps: Vec<Cursor>,
    failed: Vec<Cursor>,
    was_canceled: bool,
    /// Of a step: its flow, and what must have completed before it.
    flow: Option<Cursor>,
    requires: BTreeSet<Cursor>,
}

impl Known {
    fn new(event: &OperationEvent, request: &Request) -> Self {
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

    fn is_flow(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether a flow starts no step any more.
    fn is_stopping(&self) -> bool {
        self.was_canceled || !self.failed.is_empty()
    }

    /// Whether its claims are in use.
    fn is_active(&self) -> bool {
        matches!(self.state, Running | Canceling | Reverting | RevertFailed)
    }
}

struct Executor {
    capacity: u32,
    offers: Vec<Method>,
}

#[derive(Default)]
pub(super) struct Witness {
    known: BTreeMap<Cursor, Known>,
    declared: BTreeMap<Method, Arc<Declaration>>,
    executors: BTreeMap<Arc<str>, Executor>,
    capacity: u32,
    /// The steps that are registered next, each with its flow and what it requires.
    expected: BTreeMap<Cursor, (Cursor, BTreeSet<Cursor>)>,
}

impl Witness {
    /// A flow is about to be registered: what its steps require, from the plan.
    pub(super) fn expect(&mut self, flow: &RegisterFlow, first: Cursor, executed: &Executed) {
        match &executed.reply {
            Reply::Registered(registration) if !registration.existing => {}
            other => panic!("a new flow is answered with {other:?}"),
        }
        let place = |name: &str| {
            let mut steps = flow.steps.iter();
            let index = steps.position(|step| *step.name == *name);
            first + 1 + index.expect("a known step") as Cursor
        };
        let mut requires: BTreeMap<Cursor, BTreeSet<Cursor>> = BTreeMap::new();
        for step in &flow.steps {
            let kwargs: Value = step.kwargs.parse().expect("kwargs are JSON");
            let taken = taken(&kwargs).into_iter();
            let taken = taken.map(|name| place(name.split('#').next().expect("a name")));
            let asked = step.requires.iter().map(|name| place(name));
            requires.insert(place(&step.name), asked.chain(taken).collect());
        }
        // In the order of their requirements, among equals as listed.
        let mut order: Vec<Cursor> = Vec::new();
        while order.len() < requires.len() {
            let free = requires.iter().find(|(step, requires)| {
                !order.contains(*step) && requires.iter().all(|required| order.contains(required))
            });
            order.push(*free.expect("no circle is registered").0);
        }
        let claims: BTreeMap<Cursor, &Vec<Claim>> = (first..)
            .zip(&executed.events)
            .filter_map(|(cursor, event)| match &event.body {
                EventBody::Operation(event) => match &event.change {
                    Change::Registered(request) => Some((cursor, &request.claims)),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        for (index, later) in order.iter().enumerate() {
            for earlier in &order[..index] {
                if conflict(claims[earlier], claims[later]) {
                    requires.get_mut(later).expect("a step").insert(*earlier);
                }
            }
        }
        for (step, requires) in requires {
            for claim in claims[&step] {
                let mut held = claims[&first].iter();
                let covers = held.any(|held| {
                    held.resource == claim.resource
                        && strength(held.operation) >= strength(claim.operation)
                });
                assert!(covers, "the flow does not claim {claim:?}");
            }
            self.expected.insert(step, (first, requires));
        }
    }

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

    /// Panics unless this may happen now.
    fn assert_may_happen(&self, place: Cursor, event: &OperationEvent, seen: &mut Seen) {
        let known = &self.known[&place];
        let flow = known.flow.map(|flow| &self.known[&flow]);
        assert!(
            flow.is_none_or(|flow| !flow.state.has_ended()),
            "its flow has ended: {event:?}"
        );
        let mut count = |what| *seen.entry(what).or_default() += 1;
        let allowed: &[OperationState] = match &event.change {
            Change::Registered(_) => &[],
            Change::Started {
                attempt, executor, ..
            } => {
                self.assert_starts(known, flow, *attempt, executor);
                &[Waiting]
            }
            Change::FlowStarted => {
                self.assert_claims_free(known);
                &[Waiting]
            }
            Change::Postponed => &[Waiting, Scheduled],
            Change::Progressed { .. } | Change::ErrorRecorded(_) if known.is_flow() => {
                &[Running, Canceling]
            }
            Change::Progressed { .. } | Change::ErrorRecorded(_) => {
                assert!(known.with.is_some(), "nobody is there to tell {event:?}");
                &[Running, Canceling, Reverting]
            }
            Change::Retrying => {
                assert!(known.with.is_some());
                if known.state == Reverting {
                    count("a revert interrupted");
                }
                &[Running, Reverting]
            }
            Change::AttemptFailed { .. } => &[Running],
            Change::CancelRequested => {
                assert!(flow.is_none_or(|flow| flow.was_canceled), "a step alone");
                &[Running]
            }
            Change::Completed(_) => {
                if known.is_flow() {
                    count("a flow completed");
                    assert!(!known.is_stopping());
                    assert!(self.steps(known).all(|step| step.state == Completed));
                }
                &[Running, Canceling]
            }
            Change::Failed(_) | Change::Canceled(_) | Change::Skipped(_) if known.is_flow() => {
                count("a flow ended before it began");
                assert!(
                    self.steps(known)
                        .all(|step| step.state == Skipped && !step.ran)
                );
                &[Waiting, Scheduled]
            }
            Change::Failed(_) => {
                if flow.is_some() && !known.ran {
                    count("a step failed before it ran");
                }
                &[Waiting, Scheduled, Running, Canceling]
            }
            Change::Canceled(_) => {
                assert!(flow.is_none_or(|flow| flow.was_canceled), "a step alone");
                &[Waiting, Scheduled, Canceling]
            }
            Change::Skipped(_) => {
                assert!(!known.ran, "it has run: {event:?}");
                // With a flow that has not begun its steps go first.
                assert!(flow.is_none_or(|flow| flow.is_stopping() || !flow.is_active()));
                &[Waiting, Scheduled]
            }
            Change::FlowReverting(failure) => {
                self.assert_turns_back(known, failure);
                &[Running, Canceling, RevertFailed]
            }
            Change::Reverting {
                attempt, executor, ..
            } => {
                let flow = flow.expect("a step");
                assert_eq!(flow.state, Reverting);
                assert_eq!(
                    *attempt,
                    known.attempt + 1,
                    "attempts are numbered one by one"
                );
                assert!(known.ran && known.with.is_none() && self.is_revertible(known));
                let first = self.first_to_revert(place);
                assert!(
                    first.is_none(),
                    "{} is to be reverted first",
                    first.unwrap_or("")
                );
                self.assert_has_room(known, executor);
                &[Completed, Failed, Canceled, Reverting]
            }
            Change::RevertFailed(_) => &[Reverting],
            Change::RevertRetried => {
                count("a revert retried");
                &[RevertFailed]
            }
            Change::Reverted => {
                if known.state == RevertFailed {
                    count("a revert skipped");
                }
                assert!(known.with.is_some() || known.state == RevertFailed);
                &[Reverting, RevertFailed]
            }
            Change::FlowRevertFailed(failure) => {
                count("a flow stuck");
                self.assert_stuck(known, failure, &mut count);
                &[Reverting]
            }
            Change::FlowReverted(failure) => {
                count(match known.was_canceled {
                    true => "a flow canceled",
                    false => "a flow reverted",
                });
                self.assert_reverted(known, failure, &mut count);
                &[Reverting]
            }
        };
        assert!(
            allowed.contains(&known.state),
            "{:?} after {:?}",
            event.change,
            known.state
        );
    }

    fn assert_starts(&self, known: &Known, flow: Option<&Known>, attempt: u32, executor: &str) {
        assert_eq!(
            attempt,
            known.attempt + 1,
            "attempts are numbered one by one"
        );
        assert!(!known.completed && !known.is_delayed && known.with.is_none());
        self.assert_has_room(known, executor);
        let used: u32 = self.with().map(|(_, other)| other.weight).sum();
        assert!(
            known.weight == 0 || used == 0 || used + known.weight <= self.capacity,
            "{} is too heavy beside {used}",
            known.id
        );
        let Some(flow) = flow else {
            return self.assert_claims_free(known);
        };
        assert!(
            flow.state == Running && !flow.is_stopping(),
            "its flow stops"
        );
        for required in &known.requires {
            let required = &self.known[required];
            assert!(
                required.completed,
                "{} comes before {}",
                required.id, known.id
            );
        }
    }

    /// The executor is there, takes the method and is able to take one more.
    fn assert_has_room(&self, known: &Known, executor: &str) {
        let offered = self.executors.get(executor).expect("it is attached");
        assert!(offered.offers.contains(&known.method));
        assert!(
            self.carried_by(executor) < offered.capacity as usize,
            "over its capacity"
        );
    }

    /// Nothing runs that its claims conflict with. Those of a flow stay until it is done.
    fn assert_claims_free(&self, starting: &Known) {
        let active = self
            .known
            .values()
            .filter(|other| other.flow.is_none() && other.is_active());
        for other in active {
            let (earlier, later) = match other.place < starting.place {
                true => (other, starting),
                false => (starting, other),
            };
            let ids = (&earlier.id, &later.id);
            assert!(
                !conflict(&earlier.claims, &later.claims),
                "{ids:?} conflict"
            );
        }
    }

    /// No step runs or is still to be run; nothing is reverted, either.
    fn assert_turns_back(&self, flow: &Known, failure: &Failure) {
        assert!(flow.is_stopping(), "nothing has failed");
        for step in self.steps(flow) {
            assert!(
                step.state.has_ended() || step.state == RevertFailed,
                "{}",
                step.id
            );
            assert!(step.with.is_none());
        }
        self.assert_first_failure(flow, failure);
    }

    fn assert_first_failure(&self, flow: &Known, failure: &Failure) {
        let first = flow.failed.first().map(|step| &self.known[step]);
        let due = match first.and_then(|step| step.failure.clone()) {
            Some(failure) if !flow.was_canceled => failure,
            _ => Failure::canceled(),
        };
        assert_eq!((failure.code, &failure.message), (due.code, &due.message));
    }

    fn assert_stuck(&self, flow: &Known, failure: &Failure, count: &mut impl FnMut(&'static str)) {
        self.assert_first_failure(flow, failure);
        let stuck = self.steps(flow).filter(|step| step.state == RevertFailed);
        let due: Vec<_> = stuck.map(|step| Value::from(&*step.id)).collect();
        assert!(!due.is_empty() && self.steps(flow).all(|step| step.state != Reverting));
        let told: Value = failure
            .data
            .as_ref()
            .expect("reverts are named")
            .parse()
            .expect("JSON");
        let more = told["moreReverts"].as_u64().unwrap_or(0);
        let told = told["reverts"].as_array().expect("an array").iter();
        let told: Vec<_> = told.map(|told| told["operationId"].clone()).collect();
        let first = &due[..due.len().min(Failure::MOST_TOLD)];
        assert_eq!((&*told, more), (first, (due.len() - first.len()) as u64));
        if due.len() > 1 {
            count("two reverts failed");
        }
    }

    /// Every step that ran is reverted, or named as left as it was.
    fn assert_reverted(
        &self,
        flow: &Known,
        failure: &Failure,
        count: &mut impl FnMut(&'static str),
    ) {
        self.assert_first_failure(flow, failure);
        let left = self
            .steps(flow)
            .filter(|step| step.ran && step.state != Reverted);
        let left: Vec<_> = left
            .map(|step| {
                assert!(!self.is_revertible(step), "{} is not reverted", step.id);
                Value::from(&step.id[flow.id.len() + 1..])
            })
            .collect();
        let data: Option<Value> = failure
            .data
            .as_ref()
            .map(|data| data.parse().expect("JSON"));
        let told = data.and_then(|data| data.get("notReverted").cloned());
        assert_eq!(told, (!left.is_empty()).then(|| Value::from(left.clone())));
        if !left.is_empty() {
            count("a step left as it was");
        }
    }

    /// With nothing left to do by itself, nothing that must be done by now may be undone.
    pub(super) fn assert_nothing_left(&self) {
        for (place, flow) in self.known.iter().filter(|(_, known)| known.is_flow()) {
            let id = &flow.id;
            let some = |state| self.steps(flow).any(|step| step.state == state);
            let works = self.steps(flow).any(|step| step.with.is_some());
            match flow.state {
                Running | Canceling if flow.is_stopping() => {
                    assert!(works && !some(Waiting), "{id} is to be reverted");
                }
                Running => {
                    assert!(
                        !self.steps(flow).all(|step| step.completed),
                        "{id} is complete"
                    );
                    let ready = flow.steps.iter().find(|step| self.could_start(**step));
                    assert!(ready.is_none(), "{ready:?} could start");
                }
                Reverting => {
                    let goes_on = self.steps(flow).any(|step| self.is_to_be_reverted(step));
                    assert!(goes_on, "{id} is stuck or reverted");
                    let due = flow.steps.iter().find(|step| self.could_revert(**step));
                    assert!(due.is_none(), "{due:?} could be reverted");
                }
                RevertFailed => assert!(some(RevertFailed) && !some(Reverting), "{id} goes on"),
                state => assert!(state.has_ended() || !works, "{id} has not begun"),
            }
            assert!(!flow.state.has_ended() || !works, "{place} has ended");
        }
    }

    /// Whether only a mistake keeps a step from starting. Weight is left to others to judge.
    fn could_start(&self, place: Cursor) -> bool {
        let step = &self.known[&place];
        let met = step
            .requires
            .iter()
            .all(|required| self.known[required].completed);
        step.state == Waiting && !step.is_delayed && step.weight == 0 && met && self.has_taker(step)
    }

    fn could_revert(&self, place: Cursor) -> bool {
        let step = &self.known[&place];
        let is_due = step.with.is_none() && self.is_to_be_reverted(step);
        is_due && self.first_to_revert(place).is_none() && self.has_taker(step)
    }

    /// Whether a step of a flow that is being reverted has that still before it, or is at it.
    fn is_to_be_reverted(&self, step: &Known) -> bool {
        step.ran && self.is_revertible(step) && !matches!(step.state, Reverted | RevertFailed)
    }

    fn has_taker(&self, step: &Known) -> bool {
        self.executors.iter().any(|(name, executor)| {
            executor.offers.contains(&step.method)
                && self.carried_by(name) < executor.capacity as usize
        })
    }

    /// A step that required this one, by however many others, and still stands.
    fn first_to_revert(&self, place: Cursor) -> Option<&str> {
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

    fn is_revertible(&self, known: &Known) -> bool {
        self.declared[&known.method].revertible
    }

    fn steps<'a>(&'a self, flow: &'a Known) -> impl Iterator<Item = &'a Known> {
        flow.steps.iter().map(|step| &self.known[step])
    }

    fn with(&self) -> impl Iterator<Item = (&Arc<str>, &Known)> {
        let known = self.known.values();
        known.filter_map(|known| Some((known.with.as_ref()?, known)))
    }

    fn carried_by(&self, executor: &str) -> usize {
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

/// The names of the steps whose results kwargs take.
fn taken(kwargs: &Value) -> Vec<&str> {
    match kwargs {
        Value::Object(members) => match members.get("$result") {
            Some(Value::String(name)) => vec![name],
            _ => members.values().flat_map(taken).collect(),
        },
        Value::Array(values) => values.iter().flat_map(taken).collect(),
        _ => Vec::new(),
    }
}

/// Whether the later of two has to wait for the earlier.
fn conflict(earlier: &[Claim], later: &[Claim]) -> bool {
    earlier.iter().any(|held| {
        let mut new = later.iter().filter(|new| new.resource == held.resource);
        new.any(|new| cell(held.operation, new.operation) != Cell::Accept)
    })
}

/// Of several claims on a resource the strongest counts.
fn strength(operation: ClaimOperation) -> usize {
    let order = [
        ClaimOperation::Read,
        ClaimOperation::Update,
        ClaimOperation::Create,
        ClaimOperation::Delete,
    ];
    let mut order = order.into_iter();
    order
        .position(|known| known == operation)
        .expect("all are listed")
}
