//! The judge: compares what the core did with what the model says it must do, and lets the model
//! follow. Any difference is a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use opstead_core::{
    Change, Cursor, Event, EventBody, Executed, Failure, Limits, Moment, OnInterrupt,
    OperationEvent, OperationState, Order, Reason, Refusal, Register, Reply, State, Verdict,
};

use super::model::{Cell, Expected, Model, ModelExecutor, ModelOperation, cell};
use OperationState::{Canceled, Canceling, Completed, Failed, Running, Waiting};

/// What an order must lead to, before anything is started by it.
enum Due {
    /// These events, in words, and the places they happen to.
    Events(Vec<(&'static str, Cursor)>),
    Refused(Refusal),
    /// Refused as invalid, whatever the faults.
    Invalid,
    /// Progress is told or put off; both are fine.
    Progress(Cursor),
    /// The rest of a mass wake-up, if there is one.
    Wake,
}

/// Judges one order.
pub(crate) struct Judge<'a> {
    pub model: &'a mut Model,
    pub limits: Limits,
    pub now: Moment,
    /// The cursor of the first event, and whether nothing was left to do before.
    pub first: Cursor,
    pub was_settled: bool,
}

impl Judge<'_> {
    /// Compares, and lets the model follow.
    pub(crate) fn judge(
        mut self,
        order: &Order,
        result: &Result<Executed, Refusal>,
        state: &State,
    ) {
        if let Order::Register(register) = order {
            return self.judge_register(register, result, state);
        }
        let due = self.due(order);
        let executed = match (&due, result) {
            (Due::Refused(due), Err(refusal)) => return assert_eq!(due, refusal),
            (Due::Invalid, Err(Refusal::Invalid { .. })) => return,
            (_, Ok(executed)) => executed,
            (_, Err(refusal)) => panic!("refused without need: {refusal:?}"),
        };
        let told: Vec<_> = executed.events.iter().filter_map(told).collect();
        match due {
            Due::Events(due) => assert_eq!(due, told),
            Due::Progress(place) => assert!(told.is_empty() || told == [("progress", place)]),
            Due::Wake => assert!(told.is_empty()),
            Due::Refused(due) => panic!("not refused: {due:?}"),
            Due::Invalid => panic!("not refused as invalid"),
        }
        self.follow(&executed.events, 0, state);
        if let (
            Order::Attach {
                capacity,
                executor,
                declarations,
                ..
            },
            model,
        ) = (order, self.model)
        {
            let offers = declarations
                .iter()
                .map(|method| (method.name.clone(), method.version));
            let offers: Vec<_> = offers.collect();
            let known = model.executors.iter().find(|known| known.name == *executor);
            let known = known.expect("it has attached");
            assert!(known.capacity == *capacity && known.offers == offers);
        }
    }

    fn due(&self, order: &Order) -> Due {
        match order {
            Order::Register(_) => unreachable!("judged by itself"),
            Order::Cancel { id, .. } => self.due_cancel(id),
            Order::Update { lease, .. }
            | Order::RecordError { lease, .. }
            | Order::End { lease, .. }
                if !self.model.lease_holds(*lease) =>
            {
                Due::Refused(Refusal::StaleLease)
            }
            Order::Update { update, .. } if update.check().is_err() => Due::Invalid,
            Order::Update { lease, .. } => Due::Progress(lease.sequence),
            Order::RecordError { lease, .. } => {
                let known = self
                    .model
                    .open
                    .iter()
                    .find(|known| known.sequence == lease.sequence);
                let limit = self.limits.non_fatal_errors;
                if known.expect("the lease holds").errors >= limit {
                    let what = "non-fatal errors of one operation";
                    return Due::Refused(Refusal::LimitReached { what, limit });
                }
                Due::Events(vec![("error", lease.sequence)])
            }
            Order::End { update, .. } if update.check().is_err() => Due::Invalid,
            Order::End { lease, verdict, .. } => {
                let known = self
                    .model
                    .open
                    .iter()
                    .find(|known| known.sequence == lease.sequence);
                let canceling = known.expect("the lease holds").state == Canceling;
                let word = match verdict {
                    Verdict::Completed(_) => "completed",
                    Verdict::Failed(failure) if failure.code == Failure::CANCELED && canceling => {
                        "canceled"
                    }
                    Verdict::Failed(_) => "failed",
                };
                Due::Events(vec![(word, lease.sequence)])
            }
            Order::Attach { executor, .. } | Order::Detach { executor, .. } => {
                Due::Events(self.due_interruptions(executor))
            }
            Order::Continue => Due::Wake,
            Order::SetCapacity { .. }
            | Order::Resize { .. }
            | Order::Publish { .. }
            | Order::Retire { .. } => Due::Events(Vec::new()),
            Order::Purge { .. } => Due::Events(Vec::new()),
        }
    }

    fn due_cancel(&self, id: &Arc<str>) -> Due {
        let Some(known) = self.model.known(id) else {
            return Due::Refused(Refusal::OperationNotFound { id: id.clone() });
        };
        match known.state {
            Waiting => Due::Events(vec![("canceled", known.sequence)]),
            Running if known.cancelable => Due::Events(vec![("canceling", known.sequence)]),
            Running => Due::Refused(Refusal::NotCancelable {
                method_name: known.method.clone(),
            }),
            Canceling | Canceled => Due::Events(Vec::new()),
            state => Due::Refused(Refusal::OperationEnded { state }),
        }
    }

    fn due_interruptions(&self, executor: &str) -> Vec<(&'static str, Cursor)> {
        let lost =
            self.model.open.iter().filter(|known| {
                known.state != Waiting && known.executor.as_deref() == Some(executor)
            });
        let due = lost.map(|known| {
            let word = match (known.state, known.on_interrupt) {
                (Canceling, _) => "canceled",
                (_, OnInterrupt::Retry) if known.interruptions < 4 => "retrying",
                _ => "failed",
            };
            (word, known.sequence)
        });
        due.collect()
    }

    fn judge_register(
        mut self,
        register: &Register,
        result: &Result<Executed, Refusal>,
        state: &State,
    ) {
        let expected = self.model.judge(register, &self.limits, self.first);
        let (executed, registration) = match (&expected, result) {
            (Expected::Refused(due), Err(refusal)) => return assert_eq!(due, refusal),
            (_, Ok(executed)) => match &executed.reply {
                Reply::Registered(registration) => (executed, registration),
                other => panic!("a registration is answered with {other:?}"),
            },
            (_, Err(refusal)) => panic!("refused without need: {refusal:?}"),
        };
        match expected {
            Expected::Refused(due) => panic!("not refused: {due:?}"),
            Expected::Existing(sequence) => {
                assert!(registration.existing && executed.events.is_empty());
                assert_eq!(registration.cursor, sequence);
            }
            Expected::New(operation) => {
                assert!(!registration.existing);
                assert_eq!(registration.cursor, self.first);
                let id = operation.id.clone();
                let head = &executed.events[0].body;
                let EventBody::Operation(event) = head else {
                    panic!("a registration begins with {head:?}");
                };
                let Change::Registered(request) = &event.change else {
                    panic!("a registration begins with {event:?}");
                };
                assert_eq!(
                    (&event.subject.id, event.subject.sequence),
                    (&id, self.first)
                );
                assert_eq!(event.subject.alert_name, operation.alert_name);
                assert_eq!(request.claims, operation.claims);
                assert_eq!(request.version, operation.version);
                let due = self.model.reasons(&operation);
                self.model.open.push(*operation);
                let started = executed.events.len() == 2 && told(&executed.events[1]).is_none();
                assert!(started || told(&executed.events[1]) == Some(("postponed", self.first)));
                // Behind a wake-up that is not finished a new one may have to take its turn.
                assert!(
                    started == due.is_empty() || (!started && !self.was_settled),
                    "{due:?}"
                );
                self.follow(&executed.events[1..], 1, state);
            }
        }
        let known = self
            .model
            .known(&registration.id)
            .expect("it is registered");
        assert_eq!(registration.state, known.state);
        assert_eq!(registration.alert_name, known.alert_name);
        assert_reasons(
            &self.model.reasons(known),
            &registration.reasons,
            state,
            self.now,
        );
    }

    /// The model goes through the events, the first of which is the order's event `from`.
    fn follow(&mut self, events: &[Event], from: u64, state: &State) {
        let orderly = self.was_settled && state.is_settled(self.now);
        for (cursor, event) in (self.first + from..).zip(events) {
            match &event.body {
                EventBody::Operation(event) => self.happen(cursor, event, orderly),
                EventBody::MethodDeclared(method) => {
                    let key = (method.name.clone(), method.version);
                    let before = self.model.declarations.insert(key, method.clone());
                    assert_ne!(before.as_ref(), Some(method), "declared without need");
                }
                EventBody::ExecutorAttached {
                    executor,
                    capacity,
                    offers,
                } => {
                    self.model.executors.retain(|known| known.name != *executor);
                    self.model.executors.push(ModelExecutor {
                        name: executor.clone(),
                        capacity: *capacity,
                        offers: offers.clone(),
                    });
                    self.model.executors.sort_by_key(|known| known.name.clone());
                }
                EventBody::ExecutorDetached { executor, .. } => {
                    self.model.executors.retain(|known| known.name != *executor);
                }
                EventBody::WakeContinued => assert!(!self.was_settled),
                EventBody::CapacitySet { .. }
                | EventBody::CapacityReserved { .. }
                | EventBody::Placed { .. }
                | EventBody::DelayPassed { .. }
                | EventBody::ObjectPublished { .. }
                | EventBody::ObjectRetired { .. } => {}
                EventBody::Purged { operations } => {
                    for purged in operations {
                        self.model.purge(purged.sequence);
                    }
                }
            }
        }
    }

    fn happen(&mut self, cursor: Cursor, event: &OperationEvent, orderly: bool) {
        let place = event.subject.sequence;
        if let Change::Started {
            attempt, executor, ..
        } = &event.change
        {
            self.check_start(place, *attempt, executor, orderly);
        }
        let known = self.model.operation(place);
        assert_eq!(known.id, event.subject.id);
        let allowed: &[OperationState] = match &event.change {
            Change::Registered(_) => &[],
            Change::Postponed | Change::Started { .. } => &[Waiting],
            Change::Retrying | Change::CancelRequested => &[Running],
            Change::AttemptFailed { .. } | Change::Skipped(_) => &[],
            Change::Canceled(_) => &[Waiting, Canceling],
            Change::Progressed { .. } | Change::ErrorRecorded(_) => &[Running, Canceling],
            Change::Completed(_) | Change::Failed(_) => &[Running, Canceling],
        };
        assert!(
            allowed.contains(&known.state),
            "{:?} after {:?}",
            event.change,
            known.state
        );
        let becomes = match &event.change {
            Change::Started { .. } => Running,
            Change::Retrying => Waiting,
            Change::CancelRequested => Canceling,
            Change::Completed(_) => Completed,
            Change::Failed(_) => Failed,
            Change::Canceled(_) => Canceled,
            _ => known.state,
        };
        assert_eq!(event.state, becomes);
        let stage = event.info.stage;
        assert!(stage.total > 0 && (stage.number == stage.total) == becomes.is_done());
        known.state = becomes;
        known.info = event.info.clone();
        known.touched = cursor;
        match &event.change {
            Change::Started {
                attempt, executor, ..
            } => {
                known.attempt = *attempt;
                known.executor = Some(executor.clone());
                known.started = Some(cursor);
            }
            Change::Retrying => known.interruptions += 1,
            Change::ErrorRecorded(_) => known.errors += 1,
            _ => {}
        }
        match &event.change {
            Change::Started { executor, .. } => self.model.carry(place, Some(executor)),
            Change::Retrying => self.model.carry(place, None),
            _ => {}
        }
        if becomes.is_done() {
            self.model.end(place, cursor);
        }
    }

    /// Whether the operation may start, and whether it is its turn.
    fn check_start(&self, place: Cursor, attempt: u32, executor: &str, orderly: bool) {
        let model = &self.model;
        let starting = model.open.iter().find(|known| known.sequence == place);
        let starting = starting.expect("only an open one starts");
        assert!(
            starting.blockers.is_empty(),
            "waits for {:?}",
            starting.blockers
        );
        assert_eq!(
            attempt,
            starting.attempt + 1,
            "attempts are numbered one by one"
        );
        let offered = model
            .executors
            .iter()
            .find(|known| *known.name == *executor);
        let offered = offered.expect("only one that is there starts anything");
        assert!(
            offered
                .offers
                .contains(&(starting.method.clone(), starting.version))
        );
        assert!(
            model.carried_out_by(executor) < offered.capacity as usize,
            "over its capacity"
        );
        // While a wake-up is not finished, only those without claims are sure not to be part of it.
        // And an older one that only others offer is no concern of this executor.
        let offers = |known: &ModelOperation| {
            let offer = (known.method.clone(), known.version);
            offered.offers.contains(&offer)
        };
        let sure = |known: &ModelOperation| orderly || (known.claims.is_empty() && offers(known));
        let oldest = model.next_start(sure);
        assert!(
            oldest.is_none_or(|oldest| place <= oldest),
            "{oldest:?} is older"
        );
        for other in model.open.iter().filter(|other| other.state != Waiting) {
            let (earlier, later) = if other.sequence < place {
                (other, starting)
            } else {
                (starting, other)
            };
            for held in &earlier.claims {
                let mut new = later
                    .claims
                    .iter()
                    .filter(|new| new.resource == held.resource);
                let beside = new.all(|new| cell(held.operation, new.operation) == Cell::Accept);
                assert!(
                    beside,
                    "{} and {} run beside one another",
                    earlier.id, later.id
                );
            }
        }
    }
}

/// The word and place of an event of an operation, unless it is a start.
fn told(event: &Event) -> Option<(&'static str, Cursor)> {
    match &event.body {
        EventBody::Operation(event) if !matches!(event.change, Change::Started { .. }) => {
            Some((event.change.as_str(), event.subject.sequence))
        }
        _ => None,
    }
}

/// An operation with nothing in its way may only stand there while a wake-up is not finished.
fn assert_reasons(due: &[Reason], actual: &[Reason], state: &State, now: Moment) {
    let queued = actual.len() == 1 && actual[0].detail.as_deref() == Some("queued");
    if due.is_empty() && queued {
        assert!(
            !state.is_settled(now),
            "queued, and nobody is going to start it"
        );
    } else {
        assert_eq!(due, actual);
    }
}

/// Compares the state with the model. Of many operations only some are looked at: every
/// `1/stride`th from `offset` on.
pub(crate) fn compare(model: &Model, state: &State, now: Moment, stride: usize, offset: usize) {
    assert_eq!(state.open_operations(), model.open.len());
    let mut counts = BTreeMap::new();
    for known in &model.open {
        *counts.entry(known.state).or_insert(0) += 1;
    }
    assert_eq!(*state.counts(), counts);
    if state.is_settled(now) {
        assert_eq!(
            model.next_start(|_| true),
            None,
            "it can start, and nobody starts it"
        );
    }
    for known in model.open.iter().skip(offset % stride).step_by(stride) {
        let operation = state.operation(&known.id).expect("an open one is found");
        assert_eq!(operation.state, known.state);
        assert_eq!(operation.subject.sequence, known.sequence);
        assert_eq!(
            (operation.attempt, operation.interruptions),
            (known.attempt, known.interruptions)
        );
        assert_eq!(operation.non_fatal_errors.len(), known.errors);
        assert_eq!(operation.cursor, known.touched);
        assert_eq!(operation.info, known.info);
        assert_reasons(&model.reasons(known), &state.reasons(operation), state, now);
    }
    // Objects are looked for through all that was ever on them, so there are fewer of these.
    let known = model.open.iter().chain(&model.past);
    let names = if stride == 1 { 20 } else { 2 };
    let stride = 1 + (model.open.len() + model.past.len()) / names;
    let names: BTreeSet<_> = known
        .skip(offset % stride)
        .step_by(stride)
        .map(|known| &known.alert_name)
        .collect();
    for name in names {
        let view = state.object(name);
        let seen = view
            .as_ref()
            .map(|view| (view.operation_id.as_ref().unwrap(), &view.info, view.cursor));
        assert_eq!(model.object(name), seen, "the object {name}");
    }
}
