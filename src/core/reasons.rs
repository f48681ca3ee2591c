//! Why an operation does not run: computed when asked, from who is in its way now.

use std::sync::Arc;

use crate::claims::{Judgement, NAMED_BLOCKERS};
use crate::command::Moment;
use crate::conditions::{Revert, Timer};
use crate::event::Cursor;
use crate::flow::Phase;
use crate::operation::{Claim, ClaimOperation, Operation, OperationState};
use crate::refusal::{Cause, Reason, Refusal};
use crate::state::{Executor, State};

impl State {
    /// Every reason why a waiting operation does not run at this moment; none for any other.
    pub fn reasons(&self, operation: &Operation, now: Moment) -> Vec<Reason> {
        let is_scheduled = operation.state == OperationState::Scheduled;
        let is_revert_due = operation.revert() == Some(&Revert::Due);
        if !is_scheduled && !is_revert_due && operation.state != OperationState::Waiting {
            return Vec::new();
        }
        let subject = &operation.subject;
        let mut reasons = Vec::new();
        if is_scheduled {
            reasons.push(Reason::of(Cause::StartTime));
        }
        // A step holds nothing itself: its flow does.
        let claims = operation.request.claims.iter();
        for claim in claims.filter(|_| !operation.is_step()) {
            // Without a place there are none before it.
            let blockers = self.claims.blockers(claim, operation.place());
            reasons.extend(blockers.map(|(outstanding, blockers, more)| {
                self.held(claim, outstanding, &blockers, more)
            }));
        }
        if !is_revert_due {
            reasons.extend(self.step_reason(operation));
        }
        reasons.extend(self.dependency_reason(operation));
        if operation.is_delayed() {
            let due = operation.timer().map(Timer::due);
            reasons.push(Reason {
                until: due.map(|due| now.wall_at(due)),
                ..Reason::of(Cause::RetryDelay)
            });
        }
        if !is_revert_due {
            reasons.extend(self.capacity_reason(operation));
        }
        if operation.is_flow() {
            return reasons;
        }
        let executor = self.free_executor(&subject.method_name, operation.request.version);
        if let Err((cause, detail)) = executor {
            reasons.push(executor_reason(cause, detail));
        } else if reasons.is_empty() {
            // Everything is free, but it is one of many that are released a few at a time.
            reasons.push(executor_reason(Cause::Executor, Some("queued")));
        }
        reasons
    }

    /// The reason that what runs leaves too little weight, or that it is kept for an older one.
    fn capacity_reason(&self, operation: &Operation) -> Option<Reason> {
        let weight = operation.request.weight();
        let turn = match self.turn(operation) {
            (0, sequence) => (Cursor::MAX, sequence),
            turn => turn,
        };
        if weight == 0 || self.capacity.fits(turn, weight) {
            return None;
        }
        let is_kept = weight <= self.capacity.most(self.capacity.free());
        let reserve = self.capacity.reserve.filter(|_| is_kept);
        let (blockers, more) = match reserve {
            Some(reserve) => (vec![reserve.sequence], false),
            None => self.capacity.oldest_users(),
        };
        let ids = blockers.iter().map(|sequence| &self.operations[sequence]);
        Some(Reason {
            blocked_by: ids.map(|blocker| blocker.subject.id.clone()).collect(),
            more,
            detail: is_kept.then(|| "kept".into()),
            ..Reason::of(Cause::Capacity)
        })
    }

    /// The reason that a step waits for its flow to begin, and for the steps that it requires.
    fn step_reason(&self, operation: &Operation) -> Option<Reason> {
        let flow = self.flow_of(operation)?;
        let flow = Some(flow).filter(|flow| flow.phase() != Phase::Forward);
        let requires = operation
            .request
            .step()
            .map_or(&[][..], |step| &step.requires);
        let steps = requires
            .iter()
            .filter_map(|sequence| self.operations.get(sequence));
        let open = steps.filter(|step| step.state != OperationState::Completed);
        let mut ids = flow
            .into_iter()
            .chain(open)
            .map(|other| other.subject.id.clone());
        let blocked_by: Vec<_> = ids.by_ref().take(NAMED_BLOCKERS).collect();
        (!blocked_by.is_empty()).then(|| Reason {
            blocked_by,
            more: ids.next().is_some(),
            ..Reason::of(Cause::Dependency)
        })
    }

    /// The reason that what an operation follows has not ended, or not as it should have.
    fn dependency_reason(&self, operation: &Operation) -> Option<Reason> {
        if let Some(failed) = operation.failed_dependency() {
            return Some(Reason {
                blocked_by: vec![failed.id.clone()],
                detail: Some(failed.state.as_str().into()),
                ..Reason::of(Cause::Dependency)
            });
        }
        let outstanding = operation.outstanding().iter();
        let mut open: Vec<_> = outstanding
            // One may have ended, of which this one has not heard yet.
            .filter_map(|other| self.operations.get(&other.sequence))
            .collect();
        open.sort_by_key(|earlier| earlier.subject.sequence);
        let ids = open.iter().map(|earlier| earlier.subject.id.clone());
        (!open.is_empty()).then(|| Reason {
            blocked_by: ids.take(NAMED_BLOCKERS).collect(),
            more: open.len() > NAMED_BLOCKERS,
            ..Reason::of(Cause::Dependency)
        })
    }

    /// Whether nothing is in the way of new claims; a refusal, if they can never be met.
    pub(crate) fn judge(&self, claims: &[Claim]) -> Result<bool, Refusal> {
        let mut free = true;
        let mut reasons = Vec::new();
        for claim in claims {
            match self.claims.judge(claim) {
                Judgement::Free => {}
                Judgement::Postponed => free = false,
                Judgement::Rejected(outstanding, sequence) => {
                    reasons.push(self.held(claim, outstanding, &[sequence], false));
                }
            }
        }
        if reasons.is_empty() {
            Ok(free)
        } else {
            Err(Refusal::ClaimHeld { reasons })
        }
    }

    /// The executor that can take an operation of this method now, or why none can.
    pub(crate) fn free_executor(
        &self,
        method: &str,
        version: u32,
    ) -> Result<&Executor, (Cause, Option<&'static str>)> {
        let mut cause = Cause::Executor;
        let mut detail = None;
        // Without any capacity it is about to leave, and offers nothing any more.
        let offering = |executor: &&Executor| executor.attached && executor.capacity > 0;
        for executor in self.executors.values().filter(offering) {
            for (name, offered) in &executor.offers {
                if **name != *method {
                    continue;
                }
                if *offered != version {
                    cause = Cause::Version;
                } else if executor.is_free() {
                    return Ok(executor);
                } else {
                    detail = Some("busy");
                }
            }
        }
        if detail.is_some() {
            cause = Cause::Executor;
        }
        Err((cause, detail))
    }

    fn held(
        &self,
        claim: &Claim,
        outstanding: ClaimOperation,
        blockers: &[Cursor],
        more: bool,
    ) -> Reason {
        Reason {
            resource: Some((*claim.resource).clone()),
            operation: Some(outstanding),
            blocked_by: blockers
                .iter()
                .map(|place| self.at_place(*place).subject.id.clone())
                .collect(),
            more,
            ..Reason::of(Cause::Resource)
        }
    }
}

fn executor_reason(cause: Cause, detail: Option<&str>) -> Reason {
    Reason {
        detail: detail.map(Arc::from),
        ..Reason::of(cause)
    }
}
