//! The judge: compares what the core did with what the model says it must do, and lets the model
//! follow. Any difference is a panic.

use std::sync::Arc;

use opstead_core::{
    Change, Cursor, Event, EventBody, Executed, Lease, Limits, Moment, OnInterrupt, OperationEvent,
    OperationState, Order, Refusal, Register, Reply, State, Steady, Timer, Verdict,
};

use super::compare::{assert_reasons, operation, told};
use super::model::{Cell, Expected, Model, ModelExecutor, ModelOperation, cell};
use OperationState::{
    Canceled, Canceling, Completed, Failed, Running, Scheduled, Skipped, Waiting,
};

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
    /// How many of the events of operations were asked for; the others happen by themselves.
    pub direct: usize,
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
        self.direct = match due {
            // What happens by itself comes behind it.
            Due::Events(due) => {
                assert_eq!(due, told[..due.len().min(told.len())]);
                due.len()
            }
            Due::Progress(place) => {
                assert!(told.is_empty() || told == [("progress", place)]);
                told.len()
            }
            Due::Wake => 0,
            Due::Refused(due) => panic!("not refused: {due:?}"),
            Due::Invalid => panic!("not refused as invalid"),
        };
        self.follow(&executed.events, 0, state);
        self.settle(state);
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
                let known = known.expect("the lease holds");
                let canceling = known.state == Canceling;
                let word = match verdict {
                    Verdict::Completed(_) => "completed",
                    Verdict::Canceled if canceling => "canceled",
                    Verdict::Canceled => "failed",
                    Verdict::Failed(failure)
                        if known.has_attempts_left() && failure.is_retryable() =>
                    {
                        "retrying"
                    }
                    Verdict::Failed(_) => "failed",
                };
                Due::Events(vec![(word, lease.sequence)])
            }
            Order::Attach {
                executor, resume, ..
            } => Due::Events(self.due_interruptions(executor, resume)),
            Order::Detach {
                executor,
                keep_ms: None,
            } => Due::Events(self.due_interruptions(executor, &[])),
            Order::Detach { .. } => Due::Events(Vec::new()),
            // Flows have a simulation of their own.
            Order::RegisterFlow(_) | Order::RetryRevert { .. } | Order::SkipRevert { .. } => {
                unreachable!("no flow is registered here")
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
            Waiting | Scheduled => Due::Events(vec![("canceled", known.sequence)]),
            Running if known.cancelable => Due::Events(vec![("canceling", known.sequence)]),
            Running => Due::Refused(Refusal::NotCancelable {
                what: known.method.clone(),
                when: "while it runs",
            }),
            Canceling | Canceled => Due::Events(Vec::new()),
            state => Due::Refused(Refusal::OperationEnded { state }),
        }
    }

    fn due_interruptions(&self, executor: &str, resumed: &[Lease]) -> Vec<(&'static str, Cursor)> {
        let goes_on = |known: &ModelOperation| {
            let mut leases = resumed.iter();
            leases.any(|lease| lease.sequence == known.sequence && lease.attempt == known.attempt)
        };
        let lost = self.model.open.iter().filter(|known| {
            matches!(known.state, Running | Canceling)
                && known.executor.as_deref() == Some(executor)
                && !goes_on(known)
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
        let expected = self
            .model
            .judge(register, &self.limits, self.first, self.now);
        let (executed, registration) = match (&expected, result) {
            (Expected::Refused(due), Err(refusal)) => return assert_eq!(due, refusal),
            (Expected::Invalid, Err(Refusal::Invalid { .. })) => return,
            (_, Ok(executed)) => match &executed.reply {
                Reply::Registered(registration) => (executed, registration),
                other => panic!("a registration is answered with {other:?}"),
            },
            (_, Err(refusal)) => panic!("refused without need: {refusal:?}"),
        };
        match expected {
            Expected::Refused(due) => panic!("not refused: {due:?}"),
            Expected::Invalid => panic!("not refused as invalid"),
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
                let is_doomed = operation.is_doomed;
                if let Some(parent) = operation.parent {
                    let id = operation.id.clone();
                    self.model.operation(parent).spawned.push(id);
                }
                self.model.open.push(*operation);
                let next = told(&executed.events[1]);
                let started = next.is_none();
                let word = if is_doomed { "skipped" } else { "postponed" };
                assert!(started || next == Some((word, self.first)));
                // Behind a wake-up that is not finished a new one may have to take its turn.
                assert!(
                    started == (due.is_empty() && !is_doomed) || (!started && !self.was_settled),
                    "{due:?}"
                );
                self.direct = usize::from(!started);
                self.follow(&executed.events[1..], 1, state);
                self.settle(state);
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
            if told(event).is_some() {
                self.direct = match self.direct.checked_sub(1) {
                    Some(left) => left,
                    None => {
                        self.justify(operation(event));
                        0
                    }
                };
            }
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
                    self.model.kept.remove(executor);
                }
                EventBody::ExecutorDetached { executor, kept } => {
                    self.model.executors.retain(|known| known.name != *executor);
                    self.model.kept.remove(executor);
                    if let Some(kept) = kept {
                        self.model.kept.insert(executor.clone(), kept.due());
                    }
                }
                EventBody::WakeContinued => assert!(!self.was_settled),
                EventBody::CapacitySet { capacity } => {
                    self.model.capacity = Some(*capacity);
                    let free = self.model.free() as u32;
                    if let Some((_, usable)) = &mut self.model.reserve {
                        *usable = free.min(*usable);
                    }
                }
                EventBody::CapacityReserved { sequence } => self.reserve(*sequence, orderly),
                EventBody::Placed { sequence } => self.place(cursor, *sequence),
                EventBody::DelayPassed { sequence } => self.end_delay(*sequence),
                EventBody::ObjectPublished { .. } | EventBody::ObjectRetired { .. } => {}
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
            Change::Postponed => &[Waiting, Scheduled],
            Change::Started { .. } => &[Waiting],
            Change::Retrying | Change::CancelRequested => &[Running],
            Change::AttemptFailed { .. } => &[Running],
            Change::Skipped(_) => &[Waiting, Scheduled],
            Change::Canceled(_) => &[Waiting, Scheduled, Canceling],
            Change::Progressed { .. } | Change::ErrorRecorded(_) => &[Running, Canceling],
            Change::Completed(_) => &[Running, Canceling],
            Change::Failed(_) => &[Waiting, Scheduled, Running, Canceling],
            _ => unreachable!("no flow is registered here"),
        };
        assert!(
            allowed.contains(&known.state),
            "{:?} after {:?}",
            event.change,
            known.state
        );
        let becomes = match &event.change {
            Change::Started { .. } => Running,
            Change::Retrying | Change::AttemptFailed { .. } => Waiting,
            Change::Skipped(_) => Skipped,
            Change::CancelRequested => Canceling,
            Change::Completed(_) => Completed,
            Change::Failed(_) => Failed,
            Change::Canceled(_) => Canceled,
            _ => known.state,
        };
        assert_eq!(event.state, becomes);
        let stage = event.info.stage;
        assert!(stage.total > 0 && (stage.number == stage.total) == becomes.has_ended());
        let was = known.state;
        known.state = becomes;
        known.info = event.info.clone();
        known.touched = cursor;
        match &event.change {
            Change::Started {
                attempt,
                executor,
                timeout,
            } => {
                let due = known.timeout_ms.map(|ms| Steady(self.now.steady.0 + ms));
                assert_eq!(timeout.map(Timer::due), due);
                known.timer = due;
                known.attempt = *attempt;
                known.executor = Some(executor.clone());
                known.started = Some(cursor);
            }
            Change::Retrying => {
                known.interruptions += 1;
                known.timer = None;
            }
            Change::AttemptFailed { delay, .. } => {
                assert_eq!(delay.since, self.now.steady);
                known.timer = Some(delay.due());
            }
            Change::ErrorRecorded(_) => known.errors += 1,
            _ => {}
        }
        match &event.change {
            Change::Started { executor, .. } => {
                self.model.carry(place, Some(executor));
                self.model.use_weight(place);
            }
            Change::Retrying | Change::AttemptFailed { .. } => self.model.carry(place, None),
            Change::CancelRequested => self.model.disown(place),
            Change::Canceled(_) if was != Canceling => self.model.disown(place),
            _ => {}
        }
        if becomes.has_ended() {
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
        assert!(model.fits(starting), "it is too heavy");
        assert!(
            model.lacks_only_capacity(starting),
            "it waits for something else"
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
        let simple = |known: &ModelOperation| known.claims.is_empty() && known.after.is_empty();
        let sure = |known: &ModelOperation| orderly || (simple(known) && offers(known));
        let oldest = model.next_start(sure);
        assert!(
            oldest.is_none_or(|oldest| starting.place <= oldest),
            "{oldest:?} is older"
        );
        let held = |other: &&ModelOperation| matches!(other.state, Running | Canceling);
        for other in model.open.iter().filter(held) {
            let (earlier, later) = if other.place < starting.place {
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
