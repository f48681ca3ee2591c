//! What must have been done once nothing is left to do by itself.

use opstead_core::{Cursor, OperationState};

use super::witness::{Known, Witness};
use OperationState::{Canceling, RevertFailed, Reverted, Reverting, Running, Waiting};

impl Witness {
    /// With nothing left to do by itself, nothing that must be done by now may be undone.
    pub(super) fn assert_nothing_left(&self) {
        for (place, flow) in self.known.iter().filter(|(_, known)| known.is_flow()) {
            let id = &flow.id;
            let some = |state| self.steps(flow).any(|step| step.state == state);
            let works = self.steps(flow).any(|step| step.with.is_some());
            match flow.state {
                Running | Canceling if flow.is_stopping() => {
                    assert!(works && !some(Waiting), "{id} is to be reverted");
                }
                Running => {
                    assert!(
                        !self.steps(flow).all(|step| step.completed),
                        "{id} is complete"
                    );
                    let ready = flow.steps.iter().find(|step| self.could_start(**step));
                    assert!(ready.is_none(), "{ready:?} could start");
                }
                Reverting => {
                    let goes_on = self.steps(flow).any(|step| self.is_to_be_reverted(step));
                    assert!(goes_on, "{id} is stuck or reverted");
                    let due = flow.steps.iter().find(|step| self.could_revert(**step));
                    assert!(due.is_none(), "{due:?} could be reverted");
                }
                RevertFailed => assert!(some(RevertFailed) && !some(Reverting), "{id} goes on"),
                state => assert!(state.has_ended() || !works, "{id} has not begun"),
            }
            assert!(!flow.state.has_ended() || !works, "{place} has ended");
        }
    }

    /// Whether only a mistake keeps a step from starting. Weight is left to others to judge.
    fn could_start(&self, place: Cursor) -> bool {
        let step = &self.known[&place];
        let met = step
            .requires
            .iter()
            .all(|required| self.known[required].completed);
        step.state == Waiting && !step.is_delayed && step.weight == 0 && met && self.has_taker(step)
    }

    fn could_revert(&self, place: Cursor) -> bool {
        let step = &self.known[&place];
        let is_due = step.with.is_none() && self.is_to_be_reverted(step);
        is_due && self.first_to_revert(place).is_none() && self.has_taker(step)
    }

    /// Whether a step of a flow that is being reverted has that still before it, or is at it.
    fn is_to_be_reverted(&self, step: &Known) -> bool {
        step.ran && self.is_revertible(step) && !matches!(step.state, Reverted | RevertFailed)
    }

    fn has_taker(&self, step: &Known) -> bool {
        self.executors.iter().any(|(name, executor)| {
            executor.offers.contains(&step.method)
                && self.carried_by(name) < executor.capacity as usize
        })
    }
}
