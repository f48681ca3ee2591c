//! Deciding how a flow goes on: forward, and back when a step failed for good.

use std::sync::Arc;

use super::{Answer, Decision, ended, event, failed, started_by};
use crate::command::Moment;
use crate::conditions::Revert;
use crate::event::{Change, EventBody};
use crate::failure::Failure;
use crate::flow::{FlowStep, Phase};
use crate::json::Json;
use crate::operation::{LastError, Operation, OperationInfo, OperationState, Outcome};
use crate::queue::Turn;
use crate::refusal::Refusal;
use crate::state::{Executor, State};

/// How somebody ends that a revert has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayOut {
    /// It is tried again.
    Retry,
    /// The step counts as reverted.
    Skip,
}

impl State {
    /// The end of an operation before it began; that of a flow takes its steps along.
    pub(super) fn with_steps(&self, operation: &Operation, end: EventBody) -> Vec<EventBody> {
        let has_ended = matches!(&end, EventBody::Operation(event) if event.state.has_ended());
        let steps = self.steps(operation).filter(|_| has_ended);
        let mut events: Vec<_> = steps.map(|step| never_started(step)).collect();
        events.push(end);
        events
    }

    /// What is next for a flow itself.
    pub(super) fn flow_goes_on(&self, flow: &Operation) -> Vec<EventBody> {
        let next = self.flow_step(flow.subject.sequence);
        let body = match next.expect("only those with a next step are due") {
            FlowStep::Start => {
                let info = flow.info.described("Running");
                event(flow, OperationState::Running, info, Change::FlowStarted)
            }
            FlowStep::Stop(step) => stopped(&self.operations[&step]),
            FlowStep::Complete => {
                let mut info = ended(flow.info.described("Completed"), None);
                info.percentage = 100.0;
                let change = Change::Completed(Json::null());
                event(flow, OperationState::Completed, info, change)
            }
            FlowStep::Revert => reverting(flow, self.first_failure(flow)),
            FlowStep::EndReverted => self.reverted(flow),
            FlowStep::EndStuck => self.stuck(flow),
        };
        vec![body]
    }

    /// The first revert that an executor can take. Reverts wait for no capacity.
    pub(super) fn next_revert(&self) -> Option<(Turn, &Executor)> {
        if self.reverts.is_empty() {
            return None;
        }
        let free = self.executors.values().filter(|known| known.is_free());
        let offered = free.filter_map(|executor| Some((self.revert_on(executor)?, executor)));
        offered.min_by_key(|(turn, _)| *turn)
    }

    /// The first revert of those that this executor takes.
    pub(super) fn revert_on(&self, executor: &Executor) -> Option<Turn> {
        let queues = executor.offers.iter();
        let queues = queues.filter_map(|offer| self.reverts.get(offer)?.get_min());
        queues.min().copied()
    }

    /// A revert is handed to an executor.
    pub(super) fn revert(&self, turn: Turn, executor: &Executor, now: Moment) -> EventBody {
        let step = &self.operations[&turn.1];
        let (attempt, timeout) = started_by(step, now.steady);
        let change = Change::Reverting {
            attempt,
            executor: executor.name.clone(),
            timeout,
        };
        let info = reverting_info(&step.info);
        event(step, OperationState::Reverting, info, change)
    }

    /// The step that completes a flow's count: told of the flow, while there are others to come.
    pub(super) fn flow_progress(&self, step: &Operation) -> Option<EventBody> {
        let flow = self.flow_of(step)?;
        let completed = self.flows.get(&flow.subject.sequence)?.completed + 1;
        let mut info = (*flow.info).clone();
        info.stage.number = completed.min(info.stage.total.saturating_sub(1));
        let is_news = info.stage != flow.info.stage && flow.phase() != Phase::Back;
        let described = flow.described;
        is_news.then(|| event(flow, flow.state, info, Change::Progressed { described }))
    }

    /// Somebody ends that reverts have failed: of a step, or of all such steps of a flow.
    pub(super) fn decide_way_out(
        &self,
        id: Arc<str>,
        operation_ended: Option<Arc<Operation>>,
        way: WayOut,
    ) -> Result<Decision, Refusal> {
        let Some(operation) = self.operation(&id) else {
            return Err(match operation_ended {
                Some(operation) => Refusal::OperationEnded {
                    state: operation.state,
                },
                None => Refusal::OperationNotFound { id },
            });
        };
        let is_stuck = |step: &&Arc<Operation>| step.state == OperationState::RevertFailed;
        let stuck: Vec<_> = match operation.is_flow() {
            true => self.steps(operation).filter(is_stuck).collect(),
            false => Some(operation).filter(is_stuck).into_iter().collect(),
        };
        if stuck.is_empty() || (!operation.is_flow() && !operation.is_step()) {
            let state = operation.state;
            return Err(Refusal::NotStuck { state });
        }
        let flow = self.flow_of(operation).unwrap_or(operation);
        let mut events = Vec::with_capacity(stuck.len() + 1);
        if flow.state == OperationState::RevertFailed {
            events.push(reverting(flow, self.first_failure(flow)));
        }
        events.extend(stuck.into_iter().map(|step| match way {
            WayOut::Retry => {
                let info = reverting_info(&step.info);
                event(step, OperationState::Reverting, info, Change::RevertRetried)
            }
            WayOut::Skip => {
                let mut info = (*step.info).clone();
                info.stage_description = "taken for reverted".into();
                step_reverted(step, info)
            }
        }));
        Ok(Decision {
            events,
            answer: Answer::Operation(operation.subject.sequence),
            frees: true,
            postpone: Vec::new(),
        })
    }

    /// Why a flow is reverted: its first failure, or that somebody canceled it.
    fn first_failure(&self, flow: &Operation) -> Failure {
        let first = flow.failed_steps().first();
        let first = first.and_then(|sequence| self.operations.get(sequence));
        let was_canceled = flow.state == OperationState::Canceling
            || flow.failure().is_some_and(Failure::is_cancel);
        match first.and_then(|step| step.outcome.as_ref()) {
            Some(Outcome::Failed(failure)) if !was_canceled => failure.clone(),
            _ => Failure::canceled(),
        }
    }

    /// The end of a flow that is reverted, with the names of the steps that could not be.
    fn reverted(&self, flow: &Operation) -> EventBody {
        let ran =
            |step: &&Arc<Operation>| step.attempt > 0 && step.state != OperationState::Reverted;
        let left: Vec<_> = self
            .steps(flow)
            .filter(ran)
            .map(|step| step.step_name())
            .collect();
        let mut failure = self.first_failure(flow);
        if !left.is_empty() {
            failure.tell("notReverted", &left);
        }
        let word = match failure.is_cancel() {
            true => "Canceled",
            false => "Failed",
        };
        let info = ended(flow.info.described(word), Some(&failure));
        event(
            flow,
            OperationState::Reverted,
            info,
            Change::FlowReverted(failure),
        )
    }

    /// Nothing more of a flow can be reverted: which reverts failed, and why. Of many the first
    /// ones and how many more there are, for it is written again after each that is retried.
    fn stuck(&self, flow: &Operation) -> EventBody {
        let told = |step: &Arc<Operation>| match step.revert()? {
            Revert::Failed(failure) => Some(serde_json::json!({
                "step": step.step_name(),
                "operationId": *step.subject.id,
                "code": failure.code,
                "message": *failure.short_message(),
            })),
            _ => None,
        };
        let mut stuck = self.steps(flow).filter_map(told);
        let reverts: Vec<_> = stuck.by_ref().take(Failure::MOST_TOLD).collect();
        let more = stuck.count();
        let mut told = self.first_failure(flow);
        told.tell("reverts", &reverts);
        if more > 0 {
            told.tell("moreReverts", &more);
        }
        let mut info = flow.info.described("Failed");
        info.last_error = (&told).into();
        let change = Change::FlowRevertFailed(told);
        event(flow, OperationState::RevertFailed, info, change)
    }
}

/// The end of a step that never started.
pub(super) fn never_started(step: &Operation) -> EventBody {
    let flow = step.subject.parent.as_ref();
    let failure = Failure::flow_ended(flow.map_or("", |flow| &flow.id));
    let info = ended(step.info.described("Canceled"), Some(&failure));
    event(
        step,
        OperationState::Skipped,
        info,
        Change::Skipped(failure),
    )
}

/// The end of a step that waits while its flow stops: one that had an attempt has failed.
fn stopped(step: &Operation) -> EventBody {
    if step.attempt == 0 {
        return never_started(step);
    }
    let last = step
        .course
        .as_ref()
        .and_then(|course| course.failure.clone());
    let failure = last.unwrap_or_else(|| {
        Failure::executor_lost("its executor was lost, and its flow starts nothing any more")
    });
    failed(step, &step.info, failure)
}

fn reverting(flow: &Operation, failure: Failure) -> EventBody {
    let mut info = flow.info.described("Reverting");
    info.last_error = (&failure).into();
    let change = Change::FlowReverting(failure);
    event(flow, OperationState::Reverting, info, change)
}

fn reverting_info(info: &OperationInfo) -> OperationInfo {
    let mut info = info.described("Reverting");
    info.stage.number = 0;
    info.percentage = -1.0;
    info
}

/// The end of a step that was undone, or is taken for it. The last word stays; the error that stands
/// is that of the step itself, not that of a revert.
pub(super) fn step_reverted(step: &Operation, mut info: OperationInfo) -> EventBody {
    info.last_error = match &step.outcome {
        Some(Outcome::Failed(failure) | Outcome::Canceled(failure)) => failure.into(),
        _ => LastError::default(),
    };
    event(
        step,
        OperationState::Reverted,
        ended(info, None),
        Change::Reverted,
    )
}

/// A step could not be undone.
pub(super) fn revert_failed(step: &Operation, info: &OperationInfo, failure: Failure) -> EventBody {
    let mut info = info.described("Failed");
    info.last_error = (&failure).into();
    let change = Change::RevertFailed(failure);
    event(step, OperationState::RevertFailed, info, change)
}

/// The executor of a revert is lost: it is handed out again.
pub(super) fn revert_interrupted(step: &Operation) -> EventBody {
    let info = reverting_info(&step.info);
    event(step, OperationState::Reverting, info, Change::Retrying)
}

impl Operation {
    /// The name of a step in its flow: its id goes on with it behind that of the flow.
    pub fn step_name(&self) -> &str {
        let flow = self.subject.parent.as_ref();
        let head = flow.map_or(0, |flow| flow.id.len() + 1);
        self.subject.id.get(head..).unwrap_or(&self.subject.id)
    }
}
