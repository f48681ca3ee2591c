//! Applying: an event changes the state. Live running, recovery and tests all go through here.
//!
//! Applying is total: an event that was decided on this state always fits, and one that does not
//! is a broken log, which stops the process.

use std::sync::Arc;

use crate::checkpoint::Record;
use crate::claims::Wake;
use crate::event::{Change, Cursor, Event, EventBody, OperationEvent, Purged};
use crate::operation::{Operation, OperationState, Outcome, Request, Time};
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
            } => {
                let known = self.executor_entry(executor);
                known.attached = true;
                known.capacity = *capacity;
                known.offers.clone_from(offers);
            }
            EventBody::ExecutorDetached { executor } => {
                self.executor_entry(executor).attached = false;
                self.forget_idle(executor);
            }
            EventBody::WakeContinued => self.wake(),
            EventBody::Purged { operations } => self.purge(operations),
        }
        None
    }

    fn apply_operation(&mut self, event: &OperationEvent, time: Time) -> Option<Arc<Operation>> {
        if let Change::Registered(request) = &event.change {
            self.register(event, request);
            return None;
        }
        let place = event.subject.sequence;
        let cursor = self.head;
        let before = self
            .operations
            .get(&place)
            .expect("an event names an open operation");
        let (state_before, executor_before) = (before.state, before.executor.clone());
        self.count(state_before, event.state);
        if let Some(object) = self.objects.get_mut(&event.subject.alert_name) {
            Arc::make_mut(object).cursor = cursor;
        }
        let operation = self
            .operations
            .get_mut(&place)
            .expect("it was there just now");
        let operation = Arc::make_mut(operation);
        operation.state = event.state;
        operation.info = event.info.clone();
        operation.cursor = cursor;
        operation.updated_at = time;
        match &event.change {
            Change::Registered(_) | Change::Postponed => {}
            // The daemon's word took the place of the executor's.
            Change::CancelRequested => operation.described = false,
            Change::Progressed { described } => operation.described = *described,
            Change::ErrorRecorded(error) => operation.non_fatal_errors.push(error.clone()),
            Change::Started { attempt, executor } => {
                operation.attempt = *attempt;
                operation.executor = Some(executor.clone());
                operation.started_at.get_or_insert(time);
                self.start(event, executor);
            }
            Change::Retrying => {
                operation.interruptions += 1;
                operation.described = false;
                self.leave(executor_before, place);
                self.make_ready(place);
            }
            Change::Completed(result) => {
                return Some(self.end(place, Outcome::Completed(result.clone()), time));
            }
            Change::Failed(failure) => {
                return Some(self.end(place, Outcome::Failed(failure.clone()), time));
            }
            Change::Canceled(failure) => {
                return Some(self.end(place, Outcome::Canceled(failure.clone()), time));
            }
        }
        None
    }

    fn register(&mut self, event: &OperationEvent, request: &Arc<Request>) {
        let operation = Operation::registered(event, request);
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
                        operation_id: subject.id.clone(),
                        time: request.registered_at,
                    },
                    cursor: 0,
                })
            });
        let object = Arc::make_mut(object);
        object.operations += 1;
        object.cursor = self.head;
        self.open(operation);
    }

    /// Takes an operation up: its id, its claims, and its place among the ready ones.
    fn open(&mut self, mut operation: Operation) {
        let place = operation.subject.sequence;
        operation.unmet = operation
            .request
            .claims
            .iter()
            .map(|claim| u32::from(self.claims.insert(claim, place)))
            .sum();
        self.ids.insert(operation.subject.id.clone(), place);
        let ready = operation.unmet == 0 && operation.state == OperationState::Waiting;
        self.operations.insert(place, Arc::new(operation));
        if ready {
            self.make_ready(place);
        }
    }

    fn start(&mut self, event: &OperationEvent, executor: &Arc<str>) {
        let place = event.subject.sequence;
        self.make_unready(place);
        self.executor_entry(executor).running.insert(place);
        if let Some(object) = self.objects.get_mut(&event.subject.alert_name) {
            let running = &mut Arc::make_mut(object).running;
            running.retain(|other| *other != place);
            running.push(place);
        }
    }

    fn end(&mut self, place: Cursor, outcome: Outcome, time: Time) -> Arc<Operation> {
        self.make_unready(place);
        let mut operation = self
            .operations
            .remove(&place)
            .expect("an open operation ends");
        let record = Arc::make_mut(&mut operation);
        record.outcome = Some(outcome);
        record.finished_at = Some(time);
        self.ids.remove(&operation.subject.id);
        self.leave(operation.executor.clone(), place);
        self.end_on_object(&operation, time);
        for claim in &operation.request.claims {
            if let Some(next) = self.claims.remove(claim, place) {
                self.release(next);
            }
        }
        self.wake();
        operation
    }

    fn end_on_object(&mut self, operation: &Operation, time: Time) {
        let subject = &operation.subject;
        if !operation.request.has_object {
            self.objects.remove(&subject.alert_name);
        } else if let Some(object) = self.objects.get_mut(&subject.alert_name) {
            let object = Arc::make_mut(object);
            object.running.retain(|other| *other != subject.sequence);
            object.last = LastWord {
                info: operation.info.clone(),
                operation_id: subject.id.clone(),
                time,
            };
        }
    }

    /// Releases the next reads of a mass wake-up.
    fn wake(&mut self) {
        if self.claims.has_wakes() {
            for place in self.claims.wake() {
                self.release(place);
            }
        }
    }

    /// One claim of a waiting operation is met.
    fn release(&mut self, place: Cursor) {
        let operation = self
            .operations
            .get_mut(&place)
            .expect("a claim belongs to an operation");
        let operation = Arc::make_mut(operation);
        operation.unmet -= 1;
        if operation.unmet == 0 {
            self.make_ready(place);
        }
    }

    /// One claim of a waiting operation is not met yet after all.
    fn hold(&mut self, sequence: Cursor) {
        self.make_unready(sequence);
        let operation = self
            .operations
            .get_mut(&sequence)
            .expect("a claim belongs to an operation");
        Arc::make_mut(operation).unmet += 1;
    }

    fn make_ready(&mut self, place: Cursor) {
        let key = self.ready_key(place);
        self.ready.insert(key);
    }

    fn make_unready(&mut self, place: Cursor) {
        let key = self.ready_key(place);
        self.ready.remove(&key);
    }

    fn ready_key(&self, place: Cursor) -> (Arc<str>, u32, Cursor) {
        let operation = &self.operations[&place];
        (
            operation.subject.method_name.clone(),
            operation.request.version,
            place,
        )
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
            })
    }

    /// The operation is not carried out any more by the executor that had it.
    fn leave(&mut self, executor: Option<Arc<str>>, place: Cursor) {
        if let Some(name) = executor {
            self.executor_entry(&name).running.remove(&place);
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

    fn purge(&mut self, operations: &[Purged]) {
        for purged in operations {
            let Some(object) = self.objects.get_mut(&purged.alert_name) else {
                continue;
            };
            let object = Arc::make_mut(object);
            object.operations -= 1;
            if object.operations == 0 {
                self.objects.remove(&purged.alert_name);
            }
        }
    }

    fn count(&mut self, before: OperationState, after: OperationState) {
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

    fn count_new(&mut self, state: OperationState) {
        *self.counts.entry(state).or_default() += 1;
    }

    /// The state as a stream of records, each of which stands for itself.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let wakes = self.claims.wakes().map(|wake| Record::Wake {
            resource: wake.resource.clone(),
            after: wake.after,
            until: wake.until,
        });
        std::iter::once(Record::Head(self.head))
            .chain(self.declarations.values().cloned().map(Record::Declaration))
            .chain(self.executors.values().cloned().map(Record::Executor))
            .chain(self.objects.values().cloned().map(Record::Object))
            .chain(self.operations.values().cloned().map(Record::Operation))
            .chain(wakes)
    }

    /// Takes over one record of a checkpoint; they come in the order of [`State::records`].
    pub fn restore(&mut self, record: Record) {
        match record {
            Record::Head(head) => self.head = head,
            Record::Declaration(declaration) => {
                let key = (declaration.name.clone(), declaration.version);
                self.declarations.insert(key, declaration);
            }
            Record::Executor(executor) => {
                self.executors.insert(executor.name.clone(), executor);
            }
            Record::Object(object) => {
                self.objects.insert(object.alert_name.clone(), object);
            }
            Record::Operation(operation) => {
                self.count_new(operation.state);
                self.open(Arc::unwrap_or_clone(operation));
            }
            Record::Wake {
                resource,
                after,
                until,
            } => {
                let wake = Wake {
                    resource,
                    after,
                    until,
                };
                for sequence in self.claims.restore_wake(wake) {
                    self.hold(sequence);
                }
            }
        }
    }
}
