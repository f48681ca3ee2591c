//! Applying: an event changes the state. Live running, recovery and tests all go through here.
//!
//! Applying is total: an event that was decided on this state always fits, and one that does not
//! is a broken log, which stops the process.

use std::sync::Arc;

use crate::cascade::News;
use crate::conditions::{Revert, Steady, Timer};
use crate::event::{Change, Cursor, Event, EventBody, OperationEvent, Purged};
use crate::operation::{Operation, OperationInfo, OperationState, Outcome, Time};
use crate::places::Standing;
use crate::state::{Executor, LastWord, Object, State};

impl State {
    /// Applies the event behind the head. Returns the operations that are done with it, a flow
    /// behind its steps: the state has forgotten them.
    pub fn apply(&mut self, event: &Event) -> Vec<Arc<Operation>> {
        self.head += 1;
        match &event.body {
            EventBody::Operation(body) => return self.apply_operation(body, event.time),
            EventBody::MethodDeclared(declaration) => {
                let key = (declaration.name.clone(), declaration.version);
                self.declarations.insert(key, declaration.clone());
            }
            EventBody::ExecutorAttached {
                executor,
                capacity,
                offers,
            } => self.attach(executor, *capacity, offers),
            EventBody::ExecutorDetached { executor, kept } => self.detach(executor, *kept),
            EventBody::WakeContinued => self.wake(),
            EventBody::CapacitySet { capacity } => self.capacity.resize(*capacity),
            EventBody::CapacityReserved { sequence } => {
                let turn = |sequence: Cursor| self.turn(&self.operations[&sequence]);
                self.capacity.reserve(sequence.map(turn));
            }
            EventBody::Placed { sequence } => self.place(*sequence),
            EventBody::DelayPassed { sequence } => self.end_delay(*sequence),
            EventBody::ObjectPublished { alert_name, info } => {
                self.publish(alert_name, info, event.time);
            }
            EventBody::ObjectRetired { alert_name, .. } => self.retire(alert_name),
            EventBody::Purged { operations } => self.purge(operations),
        }
        Vec::new()
    }

    fn apply_operation(&mut self, event: &OperationEvent, time: Time) -> Vec<Arc<Operation>> {
        if let Change::Registered(request) = &event.change {
            self.register(event, request);
            return Vec::new();
        }
        let sequence = event.subject.sequence;
        if let Some(object) = self.objects.get_mut(&event.subject.alert_name) {
            Arc::make_mut(object).follow(event, time, self.head);
        }
        let head = self.head;
        let operation = self.operation_mut(sequence);
        let before = Standing::of(operation);
        operation.state = event.state;
        operation.info = event.info.clone();
        operation.cursor = head;
        operation.updated_at = time;
        self.change(sequence, &event.change, time);
        self.stand(sequence, before);
        let operation = &self.operations[&sequence];
        let flow = operation.flow();
        if event.state.has_ended() && !operation.is_step() {
            if matches!(event.change, Change::Canceled(_)) && !before.is_held() {
                self.spread(News::Canceled, sequence);
            }
            // Nobody tells it any more: what is told in turns goes on when it is gone.
            return self.end_all(sequence, time);
        }
        if matches!(event.change, Change::CancelRequested) {
            self.spread(News::Canceled, sequence);
            self.cascade();
        }
        if let Some(flow) = flow {
            self.note_flow(flow);
        }
        Vec::new()
    }

    /// Takes an operation out that is done, and with a flow its steps.
    fn end_all(&mut self, sequence: Cursor, time: Time) -> Vec<Arc<Operation>> {
        let steps = self.sequences(sequence);
        if !steps.is_empty() {
            self.forget_flow(sequence);
        }
        let mut ended = Vec::with_capacity(steps.clone().count() + 1);
        for step in steps {
            let operation = self.operation_mut(step);
            operation.course().flow_is_done = true;
            let state = operation.state;
            self.count(state);
            ended.push(self.end(step, time));
        }
        ended.push(self.end(sequence, time));
        self.wake();
        ended
    }

    /// What an event does to the operation itself.
    fn change(&mut self, sequence: Cursor, change: &Change, time: Time) {
        let operation = self.operation_mut(sequence);
        match change {
            Change::Registered(_) | Change::Postponed => {}
            // The daemon's word took the place of the executor's.
            Change::CancelRequested => {
                operation.described = false;
                if let Some(course) = &mut operation.course {
                    course.is_cancel_due = false;
                }
                self.cancels.remove(&sequence);
                if self.operations[&sequence].is_flow() {
                    self.stop_flow(sequence);
                }
            }
            Change::Progressed { described } => operation.described = *described,
            Change::ErrorRecorded(error) => operation.non_fatal_errors.push(error.clone()),
            Change::Started {
                attempt,
                executor,
                timeout,
            } => {
                operation.attempt = *attempt;
                operation.executor = Some(executor.clone());
                operation.started_at.get_or_insert(time);
                let failed = operation.course.as_ref();
                if failed.is_some_and(|course| course.failure.is_some()) {
                    operation.course().failure = None;
                }
                self.set_timer(sequence, *timeout);
                self.executor_entry(executor).running.insert(sequence);
            }
            Change::Retrying => {
                operation.described = false;
                if operation.state == OperationState::Reverting {
                    operation.course().revert = Some(Revert::Due);
                } else {
                    operation.interruptions += 1;
                }
                self.set_timer(sequence, None);
            }
            Change::AttemptFailed { failure, delay } => {
                operation.described = false;
                if operation.is_step() {
                    operation.course().failure = Some(failure.clone());
                }
                operation.unmet += 1;
                self.set_timer(sequence, Some(*delay));
            }
            Change::Completed(result) => {
                operation.outcome = Some(Outcome::Completed(result.clone()));
            }
            Change::Failed(failure) => operation.outcome = Some(Outcome::Failed(failure.clone())),
            Change::Canceled(failure) => {
                operation.outcome = Some(Outcome::Canceled(failure.clone()));
            }
            Change::Skipped(failure) => {
                operation.outcome = Some(Outcome::Skipped(failure.clone()));
            }
            Change::FlowStarted
            | Change::FlowReverting(_)
            | Change::FlowRevertFailed(_)
            | Change::FlowReverted(_) => self.change_flow(sequence, change, time),
            Change::Reverting { .. }
            | Change::RevertFailed(_)
            | Change::RevertRetried
            | Change::Reverted => self.change_revert(sequence, change),
        }
        let operation = &self.operations[&sequence];
        if operation.is_step() {
            let has_ended = operation.state.has_ended();
            self.operation_mut(sequence).finished_at = has_ended.then_some(time);
            if has_ended {
                self.set_timer(sequence, None);
            }
        }
    }

    /// What happens to a flow as such.
    fn change_flow(&mut self, sequence: Cursor, change: &Change, time: Time) {
        let operation = self.operation_mut(sequence);
        match change {
            Change::FlowStarted => {
                operation.attempt = 1;
                operation.started_at = Some(time);
                self.begin_flow(sequence);
            }
            Change::FlowReverting(failure) => {
                let is_first = operation
                    .course()
                    .failure
                    .replace(failure.clone())
                    .is_none();
                if is_first {
                    self.turn_back(sequence);
                }
            }
            Change::FlowRevertFailed(failure) => operation.course().failure = Some(failure.clone()),
            Change::FlowReverted(failure) => {
                operation.course().failure = None;
                operation.outcome = Some(Outcome::Reverted(failure.clone()));
            }
            _ => {}
        }
    }

    /// What happens to the revert of a step.
    fn change_revert(&mut self, sequence: Cursor, change: &Change) {
        let operation = self.operation_mut(sequence);
        operation.described = false;
        let revert = match change {
            Change::Reverting {
                attempt,
                executor,
                timeout,
            } => {
                operation.attempt = *attempt;
                operation.executor = Some(executor.clone());
                self.set_timer(sequence, *timeout);
                self.executor_entry(executor).running.insert(sequence);
                Revert::Held
            }
            Change::RevertFailed(failure) => {
                self.set_timer(sequence, None);
                Revert::Failed(failure.clone())
            }
            Change::RevertRetried => Revert::Due,
            _ => Revert::Done,
        };
        self.operation_mut(sequence).course().revert = Some(revert);
    }

    /// An operation waits for this on the steady clock from here on, or for nothing.
    fn set_timer(&mut self, sequence: Cursor, timer: Option<Timer>) {
        self.steady = self
            .steady
            .max(timer.map_or(Steady(0), |timer| timer.since));
        let operation = self.operation_mut(sequence);
        if timer.is_some() || operation.course.is_some() {
            operation.course().timer = timer;
        }
    }

    /// The delay before the next attempt of an operation is over.
    fn end_delay(&mut self, sequence: Cursor) {
        let before = Standing::of(&self.operations[&sequence]);
        self.set_timer(sequence, None);
        let operation = self.operation_mut(sequence);
        operation.unmet -= 1;
        if operation.unmet == 0 {
            self.make_ready(sequence);
        }
        self.stand(sequence, before);
    }

    fn attach(&mut self, executor: &Arc<str>, capacity: u32, offers: &[(Arc<str>, u32)]) {
        let known = self.executor_entry(executor);
        known.attached = true;
        known.kept = None;
        known.capacity = capacity;
        known.offers = offers.to_vec();
    }

    fn detach(&mut self, executor: &Arc<str>, kept: Option<Timer>) {
        self.steady = self.steady.max(kept.map_or(Steady(0), |timer| timer.since));
        let known = self.executor_entry(executor);
        known.attached = false;
        known.kept = kept;
        self.forget_idle(executor);
    }

    fn executor_entry(&mut self, name: &Arc<str>) -> &mut Executor {
        self.executors
            .entry(name.clone())
            .or_insert_with(|| Executor {
                name: name.clone(),
                attached: false,
                capacity: 0,
                offers: Vec::new(),
                running: std::collections::BTreeSet::new(),
                kept: None,
            })
    }

    /// The operation is not carried out any more by the executor that had it.
    pub(crate) fn leave(&mut self, executor: Option<Arc<str>>, sequence: Cursor) {
        if let Some(name) = executor {
            self.executor_entry(&name).running.remove(&sequence);
            self.forget_idle(&name);
        }
    }

    /// An executor that is away and has nothing unfinished is forgotten.
    fn forget_idle(&mut self, name: &Arc<str>) {
        let idle = |known: &Executor| !known.attached && known.running.is_empty();
        if self.executors.get(name).is_some_and(idle) {
            self.executors.remove(name);
        }
    }

    fn publish(&mut self, alert_name: &Arc<str>, info: &Arc<OperationInfo>, time: Time) {
        let last = LastWord {
            info: info.clone(),
            operation_id: None,
            time,
        };
        let cursor = self.head;
        let object = self.objects.entry(alert_name.clone()).or_insert_with(|| {
            Arc::new(Object {
                alert_name: alert_name.clone(),
                operations: 0,
                running: Vec::new(),
                last: last.clone(),
                cursor,
                published: true,
                retired: false,
            })
        });
        let object = Arc::make_mut(object);
        (object.last, object.cursor) = (last, cursor);
        (object.published, object.retired) = (true, false);
    }

    /// The object is kept as long as operations on it are, whose records name it.
    fn retire(&mut self, alert_name: &Arc<str>) {
        let cursor = self.head;
        let Some(object) = self.objects.get_mut(alert_name) else {
            return;
        };
        let object = Arc::make_mut(object);
        object.cursor = cursor;
        (object.published, object.retired) = (false, true);
        if object.operations == 0 {
            self.objects.remove(alert_name);
        }
    }

    fn purge(&mut self, operations: &[Purged]) {
        for purged in operations {
            let Some(object) = self.objects.get_mut(&purged.alert_name) else {
                continue;
            };
            let object = Arc::make_mut(object);
            object.operations -= 1;
            if object.operations == 0 && !object.published {
                self.objects.remove(&purged.alert_name);
            }
        }
    }

    /// One operation less is in that state.
    pub(crate) fn count(&mut self, before: OperationState) {
        if let Some(count) = self.counts.get_mut(&before) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&before);
            }
        }
    }

    pub(crate) fn count_new(&mut self, state: OperationState) {
        *self.counts.entry(state).or_default() += 1;
    }
}

impl Object {
    /// It was retired, and an operation on it is registered.
    pub(crate) fn begin_anew(&mut self, event: &OperationEvent, time: Time) {
        self.retired = false;
        self.last = LastWord {
            info: event.info.clone(),
            operation_id: Some(event.subject.id.clone()),
            time,
        };
    }

    /// Follows what happens to an operation on it.
    fn follow(&mut self, event: &OperationEvent, time: Time, cursor: Cursor) {
        let subject = &event.subject;
        self.cursor = cursor;
        let started = matches!(
            event.change,
            Change::Started { .. } | Change::FlowStarted | Change::Reverting { .. }
        );
        let is_over = event.state.has_ended() || event.state == OperationState::RevertFailed;
        if started || is_over {
            self.running.retain(|other| *other != subject.sequence);
        }
        if started {
            self.running.push(subject.sequence);
            self.retired = false;
        } else if is_over {
            self.last = LastWord {
                info: event.info.clone(),
                operation_id: Some(subject.id.clone()),
                time,
            };
        }
    }
}
