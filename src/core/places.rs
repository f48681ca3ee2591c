//! Places: how an operation comes into the queues, moves on, and leaves them.
//!
//! The order in all queues is that of places. An operation's place is its registration, except that
//! one with a start time gets its place when that has come, and so does who follows one without.

use std::sync::Arc;

use crate::cascade::News;
use crate::conditions::{Outstanding, Revert, Steady};
use crate::event::{Cursor, OperationEvent};
use crate::flow::Phase;
use crate::operation::{Operation, OperationState, Request, Time};
use crate::queue::Turn;
use crate::state::{LastWord, Object, State};

/// What an operation is counted and looked up by, which an event may change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: OperationState,
    held: bool,
    pub(crate) is_revert_due: bool,
    due_at: Option<Time>,
    due: Option<Steady>,
}

impl Standing {
    pub(crate) fn of(operation: &Operation) -> Self {
        Self {
            state: operation.state,
            held: operation.is_held(),
            is_revert_due: operation.revert() == Some(&Revert::Due),
            due_at: operation.due_at(),
            due: operation.timer().map(|timer| timer.due()),
        }
    }

    /// Whether an executor has it.
    pub(crate) fn is_held(self) -> bool {
        self.held
    }

    /// Whether it waits for the delay before its next attempt.
    pub(crate) fn is_delayed(self) -> bool {
        self.state == OperationState::Waiting && self.due.is_some()
    }
}

impl Operation {
    /// Whether an executor has it, to run or to revert it.
    pub(crate) fn is_held(&self) -> bool {
        match self.state {
            OperationState::Running | OperationState::Canceling => !self.is_flow(),
            OperationState::Reverting => self.revert() == Some(&Revert::Held),
            _ => false,
        }
    }

    /// What an executor must offer to carry it out.
    pub(crate) fn method(&self) -> (Arc<str>, u32) {
        let name = self.subject.method_name.clone();
        (name, self.request.version)
    }
}

impl State {
    pub(crate) fn register(&mut self, event: &OperationEvent, request: &Arc<Request>) {
        let mut operation = Operation::registered(event, request);
        self.condition(&mut operation);
        self.count_new(operation.state);
        let subject = &event.subject;
        let object = self
            .objects
            .entry(subject.alert_name.clone())
            .or_insert_with(|| {
                Arc::new(Object {
                    alert_name: subject.alert_name.clone(),
                    operations: 0,
                    running: Vec::new(),
                    last: LastWord {
                        info: event.info.clone(),
                        operation_id: Some(subject.id.clone()),
                        time: request.registered_at,
                    },
                    cursor: 0,
                    published: false,
                    retired: false,
                })
            });
        let object = Arc::make_mut(object);
        if object.retired {
            object.begin_anew(event, request.registered_at);
        }
        object.operations += 1;
        object.cursor = self.head;
        if let Some(parent) = &subject.parent
            && self.operations.contains_key(&parent.sequence)
        {
            let id = subject.id.clone();
            let course = self.operation_mut(parent.sequence).course();
            Arc::make_mut(&mut course.spawned).push(id);
        }
        self.open(operation);
    }

    /// What a new operation waits for beside its claims, and whether it gets a place at once.
    pub(crate) fn condition(&self, operation: &mut Operation) {
        let after = operation.request.after();
        let outstanding: Vec<_> = after
            .iter()
            .filter_map(|earlier| self.operations.get(&earlier.sequence))
            .map(|earlier| Outstanding {
                sequence: earlier.subject.sequence,
                is_placed: self.flow_of(earlier).unwrap_or(earlier).place() != 0,
            })
            .collect();
        let is_placed = operation.state != OperationState::Scheduled
            && outstanding.iter().all(|earlier| earlier.is_placed);
        if !outstanding.is_empty() {
            operation.course().outstanding = outstanding;
        }
        if !is_placed {
            operation.course().place = Some(0);
        }
    }

    /// Takes an operation up, new or from a record: everything by which it is found.
    pub(crate) fn open(&mut self, mut operation: Operation) {
        self.touched += 1;
        let sequence = operation.subject.sequence;
        let place = operation.place();
        let is_placed = place != 0;
        operation.unmet = operation.outstanding().len() as u32
            + u32::from(operation.is_delayed())
            + u32::from(!is_placed)
            // Until all records of a flow are known.
            + u32::from(operation.flow().is_some());
        if is_placed && !operation.is_step() {
            operation.unmet += self.claim(&operation.request, place);
        } else if !is_placed {
            self.unplaced.insert(sequence);
        }
        if is_placed && place != sequence {
            self.moved.insert(place, sequence);
        }
        for earlier in operation.outstanding() {
            self.dependents.insert((earlier.sequence, sequence));
        }
        if let Some(parent) = &operation.subject.parent {
            self.children.insert((parent.sequence, sequence));
        }
        if let Some(course) = &operation.course {
            if course.failed_dependency.is_some() {
                self.doomed.insert(sequence);
            }
            if course.is_cancel_due {
                self.cancels.insert(sequence);
            }
        }
        self.ids.insert(operation.subject.id.clone(), sequence);
        let standing = Standing::of(&operation);
        let (is_ready, weight) = (operation.unmet == 0, operation.request.weight());
        let flow = operation.flow();
        self.operations.insert(sequence, Arc::new(operation));
        self.index(sequence, standing);
        if standing.is_held() {
            self.capacity.take(sequence, weight);
        } else if is_ready && standing.state == OperationState::Waiting {
            self.make_ready(sequence);
        }
        self.note_placeable(sequence);
        if let Some(flow) = flow {
            self.join(flow, sequence);
        }
    }

    /// Claims what a request is for. Returns how many of the claims must wait.
    fn claim(&mut self, request: &Request, place: Cursor) -> u32 {
        let claims = request.claims.iter();
        claims
            .map(|claim| u32::from(self.claims.insert(claim, place)))
            .sum()
    }

    /// The time of a scheduled operation has come, or what it follows has got its place. That is no
    /// alert yet.
    pub(crate) fn place(&mut self, sequence: Cursor) {
        let place = self.head;
        let operation = self.operation_mut(sequence);
        let before = Standing::of(operation);
        operation.state = OperationState::Waiting;
        if operation.is_placeable() {
            operation.course().place = Some(place);
            let request = operation.request.clone();
            let blocked = self.claim(&request, place);
            let operation = self.operation_mut(sequence);
            operation.unmet = operation.unmet - 1 + blocked;
            let is_ready = operation.unmet == 0;
            self.unplaced.remove(&sequence);
            self.placeable.remove(&sequence);
            self.moved.insert(place, sequence);
            if is_ready {
                self.make_ready(sequence);
            }
            self.spread(News::Placed, sequence);
            for step in self.sequences(sequence) {
                self.spread(News::Placed, step);
            }
            self.cascade();
        }
        self.stand(sequence, before);
    }

    /// Takes an operation out that is done. Others hear of it a few at a time ([`State::wake`]).
    pub(crate) fn end(&mut self, sequence: Cursor, time: Time) -> Arc<Operation> {
        let mut operation = self
            .operations
            .remove(&sequence)
            .expect("an open operation ends");
        let place = operation.place();
        let ended = Arc::make_mut(&mut operation);
        ended.finished_at.get_or_insert(time);
        for earlier in ended.outstanding() {
            self.dependents.remove(&(earlier.sequence, sequence));
        }
        if let Some(parent) = &ended.subject.parent {
            self.children.remove(&(parent.sequence, sequence));
        }
        if ended.request.sealed().is_some() {
            Arc::make_mut(&mut ended.request).forget_secrets();
        }
        if let Some(course) = &mut ended.course {
            course.timer = None;
            course.is_cancel_due = false;
            course.outstanding.clear();
            self.unplaced.remove(&sequence);
            self.placeable.remove(&sequence);
            self.doomed.remove(&sequence);
            self.cancels.remove(&sequence);
            self.moved.remove(&place);
        }
        self.ids.remove(&operation.subject.id);
        if !operation.request.has_object {
            self.objects.remove(&operation.subject.alert_name);
        }
        if place != 0 && !operation.is_step() {
            for claim in &operation.request.claims {
                if let Some(next) = self.claims.remove(claim, place) {
                    self.release(next);
                }
            }
        }
        self.spread(News::Ended(operation.state), sequence);
        operation
    }

    /// Releases the next of all that is done a few at a time.
    pub(crate) fn wake(&mut self) {
        if self.claims.has_wakes() {
            for place in self.claims.wake() {
                self.release(place);
            }
        }
        self.cascade();
    }

    /// One claim of the waiting operation at that place is met.
    fn release(&mut self, place: Cursor) {
        let operation = self.claimant(place);
        operation.unmet -= 1;
        if operation.unmet == 0 {
            let sequence = operation.subject.sequence;
            self.make_ready(sequence);
        }
    }

    /// One claim of the waiting operation at that place is not met yet after all.
    pub(crate) fn hold(&mut self, place: Cursor) {
        let operation = self.claimant(place);
        operation.unmet += 1;
        let operation = self.at_place(place).clone();
        self.unready(&operation);
    }

    fn claimant(&mut self, place: Cursor) -> &mut Operation {
        let sequence = self.moved.get(&place).copied().unwrap_or(place);
        self.operation_mut(sequence)
    }

    /// An operation waits for nothing but executor and capacity.
    pub(crate) fn make_ready(&mut self, sequence: Cursor) {
        let operation = &self.operations[&sequence];
        if operation.is_flow() {
            return self.note_flow(sequence);
        }
        let flow = self.flow_of(operation);
        if flow.is_some_and(|flow| flow.phase() != Phase::Forward) {
            return;
        }
        let (turn, weight) = (self.turn(operation), operation.request.weight());
        let queue = self.ready.entry(operation.method()).or_default();
        queue.insert(turn, weight);
    }

    /// Its turn among those that wait for an executor: a step has that of its flow.
    pub(crate) fn turn(&self, operation: &Operation) -> Turn {
        let place = self
            .flow_of(operation)
            .map_or(operation.place(), |flow| flow.place());
        (place, operation.subject.sequence)
    }

    /// An operation waits for something else again, or no longer.
    pub(crate) fn unready(&mut self, operation: &Operation) {
        let (key, turn) = (operation.method(), self.turn(operation));
        if let Some(queue) = self.ready.get_mut(&key) {
            queue.remove(turn);
            if queue.is_empty() {
                self.ready.remove(&key);
            }
        }
        self.capacity.forget(operation.subject.sequence);
    }

    /// Brings in line with an operation what it is counted and looked up by.
    pub(crate) fn stand(&mut self, sequence: Cursor, before: Standing) {
        let operation = self.operations[&sequence].clone();
        let after = Standing::of(&operation);
        if before == after {
            return;
        }
        if before.state != after.state {
            self.count(before.state);
            if !operation.has_left() {
                self.count_new(after.state);
            }
        }
        self.pass_on(&operation, before);
        self.follow_step(&operation, before, after);
        if let Some(time) = before.due_at {
            self.wall.remove(&(time, sequence));
        }
        if let Some(due) = before.due {
            self.timers.remove(&(due, sequence));
        }
        if !after.state.has_ended() {
            self.index(sequence, after);
        }
    }

    /// An operation changes between those that wait and those that an executor has.
    fn pass_on(&mut self, operation: &Operation, before: Standing) {
        let (sequence, weight) = (operation.subject.sequence, operation.request.weight());
        match (before.is_held(), operation.is_held()) {
            (false, true) => {
                self.unready(operation);
                self.capacity.take(sequence, weight);
            }
            (true, false) => {
                self.leave(operation.executor.clone(), sequence);
                self.capacity.give_back(sequence, weight);
                if operation.state == OperationState::Waiting && operation.unmet == 0 {
                    self.make_ready(sequence);
                }
            }
            (false, false) if operation.state.has_ended() => self.unready(operation),
            _ => {}
        }
    }

    fn index(&mut self, sequence: Cursor, standing: Standing) {
        if let Some(time) = standing.due_at {
            self.wall.insert((time, sequence));
        }
        if let Some(due) = standing.due {
            self.timers.insert((due, sequence));
        }
    }
}
