//! Deciding about what happens by itself: what is due by the clocks, what follows from news of
//! other operations, and who starts next. One step at a time, so that many take many commands.

use std::sync::Arc;

use super::attempt::interrupted;
use super::{cancel_requested, canceled, ended, event, failed, started};
use crate::capacity::Reserve;
use crate::command::Moment;
use crate::event::{Change, Cursor, EventBody};
use crate::failure::Failure;
use crate::json::Json;
use crate::operation::{Operation, OperationState};
use crate::queue::Turn;
use crate::refusal::{Reason, Refusal};
use crate::schemas::Schemas;
use crate::state::{Executor, State};

/// The turn behind all others.
const LAST: Turn = (Cursor::MAX, Cursor::MAX);

/// What comes next of those that wait for an executor and capacity.
enum Start<'a> {
    /// Whose turn this is starts.
    Of(Turn, &'a Executor),
    /// Freed weight is kept for this one, or for nobody any more.
    Kept(Option<Cursor>),
}

impl State {
    /// The events of the next step that nobody has to ask for; none if nothing is left to do. Without
    /// schemas a start is not checked: for where it only matters whether there is a next step.
    pub(super) fn next_step(
        &self,
        now: Moment,
        schemas: Option<&dyn Schemas>,
    ) -> Option<Vec<EventBody>> {
        if let Some(sequence) = self.doomed.get_min() {
            let operation = &self.operations[sequence];
            return Some(self.with_steps(operation, skipped(operation)));
        }
        if let Some(sequence) = self.cancels.get_min() {
            let operation = &self.operations[sequence];
            return Some(self.with_steps(operation, canceled_with_parent(operation)));
        }
        if let Some((_, sequence)) = self.wall.get_min().filter(|(time, _)| *time <= now.wall) {
            return Some(self.time_has_come(&self.operations[sequence], now));
        }
        if let Some((_, sequence)) = self.timers.get_min().filter(|(due, _)| *due <= now.steady) {
            return Some(vec![self.timer_ended(&self.operations[sequence], now)]);
        }
        if let Some(operation) = self.given_up(now) {
            return Some(vec![interrupted(operation)]);
        }
        if let Some(sequence) = self.placeable.get_min() {
            return Some(self.placed(&self.operations[sequence]));
        }
        if let Some(flow) = self.flows_due.get_min() {
            return Some(self.flow_goes_on(&self.operations[flow]));
        }
        self.next_attempt(now, schemas).map(|event| vec![event])
    }

    /// What is handed to an executor next: of starts and reverts whose turn it is first. Only who
    /// is next is asked for its kwargs.
    fn next_attempt(&self, now: Moment, schemas: Option<&dyn Schemas>) -> Option<EventBody> {
        let start = self.next_start();
        if let Some((turn, executor)) = self.next_revert()
            && !matches!(start, Some(Start::Of(own, _)) if own < turn)
        {
            return Some(self.revert(turn, executor, now));
        }
        Some(match start? {
            Start::Kept(sequence) => EventBody::CapacityReserved { sequence },
            Start::Of((_, sequence), executor) => {
                let operation = &self.operations[&sequence];
                let check = |schemas| self.check_bound(operation, schemas);
                match schemas.map_or(Ok(()), check) {
                    Ok(()) => started(operation, executor.name.clone(), now.steady),
                    Err(failure) => failed(operation, &operation.info, failure),
                }
            }
        })
    }

    /// The moment has come that a scheduled or waiting operation was looking to.
    fn time_has_come(&self, operation: &Operation, now: Moment) -> Vec<EventBody> {
        let is_late = |time| time <= now.wall;
        if operation.request.start_before().is_some_and(is_late) {
            let failure = Failure::start_deadline_passed();
            return self.with_steps(operation, failed(operation, &operation.info, failure));
        }
        let mut events = self.placed(operation);
        let stays =
            matches!(events[..], [EventBody::Placed { .. }]) && !self.would_start(operation);
        if stays {
            let info = operation.info.clone();
            events.push(event(
                operation,
                OperationState::Waiting,
                info,
                Change::Postponed,
            ));
        }
        events
    }

    /// A delay is over, or an attempt took too long.
    fn timer_ended(&self, operation: &Operation, now: Moment) -> EventBody {
        if operation.state == OperationState::Waiting {
            let sequence = operation.subject.sequence;
            return EventBody::DelayPassed { sequence };
        }
        let failure = Failure::attempt_timed_out(operation.timer().map_or(0, |timer| timer.ms));
        self.attempt_failed(operation, &operation.info, failure, now.steady)
    }

    /// An operation without a place gets one, or ends because its claims can never be met. One that
    /// follows others without a place only stops being scheduled.
    fn placed(&self, operation: &Operation) -> Vec<EventBody> {
        let waits = operation.outstanding().iter().any(|other| !other.is_placed);
        match self.judge(&operation.request.claims) {
            Err(Refusal::ClaimHeld { reasons }) if !waits => {
                let end = failed(operation, &operation.info, conflict(&reasons));
                self.with_steps(operation, end)
            }
            _ => vec![EventBody::Placed {
                sequence: operation.subject.sequence,
            }],
        }
    }

    /// Whether an operation that gets its place now can start at once.
    pub(super) fn would_start(&self, operation: &Operation) -> bool {
        let request = &operation.request;
        operation.outstanding().is_empty()
            && self.judge(&request.claims).is_ok_and(|free| free)
            && (operation.is_flow() || self.starter(operation).is_some())
    }

    /// The executor that takes an operation at once, that is behind all others in the queues and
    /// waits for nothing else. Whoever was left to be started by a later command goes first.
    pub(super) fn starter(&self, operation: &Operation) -> Option<&Executor> {
        let (subject, weight) = (&operation.subject, operation.request.weight());
        let executor = self.free_executor(&subject.method_name, operation.request.version);
        let executor = executor.ok()?;
        let fits = self.capacity.fits(LAST, weight);
        let is_next = self.next_on(executor, self.most()).is_none()
            && self.revert_on(executor).is_none()
            && (weight == 0 || self.capacity.reserve.is_some() || !self.is_any_ready());
        (fits && is_next).then_some(executor)
    }

    fn is_any_ready(&self) -> bool {
        let mut free = self.executors.values().filter(|known| known.is_free());
        free.any(|executor| self.next_on(executor, u32::MAX).is_some())
    }

    /// An attempt that was kept for its executor for as long as it may be.
    fn given_up(&self, now: Moment) -> Option<&Arc<Operation>> {
        let is_over = |known: &&Executor| known.kept.is_some_and(|kept| kept.due() <= now.steady);
        let executor = self.executors.values().find(is_over)?;
        let lost = executor.running.first();
        lost.and_then(|sequence| self.operations.get(sequence))
    }

    /// The start of the oldest operation that can, or word of whom freed weight is kept for.
    fn next_start(&self) -> Option<Start<'_>> {
        if let Some(reserve) = self.capacity.reserve
            && !self.is_offered(&self.operations[&reserve.sequence])
        {
            // Its executor is gone; nobody knows for how long.
            return Some(Start::Kept(None));
        }
        let oldest = self.next_of_all(u32::MAX)?;
        let first = &self.operations[&oldest.0.1];
        let reserved = self.capacity.reserve.map(Reserve::turn);
        if reserved.is_none_or(|turn| oldest.0 <= turn) {
            if self.capacity.fits(oldest.0, first.request.weight()) {
                return Some(Start::Of(oldest.0, oldest.1));
            }
            if reserved != Some(oldest.0) {
                return Some(Start::Kept(Some(first.subject.sequence)));
            }
        }
        let next = self.next_of_all(self.most());
        let next = next.map(|(turn, executor)| Start::Of(turn, executor));
        next.or_else(|| self.kept_in_vain())
    }

    /// Word that what is free now may be used, although it was kept: by somebody who may be waited
    /// for by all whose end the oldest waits for.
    fn kept_in_vain(&self) -> Option<Start<'_>> {
        let reserve = self.capacity.reserve?;
        let free = self.capacity.free();
        let is_wanted = || self.next_of_all(self.capacity.most(free)).is_some();
        let is_vain = reserve.usable < free && is_wanted() && self.waits_for_parents(&reserve);
        is_vain.then_some(Start::Kept(Some(reserve.sequence)))
    }

    /// Whether all whose end would bring the oldest closer to its start have registered others that
    /// are open: an attempt may wait for these, and they for the weight that is kept.
    fn waits_for_parents(&self, reserve: &Reserve) -> bool {
        let oldest = &self.operations[&reserve.sequence];
        let method = &oldest.subject.method_name;
        let is_parent = |sequence: &Cursor| {
            let mut children = self
                .children
                .range((*sequence, 0)..=(*sequence, Cursor::MAX));
            children.next().is_some()
        };
        match self.free_executor(method, oldest.request.version) {
            Ok(_) => self.capacity.users().all(is_parent),
            Err(_) => {
                let mut busy = self.executors.values().filter(|known| known.takes(oldest));
                busy.all(|executor| executor.running.iter().all(is_parent))
            }
        }
    }

    /// The most that an operation may weigh that is younger than the one weight is kept for.
    fn most(&self) -> u32 {
        self.capacity.most(self.capacity.allowance(LAST))
    }

    /// The oldest turn of those that weigh at most `most` and that a free executor offers.
    fn next_of_all(&self, most: u32) -> Option<(Turn, &Executor)> {
        if self.ready.is_empty() {
            return None;
        }
        self.executors
            .values()
            .filter(|executor| executor.is_free())
            .filter_map(|executor| Some((self.next_on(executor, most)?, executor)))
            .min_by_key(|(turn, _)| *turn)
    }

    /// The oldest turn of those that weigh at most `most` and that this executor offers.
    fn next_on(&self, executor: &Executor, most: u32) -> Option<Turn> {
        if self.ready.is_empty() {
            return None;
        }
        let first = |offer| Some(self.ready.get(offer)?.first(most)?.0);
        executor.offers.iter().filter_map(first).min()
    }

    /// Whether somebody who is there takes operations of this method at all.
    fn is_offered(&self, operation: &Operation) -> bool {
        self.executors.values().any(|known| known.takes(operation))
    }
}

/// The end of an operation because what it was to follow ended otherwise.
fn skipped(operation: &Operation) -> EventBody {
    let dependency = operation.failed_dependency();
    let dependency = dependency.expect("only those with one are doomed");
    skip(operation, &dependency.id, dependency.state)
}

/// The end of an operation because one that it was to follow ended in such a state.
pub(super) fn skip(operation: &Operation, id: &str, state: OperationState) -> EventBody {
    let failure = Failure::dependency_failed(id, state);
    let info = ended(operation.info.described("Canceled"), Some(&failure));
    let change = Change::Skipped(failure);
    event(operation, OperationState::Skipped, info, change)
}

fn canceled_with_parent(operation: &Operation) -> EventBody {
    match operation.state {
        OperationState::Running => cancel_requested(operation),
        _ => canceled(operation, &operation.info),
    }
}

/// Why an operation ends that can never run beside what is outstanding now.
fn conflict(reasons: &[Reason]) -> Failure {
    let reasons: Vec<_> = reasons.iter().map(Reason::to_value).collect();
    let data = serde_json::json!({
        "reason": "conflict", "retryable": false, "reasons": reasons,
    });
    Failure {
        code: Failure::CONFLICT,
        message: "conflicts with operations that are outstanding".into(),
        data: Some(Json::from_value(&data).expect("reasons are JSON")),
    }
}
