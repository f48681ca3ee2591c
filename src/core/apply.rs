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
        let sequence = event.subject.sequence;
        if let Some(object) = self.objects.get_mut(&event.subject.alert_name) {
            Arc::make_mut(object).follow(event, time, self.head);
        }
        let operation = self
            .operations
            .get_mut(&sequence)
            .expect("an event names an open operation");
        let operation = Arc::make_mut(operation);
        let before = std::mem::replace(&mut operation.state, event.state);
        operation.info = event.info.clone();
        operation.cursor = self.head;
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
                let key = ready_key(operation);
                self.ready.remove(&key);
                self.executor_entry(executor).running.insert(sequence);
            }
            Change::Retrying => {
                operation.interruptions += 1;
                operation.described = false;
                let (key, executor) = (ready_key(operation), operation.executor.clone());
                self.ready.insert(key);
                self.leave(executor, sequence);
            }
            Change::Completed(result) => {
                operation.outcome = Some(Outcome::Completed(result.clone()));
            }
            Change::Failed(failure) => operation.outcome = Some(Outcome::Failed(failure.clone())),
            Change::Canceled(failure) => {
                operation.outcome = Some(Outcome::Canceled(failure.clone()));
            }
        }
        if before != event.state {
            self.count(before, event.state);
        }
        event
            .state
            .is_done()
            .then(|| self.end(sequence, before, time))
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
        let sequence = operation.subject.sequence;
        operation.unmet = operation
            .request
            .claims
            .iter()
            .map(|claim| u32::from(self.claims.insert(claim, sequence)))
            .sum();
        self.ids.insert(operation.subject.id.clone(), sequence);
        if operation.unmet == 0 && operation.state == OperationState::Waiting {
            self.ready.insert(ready_key(&operation));
        }
        self.operations.insert(sequence, Arc::new(operation));
    }

    /// Takes an operation out that has ended, and lets others go on.
    fn end(&mut self, sequence: Cursor, before: OperationState, time: Time) -> Arc<Operation> {
        let mut operation = self
            .operations
            .remove(&sequence)
            .expect("an open operation ends");
        Arc::make_mut(&mut operation).finished_at = Some(time);
        self.ids.remove(&operation.subject.id);
        if before == OperationState::Waiting {
            self.ready.remove(&ready_key(&operation));
        } else {
            self.leave(operation.executor.clone(), sequence);
        }
        if !operation.request.has_object {
            self.objects.remove(&operation.subject.alert_name);
        }
        for claim in &operation.request.claims {
            if let Some(next) = self.claims.remove(claim, sequence) {
                self.release(next);
            }
        }
        self.wake();
        operation
    }

    /// Releases the next reads of a mass wake-up.
    fn wake(&mut self) {
        if self.claims.has_wakes() {
            for sequence in self.claims.wake() {
                self.release(sequence);
            }
        }
    }

    /// One claim of a waiting operation is met.
    fn release(&mut self, sequence: Cursor) {
        let operation = self.claimant(sequence);
        operation.unmet -= 1;
        if operation.unmet == 0 {
            let key = ready_key(operation);
            self.ready.insert(key);
        }
    }

    /// One claim of a waiting operation is not met yet after all.
    fn hold(&mut self, sequence: Cursor) {
        let operation = self.claimant(sequence);
        operation.unmet += 1;
        let key = ready_key(operation);
        self.ready.remove(&key);
    }

    fn claimant(&mut self, sequence: Cursor) -> &mut Operation {
        let operation = self.operations.get_mut(&sequence);
        Arc::make_mut(operation.expect("a claim belongs to an operation"))
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
    fn leave(&mut self, executor: Option<Arc<str>>, sequence: Cursor) {
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

impl Object {
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
        } else if event.state.is_done() {
            self.last = LastWord {
                info: event.info.clone(),
                operation_id: subject.id.clone(),
                time,
            };
        }
    }
}

/// The key of an operation among those that wait for nothing but an executor.
fn ready_key(operation: &Operation) -> (Arc<str>, u32, Cursor) {
    (
        operation.subject.method_name.clone(),
        operation.request.version,
        operation.subject.sequence,
    )
}
