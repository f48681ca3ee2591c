//! The naive model of what an operation asks for beside its claims: weight, dependencies, start
//! times, delays, a parent.

use std::sync::Arc;

use opstead_core::{
    Cause, Cursor, Declaration, Dependency, Moment, OperationState, Reason, Refusal, Register,
};

use super::model::{Expected, Model, ModelOperation};
use OperationState::{Canceling, Running, Scheduled, Waiting};

impl Model {
    /// Open operations with a place, in order.
    pub(crate) fn by_place(&self) -> Vec<&ModelOperation> {
        let mut placed: Vec<_> = self.open.iter().filter(|known| known.place != 0).collect();
        placed.sort_by_key(|known| known.place);
        placed
    }

    /// The refusal of a request that is to follow an operation that nobody knows.
    pub(crate) fn dependency_unknown(&self, register: &Register) -> Option<Refusal> {
        let mut after = register.after.iter();
        let unknown = after.find(|earlier| self.known(&earlier.id).is_none())?;
        let id = unknown.id.clone();
        Some(Refusal::OperationNotFound { id })
    }

    /// The refusal of a request whose conditions cannot be met.
    pub(crate) fn impossible(
        &self,
        register: &Register,
        method: &Declaration,
        now: Moment,
    ) -> Option<Expected> {
        let starts = register.start_at.unwrap_or(now.wall).max(now.wall);
        if register.start_before.is_some_and(|time| time <= starts) {
            return Some(Expected::Invalid);
        }
        let weight = register.weight.unwrap_or(method.weight);
        if let Some(capacity) = self.capacity.filter(|capacity| weight > *capacity) {
            let refusal = Refusal::WeightTooLarge { weight, capacity };
            return Some(Expected::Refused(refusal));
        }
        let lease = register.lease?;
        let holder = self
            .open
            .iter()
            .find(|known| known.sequence == lease.sequence);
        match holder.filter(|_| self.lease_holds(lease)) {
            None => Some(Expected::Refused(Refusal::StaleLease)),
            Some(known) if known.state == Canceling => Some(Expected::Refused(Refusal::Canceled)),
            Some(_) => None,
        }
    }

    /// What a new operation waits for beside its claims, and who is in the way of these.
    pub(crate) fn condition(
        &self,
        operation: &mut ModelOperation,
        register: &Register,
        now: Moment,
    ) {
        for earlier in &register.after {
            let known = self.known(&earlier.id).expect("checked before");
            if known.ended.is_none() {
                operation.outstanding.insert(known.sequence);
            } else if !earlier.states.contains(&known.state) {
                operation.is_doomed = true;
            }
            operation.after.push(Dependency {
                sequence: known.sequence,
                id: known.id.clone(),
                states: earlier.states.clone(),
            });
        }
        if operation.start_at.is_some_and(|time| time > now.wall) {
            operation.state = Scheduled;
        }
        if operation.state == Scheduled || !self.follows_placed(operation) {
            operation.place = 0;
        } else {
            operation.blockers = self.blockers(&operation.claims);
        }
    }

    /// Whether all that an operation follows have a place, or have ended.
    pub(crate) fn follows_placed(&self, operation: &ModelOperation) -> bool {
        let unplaced = |known: &&ModelOperation| {
            known.place == 0 && operation.outstanding.contains(&known.sequence)
        };
        self.open.iter().find(unplaced).is_none()
    }

    /// Whether an operation could get its place.
    pub(crate) fn is_placeable(&self, known: &ModelOperation) -> bool {
        known.state == Waiting && known.place == 0 && self.follows_placed(known)
    }

    pub(crate) fn used(&self) -> u64 {
        let held = |known: &&ModelOperation| matches!(known.state, Running | Canceling);
        let weights = self.open.iter().filter(held);
        weights.map(|known| u64::from(known.weight)).sum()
    }

    fn whole(&self) -> u64 {
        self.capacity.map_or(u64::from(u32::MAX), u64::from)
    }

    pub(crate) fn free(&self) -> u64 {
        self.whole().saturating_sub(self.used())
    }

    /// Whether there is weight left for an operation; what weighs more than all fits alone.
    pub(crate) fn fits(&self, operation: &ModelOperation) -> bool {
        if operation.weight == 0 {
            return true;
        }
        let place = match operation.place {
            0 => Cursor::MAX,
            place => place,
        };
        let left = match self.reserve {
            Some((reserved, usable)) if place > reserved => u64::from(usable),
            _ => self.free(),
        };
        u64::from(operation.weight) <= left || left >= self.whole()
    }

    /// Whether an operation waits for nothing, or only for weight.
    pub(crate) fn lacks_only_capacity(&self, known: &ModelOperation) -> bool {
        known.state == Waiting
            && known.place != 0
            && known.blockers.is_empty()
            && known.outstanding.is_empty()
            && !known.is_doomed
            && known.timer.is_none()
            && self.free_executor(known).is_some()
    }

    /// The place of the oldest operation that waits for nothing, or only for weight, of those that
    /// `count`.
    pub(crate) fn oldest(&self, count: impl Fn(&ModelOperation) -> bool) -> Option<Cursor> {
        let mut open = self.by_place().into_iter();
        let found = open.find(|known| self.lacks_only_capacity(known) && count(known));
        found.map(|known| known.place)
    }

    /// Whether somebody who is there takes operations of this method at all.
    pub(crate) fn is_offered(&self, known: &ModelOperation) -> bool {
        let offer = (known.method.clone(), known.version);
        let mut there = self.executors.iter();
        there.any(|executor| executor.capacity > 0 && executor.offers.contains(&offer))
    }

    /// Whether weight is kept from somebody for one that waits only for those that may wait
    /// themselves, for what they have registered.
    pub(crate) fn keeps_in_vain(&self) -> bool {
        let Some((place, _)) = self.reserve else {
            return false;
        };
        let fits_without = |known: &ModelOperation| {
            let (weight, free) = (u64::from(known.weight), self.free());
            known.place > place && !self.fits(known) && (weight <= free || free >= self.whole())
        };
        let mut open = self.open.iter();
        let oldest = open.find(|known| known.place == place).expect("it is open");
        let lacks_executor = self.free_executor(oldest).is_none();
        let is_waited_for = |known: &&ModelOperation| {
            let held = matches!(known.state, Running | Canceling);
            held && match lacks_executor {
                false => known.weight > 0,
                true => self.executors.iter().any(|executor| {
                    let offer = (oldest.method.clone(), oldest.version);
                    Some(&executor.name) == known.executor.as_ref()
                        && executor.capacity > 0
                        && executor.offers.contains(&offer)
                }),
            }
        };
        let is_parent = |known: &ModelOperation| {
            let mut open = self.open.iter();
            open.any(|child| child.parent == Some(known.sequence))
        };
        self.oldest(fits_without).is_some() && self.open.iter().filter(is_waited_for).all(is_parent)
    }

    /// An operation starts: what is kept for others changes.
    pub(crate) fn use_weight(&mut self, sequence: Cursor) {
        let known = self.operation(sequence);
        let (place, weight) = (known.place, known.weight);
        match &mut self.reserve {
            Some((reserved, _)) if *reserved == place => self.reserve = None,
            Some((_, usable)) => *usable = usable.saturating_sub(weight),
            None => {}
        }
    }

    /// The children of an operation are to be canceled with it.
    pub(crate) fn disown(&mut self, sequence: Cursor) {
        for known in &mut self.open {
            known.is_cancel_due |= known.parent == Some(sequence);
        }
    }

    /// The reasons that are neither a resource nor the executor.
    pub(crate) fn other_reasons(&self, operation: &ModelOperation, reasons: &mut Vec<Reason>) {
        let outstanding = |known: &&ModelOperation| operation.outstanding.contains(&known.sequence);
        let ids: Vec<Arc<str>> = self
            .open
            .iter()
            .filter(outstanding)
            .map(|known| known.id.clone())
            .collect();
        if !ids.is_empty() {
            reasons.push(Reason {
                blocked_by: ids,
                ..Self::reason(Cause::Dependency)
            });
        }
        if operation.state == Waiting && operation.timer.is_some() {
            reasons.push(Self::reason(Cause::RetryDelay));
        }
        if operation.weight > 0 && !self.fits(operation) {
            reasons.push(self.too_heavy(operation));
        }
    }

    fn too_heavy(&self, operation: &ModelOperation) -> Reason {
        let (weight, free) = (u64::from(operation.weight), self.free());
        if weight <= free || free >= self.whole() {
            let (place, _) = self.reserve.expect("else it would fit");
            let mut open = self.open.iter();
            let other = open.find(|known| known.place == place).expect("it is open");
            return Reason {
                blocked_by: vec![other.id.clone()],
                detail: Some("kept".into()),
                ..Self::reason(Cause::Capacity)
            };
        }
        let users = self
            .open
            .iter()
            .filter(|known| known.weight > 0 && matches!(known.state, Running | Canceling));
        let mut ids: Vec<_> = users.map(|known| known.id.clone()).collect();
        let more = ids.len() > 16;
        ids.truncate(16);
        Reason {
            blocked_by: ids,
            more,
            ..Self::reason(Cause::Capacity)
        }
    }

    /// Whether anything that happens by itself should have happened by now. `None` if not.
    pub(crate) fn overdue(&self, now: Moment) -> Option<String> {
        for known in &self.open {
            let id = &known.id;
            let waits = matches!(known.state, Waiting | Scheduled);
            if known.is_doomed {
                return Some(format!("{id} is to be skipped"));
            }
            let can_stop = waits || (known.state == Running && known.cancelable);
            if known.is_cancel_due && can_stop && known.cancelable {
                return Some(format!("{id} is to be canceled"));
            }
            if known.state == Scheduled && known.start_at.is_some_and(|time| time <= now.wall) {
                return Some(format!("the time of {id} has come"));
            }
            let late = known.start_before.is_some_and(|time| time <= now.wall);
            if known.state == Waiting && known.attempt == 0 && late {
                return Some(format!("{id} is too late"));
            }
            if known.timer.is_some_and(|due| due <= now.steady) {
                return Some(format!("the timer of {id} is over"));
            }
            if self.is_placeable(known) {
                return Some(format!("{id} can get a place"));
            }
        }
        let mut kept = self.kept.iter().filter(|(_, due)| **due <= now.steady);
        if let Some((name, _)) = kept.find(|(name, _)| self.carried_out_by(name) > 0) {
            return Some(format!("{name} does not come back"));
        }
        if self.keeps_in_vain() {
            return Some("nobody is able to move for what is kept".to_owned());
        }
        let waits = self.oldest(|known| !self.fits(known))?;
        let kept = self.reserve.is_some_and(|(place, _)| place <= waits);
        (!kept).then(|| format!("nothing is kept for the one at {waits}"))
    }
}

impl ModelOperation {
    /// An operation has ended; it may be one that this one follows.
    pub(crate) fn hear_of_end(&mut self, sequence: Cursor, state: OperationState) {
        if self.outstanding.remove(&sequence) {
            let mut after = self.after.iter();
            let earlier = after.find(|earlier| earlier.sequence == sequence);
            let earlier = earlier.expect("outstanding ones are those it follows");
            self.is_doomed |= !earlier.states.contains(&state);
        }
    }

    /// Whether a failed attempt is followed by another.
    pub(crate) fn has_attempts_left(&self) -> bool {
        let used = self.attempt - self.interruptions;
        self.state == Running && self.retry.is_some_and(|retry| used < retry.max_attempts)
    }
}
