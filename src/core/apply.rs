//! Applying: an event changes the state. Live running, recovery and tests all go through here.
//!
//! Applying is total: an event that was decided on this state always fits, and one that does not
//! is a broken log, which stops the process.

use std::sync::Arc;

use crate::cascade::News;
use crate::conditions::{Steady, Timer};
use crate::event::{Change, Cursor, Event, EventBody, OperationEvent, Purged};
use crate::operation::{Operation, OperationInfo, OperationState, Outcome, Time};
use crate::places::Standing;
use crate::state::{Executor, LastWord, Object, State};

impl State {
    /// Applies the event behind the head. Returns the operation that it ended, if it did: the state
    /// has forgotten it.
    pub fn apply(&mut self, event: &Event) -> Option<Arc<Operation>> {
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
                let place = |sequence: Cursor| (sequence, self.operations[&sequence].place());
                self.capacity.reserve(sequence.map(place));
            }
            EventBody::Placed { sequence } => self.place(*sequence),
            EventBody::DelayPassed { sequence } => self.end_delay(*sequence),
            EventBody::ObjectPublished { alert_name, info } => {
                self.publish(alert_name, info, event.time);
            }
            EventBody::ObjectRetired { alert_name, .. } => self.retire(alert_name),
            EventBody::Purged { operations } => self.purge(operations),
        }
        None
    }

    fn apply_operation(&mut self, event: &OperationEvent, time: Time) -> Option<Arc<Operation>> {
        if let Change::Registered(request) = &event.change {
            self.register(event, request);
            return None;
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
        if event.state.is_done() {
            if matches!(event.change, Change::Canceled(_)) && !before.is_held() {
                self.spread(News::Canceled, sequence);
            }
            // Nobody tells it any more: what is told in turns goes on when it is gone.
            return Some(self.end(sequence, time));
        }
        if matches!(event.change, Change::CancelRequested) {
            self.spread(News::Canceled, sequence);
            self.cascade();
        }
        None
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
                self.set_timer(sequence, *timeout);
                self.executor_entry(executor).running.insert(sequence);
            }
            Change::Retrying => {
                operation.interruptions += 1;
                operation.described = false;
                self.set_timer(sequence, None);
            }
            Change::AttemptFailed { delay, .. } => {
                operation.described = false;
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
        }
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

    pub(crate) fn count(&mut self, before: OperationState, after: OperationState) {
        if let Some(count) = self.counts.get_mut(&before) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&before);
            }
        }
        if !after.is_done() {
            self.count_new(after);
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
        let started = matches!(event.change, Change::Started { .. });
        if started || event.state.is_done() {
            self.running.retain(|other| *other != subject.sequence);
        }
        if started {
            self.running.push(subject.sequence);
            self.retired = false;
        } else if event.state.is_done() {
            self.last = LastWord {
                info: event.info.clone(),
                operation_id: Some(subject.id.clone()),
                time,
            };
        }
    }
}
