//! What may happen to a flow and its steps, and when.

use opstead_core::{Change, Cursor, Failure, OperationEvent, OperationState};
use serde_json::Value;

use super::plan::conflict;
use super::witness::{Known, Witness};
use crate::harness::Seen;
use OperationState::{
    Canceled, Canceling, Completed, Failed, RevertFailed, Reverted, Reverting, Running, Scheduled,
    Skipped, Waiting,
};

impl Witness {
    /// Panics unless this may happen now.
    pub(super) fn assert_may_happen(&self, place: Cursor, event: &OperationEvent, seen: &mut Seen) {
        let known = &self.known[&place];
        let flow = known.flow.map(|flow| &self.known[&flow]);
        assert!(
            flow.is_none_or(|flow| !flow.state.has_ended()),
            "its flow has ended: {event:?}"
        );
        let mut count = |what| *seen.entry(what).or_default() += 1;
        let allowed: &[OperationState] = match &event.change {
            Change::Registered(_) => &[],
            Change::Started {
                attempt, executor, ..
            } => {
                self.assert_starts(known, flow, *attempt, executor);
                &[Waiting]
            }
            Change::FlowStarted => {
                self.assert_claims_free(known);
                &[Waiting]
            }
            Change::Postponed => &[Waiting, Scheduled],
            Change::Progressed { .. } | Change::ErrorRecorded(_) if known.is_flow() => {
                &[Running, Canceling]
            }
            Change::Progressed { .. } | Change::ErrorRecorded(_) => {
                assert!(known.with.is_some(), "nobody is there to tell {event:?}");
                &[Running, Canceling, Reverting]
            }
            Change::Retrying => {
                assert!(known.with.is_some());
                if known.state == Reverting {
                    count("a revert interrupted");
                }
                &[Running, Reverting]
            }
            Change::AttemptFailed { .. } => &[Running],
            Change::CancelRequested => {
                assert!(flow.is_none_or(|flow| flow.was_canceled), "a step alone");
                &[Running]
            }
            Change::Completed(_) => {
                if known.is_flow() {
                    count("a flow completed");
                    assert!(!known.is_stopping());
                    assert!(self.steps(known).all(|step| step.state == Completed));
                }
                &[Running, Canceling]
            }
            Change::Failed(_) | Change::Canceled(_) | Change::Skipped(_) if known.is_flow() => {
                count("a flow ended before it began");
                assert!(
                    self.steps(known)
                        .all(|step| step.state == Skipped && !step.ran)
                );
                &[Waiting, Scheduled]
            }
            Change::Failed(_) => {
                if flow.is_some() && !known.ran {
                    count("a step failed before it ran");
                }
                &[Waiting, Scheduled, Running, Canceling]
            }
            Change::Canceled(_) => {
                assert!(flow.is_none_or(|flow| flow.was_canceled), "a step alone");
                &[Waiting, Scheduled, Canceling]
            }
            Change::Skipped(_) => {
                assert!(!known.ran, "it has run: {event:?}");
                // With a flow that has not begun its steps go first.
                assert!(flow.is_none_or(|flow| flow.is_stopping() || !flow.is_active()));
                &[Waiting, Scheduled]
            }
            Change::FlowReverting(failure) => {
                self.assert_turns_back(known, failure);
                &[Running, Canceling, RevertFailed]
            }
            Change::Reverting {
                attempt, executor, ..
            } => {
                let flow = flow.expect("a step");
                assert_eq!(flow.state, Reverting);
                assert_eq!(
                    *attempt,
                    known.attempt + 1,
                    "attempts are numbered one by one"
                );
                assert!(known.ran && known.with.is_none() && self.is_revertible(known));
                let first = self.first_to_revert(place);
                assert!(
                    first.is_none(),
                    "{} is to be reverted first",
                    first.unwrap_or("")
                );
                self.assert_has_room(known, executor);
                &[Completed, Failed, Canceled, Reverting]
            }
            Change::RevertFailed(_) => &[Reverting],
            Change::RevertRetried => {
                count("a revert retried");
                &[RevertFailed]
            }
            Change::Reverted => {
                if known.state == RevertFailed {
                    count("a revert skipped");
                }
                assert!(known.with.is_some() || known.state == RevertFailed);
                &[Reverting, RevertFailed]
            }
            Change::FlowRevertFailed(failure) => {
                count("a flow stuck");
                self.assert_stuck(known, failure, &mut count);
                &[Reverting]
            }
            Change::FlowReverted(failure) => {
                count(match known.was_canceled {
                    true => "a flow canceled",
                    false => "a flow reverted",
                });
                self.assert_reverted(known, failure, &mut count);
                &[Reverting]
            }
        };
        assert!(
            allowed.contains(&known.state),
            "{:?} after {:?}",
            event.change,
            known.state
        );
    }

    fn assert_starts(&self, known: &Known, flow: Option<&Known>, attempt: u32, executor: &str) {
        assert_eq!(
            attempt,
            known.attempt + 1,
            "attempts are numbered one by one"
        );
        assert!(!known.completed && !known.is_delayed && known.with.is_none());
        self.assert_has_room(known, executor);
        let used: u32 = self.with().map(|(_, other)| other.weight).sum();
        assert!(
            known.weight == 0 || used == 0 || used + known.weight <= self.capacity,
            "{} is too heavy beside {used}",
            known.id
        );
        let Some(flow) = flow else {
            return self.assert_claims_free(known);
        };
        assert!(
            flow.state == Running && !flow.is_stopping(),
            "its flow stops"
        );
        for required in &known.requires {
            let required = &self.known[required];
            assert!(
                required.completed,
                "{} comes before {}",
                required.id, known.id
            );
        }
    }

    /// The executor is there, takes the method and is able to take one more.
    fn assert_has_room(&self, known: &Known, executor: &str) {
        let offered = self.executors.get(executor).expect("it is attached");
        assert!(offered.offers.contains(&known.method));
        assert!(
            self.carried_by(executor) < offered.capacity as usize,
            "over its capacity"
        );
    }

    /// Nothing runs that its claims conflict with. Those of a flow stay until it is done.
    fn assert_claims_free(&self, starting: &Known) {
        let active = self
            .known
            .values()
            .filter(|other| other.flow.is_none() && other.is_active());
        for other in active {
            let (earlier, later) = match other.place < starting.place {
                true => (other, starting),
                false => (starting, other),
            };
            let ids = (&earlier.id, &later.id);
            assert!(
                !conflict(&earlier.claims, &later.claims),
                "{ids:?} conflict"
            );
        }
    }

    /// No step runs or is still to be run; nothing is reverted, either.
    fn assert_turns_back(&self, flow: &Known, failure: &Failure) {
        assert!(flow.is_stopping(), "nothing has failed");
        for step in self.steps(flow) {
            assert!(
                step.state.has_ended() || step.state == RevertFailed,
                "{}",
                step.id
            );
            assert!(step.with.is_none());
        }
        self.assert_first_failure(flow, failure);
    }

    fn assert_first_failure(&self, flow: &Known, failure: &Failure) {
        let first = flow.failed.first().map(|step| &self.known[step]);
        let due = match first.and_then(|step| step.failure.clone()) {
            Some(failure) if !flow.was_canceled => failure,
            _ => Failure::canceled(),
        };
        assert_eq!((failure.code, &failure.message), (due.code, &due.message));
    }

    fn assert_stuck(&self, flow: &Known, failure: &Failure, count: &mut impl FnMut(&'static str)) {
        self.assert_first_failure(flow, failure);
        let stuck = self.steps(flow).filter(|step| step.state == RevertFailed);
        let due: Vec<_> = stuck.map(|step| Value::from(&*step.id)).collect();
        assert!(!due.is_empty() && self.steps(flow).all(|step| step.state != Reverting));
        let told: Value = failure
            .data
            .as_ref()
            .expect("reverts are named")
            .parse()
            .expect("JSON");
        let more = told["moreReverts"].as_u64().unwrap_or(0);
        let told = told["reverts"].as_array().expect("an array").iter();
        let told: Vec<_> = told.map(|told| told["operationId"].clone()).collect();
        let first = &due[..due.len().min(Failure::MOST_TOLD)];
        assert_eq!((&*told, more), (first, (due.len() - first.len()) as u64));
        if due.len() > 1 {
            count("two reverts failed");
        }
    }

    /// Every step that ran is reverted, or named as left as it was.
    fn assert_reverted(
        &self,
        flow: &Known,
        failure: &Failure,
        count: &mut impl FnMut(&'static str),
    ) {
        self.assert_first_failure(flow, failure);
        let left = self
            .steps(flow)
            .filter(|step| step.ran && step.state != Reverted);
        let left: Vec<_> = left
            .map(|step| {
                assert!(!self.is_revertible(step), "{} is not reverted", step.id);
                Value::from(&step.id[flow.id.len() + 1..])
            })
            .collect();
        let data: Option<Value> = failure
            .data
            .as_ref()
            .map(|data| data.parse().expect("JSON"));
        let told = data.and_then(|data| data.get("notReverted").cloned());
        assert_eq!(told, (!left.is_empty()).then(|| Value::from(left.clone())));
        if !left.is_empty() {
            count("a step left as it was");
        }
    }
}
