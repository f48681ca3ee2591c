//! Why an operation does not run: computed when asked, from who is in its way now.

use std::sync::Arc;

use crate::claims::Judgement;
use crate::event::Cursor;
use crate::operation::{Claim, ClaimOperation, Operation, OperationState};
use crate::refusal::{Cause, Reason, Refusal};
use crate::state::{Executor, State};

impl State {
    /// Every reason why a waiting operation does not run; none for any other.
    pub fn reasons(&self, operation: &Operation) -> Vec<Reason> {
        if operation.state != OperationState::Waiting {
            return Vec::new();
        }
        let subject = &operation.subject;
        let mut reasons = Vec::new();
        for claim in &operation.request.claims {
            let blockers = self.claims.blockers(claim, subject.sequence);
            reasons.extend(blockers.map(|(outstanding, blockers, more)| {
                self.held(claim, outstanding, &blockers, more)
            }));
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
        for executor in self.executors.values().filter(|executor| executor.attached) {
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
            cause: Cause::Resource,
            resource: Some((*claim.resource).clone()),
            operation: Some(outstanding),
            blocked_by: blockers
                .iter()
                .filter_map(|sequence| self.operations.get(sequence))
                .map(|operation| operation.subject.id.clone())
                .collect(),
            more,
            detail: None,
        }
    }
}

fn executor_reason(cause: Cause, detail: Option<&str>) -> Reason {
    Reason {
        cause,
        resource: None,
        operation: None,
        blocked_by: Vec::new(),
        more: false,
        detail: detail.map(Arc::from),
    }
}
