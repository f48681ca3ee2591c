//! The judge of what happens by itself: nothing may happen without need, and once nothing is left to
//! do, nothing that is needed may be missing.

use opstead_core::{
    Change, Cursor, Failure, OnInterrupt, OperationEvent, OperationState, State, Steady,
};

use super::judge::Judge;
use super::model::ModelOperation;
use OperationState::{Canceling, Running, Scheduled, Waiting};

impl Judge<'_> {
    /// Nothing is left to do: whoever could not be canceled with its parent goes on.
    pub(crate) fn settle(&mut self, state: &State) {
        if state.is_settled(self.now) && self.model.overdue(self.now).is_none() {
            let open = &mut self.model.open;
            open.iter_mut()
                .for_each(|known| known.is_cancel_due = false);
        }
    }

    fn place_of(&self, sequence: Cursor) -> &ModelOperation {
        let mut open = self.model.open.iter();
        let found = open.find(|known| known.sequence == sequence);
        found.expect("what happens by itself happens to open ones")
    }

    /// Panics unless there is a need for an event that nobody asked for.
    pub(crate) fn justify(&self, event: &OperationEvent) {
        let known = self.place_of(event.subject.sequence);
        let is_needed = match &event.change {
            Change::Skipped(_) => known.is_doomed,
            Change::CancelRequested => known.is_cancel_due,
            Change::Canceled(_) => known.is_cancel_due || self.is_given_up(known),
            Change::Retrying => self.is_given_up(known),
            Change::AttemptFailed { .. } => self.is_timed_out(known) && known.has_attempts_left(),
            Change::Failed(failure) => self.has_failed(known, failure.code),
            // It was scheduled, and cannot start at once.
            Change::Postponed => known.state == Waiting && known.attempt == 0,
            Change::Registered(_)
            | Change::Started { .. }
            | Change::Progressed { .. }
            | Change::ErrorRecorded(_)
            | Change::Completed(_) => false,
        };
        assert!(is_needed, "without need: {event:?}");
    }

    fn has_failed(&self, known: &ModelOperation, code: i32) -> bool {
        let now = self.now.wall;
        let has_come = known.start_at.is_some_and(|time| time <= now);
        let waits = matches!(known.state, Waiting | Scheduled);
        match code {
            Failure::START_DEADLINE_PASSED => {
                waits && known.attempt == 0 && known.start_before.is_some_and(|time| time <= now)
            }
            Failure::CONFLICT => {
                let comes = (known.state == Scheduled && has_come) || known.state == Waiting;
                comes
                    && known.place == 0
                    && self.model.follows_placed(known)
                    && !self.model.rejecting(&known.claims).is_empty()
            }
            Failure::ATTEMPT_TIMED_OUT => self.is_timed_out(known) && !known.has_attempts_left(),
            Failure::EXECUTOR_LOST => {
                let is_last = known.on_interrupt == OnInterrupt::Fail || known.interruptions == 4;
                is_last && self.is_given_up(known)
            }
            _ => false,
        }
    }

    fn is_timed_out(&self, known: &ModelOperation) -> bool {
        let is_held = matches!(known.state, Running | Canceling);
        is_held && known.timer.is_some_and(|due| due <= self.now.steady)
    }

    fn is_given_up(&self, known: &ModelOperation) -> bool {
        let executor = known.executor.as_ref();
        let kept = executor.and_then(|name| self.model.kept.get(name));
        let is_held = matches!(known.state, Running | Canceling);
        is_held && kept.is_some_and(|due| *due <= self.now.steady)
    }

    /// Weight that is freed is kept for somebody else from here on.
    pub(crate) fn reserve(&mut self, sequence: Option<Cursor>, orderly: bool) {
        let Some(sequence) = sequence else {
            let (place, _) = self.model.reserve.expect("it was kept for somebody");
            let mut open = self.model.open.iter();
            let known = open.find(|known| known.place == place);
            assert!(!self.model.is_offered(known.expect("it is open")));
            self.model.reserve = None;
            return;
        };
        let known = self.place_of(sequence);
        if self
            .model
            .reserve
            .is_some_and(|(place, _)| place == known.place)
        {
            assert!(self.model.keeps_in_vain());
            self.model.reserve = Some((known.place, self.model.free() as u32));
            return;
        }
        assert!(self.model.lacks_only_capacity(known) && !self.model.fits(known));
        let older = self.model.oldest(|_| orderly);
        assert!(
            older.is_none_or(|older| older == known.place),
            "{older:?} is older"
        );
        self.model.reserve = Some((known.place, self.model.free() as u32));
    }

    /// An operation gets its place, or only stops being scheduled.
    pub(crate) fn place(&mut self, cursor: Cursor, sequence: Cursor) {
        let known = self.place_of(sequence);
        let has_come = known.start_at.is_some_and(|time| time <= self.now.wall);
        assert!(known.place == 0);
        assert!(
            known.state != Scheduled || has_come,
            "{} comes too early",
            known.id
        );
        let is_placed = self.model.follows_placed(known);
        assert!(is_placed || known.state == Scheduled);
        let rejecting = self.model.rejecting(&known.claims);
        assert!(!is_placed || rejecting.is_empty(), "it can never be met");
        let blockers = self.model.blockers(&known.claims);
        let known = self.model.operation(sequence);
        known.state = Waiting;
        if is_placed {
            known.place = cursor;
            known.blockers = blockers;
        }
    }

    /// The delay before another attempt is over.
    pub(crate) fn end_delay(&mut self, sequence: Cursor) {
        let steady = self.now.steady;
        let known = self.model.operation(sequence);
        assert!(known.state == Waiting && known.timer.is_some_and(|due: Steady| due <= steady));
        known.timer = None;
    }
}
