//! Deciding about what the executor of an attempt says, and about its loss.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::flow::{revert_failed, revert_interrupted, step_reverted};
use super::{Answer, Decision, canceled, ended, event, failed};
use crate::command::{Lease, Reply, Verdict};
use crate::conditions::{Steady, Timer};
use crate::event::{Change, Cursor, EventBody};
use crate::failure::Failure;
use crate::flow::Phase;
use crate::operation::{
    DESCRIPTIONS, InfoUpdate, NonFatalError, OnInterrupt, Operation, OperationInfo, OperationState,
    Time,
};
use crate::refusal::{Fault, Refusal};
use crate::state::{Limits, State};

/// The interruption that ends an operation, whatever its method declares.
const LAST_INTERRUPTION: u32 = 5;

/// The least time between two alerts that only tell of a percentage.
const PROGRESS_INTERVAL_MS: u64 = 100;

/// The least change of percentage that is told before its executor falls silent.
const PROGRESS_POINTS: f64 = 1.0;

impl State {
    pub(super) fn decide_update(
        &self,
        lease: Lease,
        update: InfoUpdate,
        flush: bool,
        now: Time,
    ) -> Result<Decision, Refusal> {
        let operation = self.leased(lease)?;
        update.check()?;
        let described = operation.described || update.description.is_some();
        let info = updated(&operation.info, update);
        // The executor's first word counts as news even where the daemon had said the same: only
        // so does it stay when the operation completes.
        let first_word = described != operation.described;
        if info == *operation.info && !first_word {
            return Ok(Decision::reply(Reply::Done));
        }
        if !flush && !first_word && !is_due(operation, &info, now) {
            return Ok(Decision::reply(Reply::Deferred));
        }
        let change = Change::Progressed { described };
        Ok(quiet(vec![event(operation, operation.state, info, change)]))
    }

    pub(super) fn decide_error(
        &self,
        limits: &Limits,
        lease: Lease,
        failure: Failure,
        now: Time,
    ) -> Result<Decision, Refusal> {
        let operation = self.leased(lease)?;
        if operation.non_fatal_errors.len() >= limits.non_fatal_errors {
            let limit = limits.non_fatal_errors;
            return Err(Refusal::LimitReached {
                what: "non-fatal errors of one operation",
                limit,
            });
        }
        let info = operation.info.clone();
        let change = Change::ErrorRecorded(NonFatalError { time: now, failure });
        Ok(quiet(vec![event(operation, operation.state, info, change)]))
    }

    pub(super) fn decide_end(
        &self,
        lease: Lease,
        update: InfoUpdate,
        verdict: Verdict,
        now: Steady,
    ) -> Result<Decision, Refusal> {
        let operation = self.leased(lease)?;
        update.check()?;
        let described = operation.described || update.description.is_some();
        let mut info = updated(&operation.info, update);
        let end = match verdict {
            Verdict::Completed(result) => {
                if !described {
                    info = info.described("Completed");
                }
                if operation.state == OperationState::Reverting {
                    return Ok(Decision::done(vec![step_reverted(operation, info)]));
                }
                info.percentage = 100.0;
                let change = Change::Completed(result);
                event(
                    operation,
                    OperationState::Completed,
                    ended(info, None),
                    change,
                )
            }
            Verdict::Canceled if operation.state == OperationState::Canceling => {
                canceled(operation, &info)
            }
            // Nobody has asked it to stop.
            Verdict::Canceled => self.attempt_failed(operation, &info, Failure::stopped(), now),
            Verdict::Failed(failure) => self.attempt_failed(operation, &info, failure, now),
        };
        let completes =
            matches!(&end, EventBody::Operation(event) if event.state == OperationState::Completed);
        let progress = completes.then(|| self.flow_progress(operation)).flatten();
        Ok(Decision::done([end].into_iter().chain(progress).collect()))
    }

    /// What becomes of everything that an executor was carrying out and does not go on with.
    pub(super) fn interruptions(&self, executor: &str, resumed: &[Lease]) -> Vec<EventBody> {
        let resumed: BTreeSet<Cursor> = resumed.iter().map(|lease| lease.sequence).collect();
        let running = self.executors.get(executor).map(|known| &known.running);
        running
            .into_iter()
            .flatten()
            .filter(|sequence| !resumed.contains(sequence))
            .filter_map(|sequence| self.operations.get(sequence))
            .map(|operation| interrupted(operation))
            .collect()
    }

    /// The operation that the lease is good for.
    pub(super) fn leased(&self, lease: Lease) -> Result<&Arc<Operation>, Refusal> {
        self.operations
            .get(&lease.sequence)
            .filter(|operation| operation.is_held() && operation.attempt == lease.attempt)
            .ok_or(Refusal::StaleLease)
    }

    /// What follows a failed attempt: another, or the end.
    pub(super) fn attempt_failed(
        &self,
        operation: &Operation,
        info: &OperationInfo,
        failure: Failure,
        since: Steady,
    ) -> EventBody {
        if operation.state == OperationState::Reverting {
            return revert_failed(operation, info, failure);
        }
        let failures = operation.attempt - operation.interruptions;
        // A flow that has failed or is canceled starts nothing any more.
        let flow = self.flow_of(operation);
        let goes_on = operation.state == OperationState::Running
            && flow.is_none_or(|flow| flow.phase() == Phase::Forward);
        let retry = operation
            .request
            .retry()
            .filter(|retry| goes_on && failures < retry.max_attempts)
            .filter(|_| failure.is_retryable());
        let Some(retry) = retry else {
            return failed(operation, info, failure);
        };
        let mut info = info.waiting_again();
        info.last_error = (&failure).into();
        let ms = retry.delay_ms(failures);
        let change = Change::AttemptFailed {
            failure,
            delay: Timer { since, ms },
        };
        event(operation, OperationState::Waiting, info, change)
    }
}

/// Events that let nobody start.
fn quiet(events: Vec<EventBody>) -> Decision {
    Decision {
        events,
        answer: Answer::Reply(Reply::Done),
        frees: false,
        postpone: Vec::new(),
    }
}

pub(super) fn interrupted(operation: &Operation) -> EventBody {
    let interruption = operation.interruptions + 1;
    let info = &operation.info;
    match operation.request.on_interrupt {
        _ if operation.state == OperationState::Reverting => revert_interrupted(operation),
        _ if operation.state == OperationState::Canceling => canceled(operation, info),
        OnInterrupt::Retry if interruption < LAST_INTERRUPTION => {
            let info = info.waiting_again();
            event(operation, OperationState::Waiting, info, Change::Retrying)
        }
        OnInterrupt::Retry => {
            let message = format!("interrupted {interruption} times");
            failed(operation, info, Failure::executor_lost(&message))
        }
        OnInterrupt::Fail => failed(
            operation,
            info,
            Failure::executor_lost("its executor was lost while it ran"),
        ),
    }
}

/// Whether progress is worth an alert of its own already.
fn is_due(operation: &Operation, info: &OperationInfo, now: Time) -> bool {
    let before = &operation.info;
    let changed = before.description != info.description
        || before.stage_description != info.stage_description
        || before.stage != info.stage
        || before.last_error != info.last_error;
    let moved = (before.percentage - info.percentage).abs() >= PROGRESS_POINTS;
    let rested = now.0.saturating_sub(operation.updated_at.0) >= PROGRESS_INTERVAL_MS;
    changed || (moved && rested)
}

/// The info with the members of the update. A running operation never has all stages behind it.
fn updated(info: &OperationInfo, update: InfoUpdate) -> OperationInfo {
    let mut stage = update.stage.unwrap_or(info.stage);
    stage.number = stage.number.min(stage.total - 1);
    OperationInfo {
        description: update
            .description
            .unwrap_or_else(|| info.description.clone()),
        stage_description: update
            .stage_description
            .unwrap_or_else(|| info.stage_description.clone()),
        stage,
        percentage: update.percentage.unwrap_or(info.percentage),
        last_error: update.last_error.unwrap_or_else(|| info.last_error.clone()),
        extra_data: update.extra_data.unwrap_or_else(|| info.extra_data.clone()),
    }
}

impl InfoUpdate {
    /// Checks that every member is allowed; the error names all that are not.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut faults = Vec::new();
        if let Some(description) = &self.description
            && !DESCRIPTIONS.contains(&&**description)
        {
            let allowed = DESCRIPTIONS.join(", ");
            let message = format!("{description:?} is not one of {allowed}");
            faults.push(Fault::new("/operationInfo/operationDescription", message));
        }
        if let Some(stage) = self.stage
            && (stage.total == 0 || stage.number > stage.total)
        {
            let message = "number must be at most total, total at least 1";
            faults.push(Fault::new("/operationInfo/stage", message));
        }
        if let Some(percentage) = self.percentage
            && percentage != -1.0
            && !(0.0..=100.0).contains(&percentage)
        {
            let message = "must be from 0 to 100, or -1 for unknown";
            faults.push(Fault::new("/operationInfo/percentage", message));
        }
        if self
            .extra_data
            .as_ref()
            .is_some_and(|data| !data.as_str().starts_with('{'))
        {
            faults.push(Fault::new(
                "/operationInfo/extraData",
                "must be a JSON object",
            ));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid { faults })
        }
    }
}
