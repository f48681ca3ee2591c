//! Claims: who holds or wants which resource, and who is in whose way.
//!
//! The conflict table comes down to two rules. Create, update and delete are *exclusive*: they wait
//! for everything earlier on the resource. A read waits only for earlier *barriers*: creates and
//! deletes. And only the last barrier can reject: a create rejects a create, a delete rejects a
//! read, an update and a delete. So one ordered index by resource, operation and place answers
//! everything in a bounded number of range look-ups, and nobody keeps a list of blockers.
//!
//! Many reads can wait for one barrier. When it goes they are released a few at a time; how far
//! that has come is part of the state (`wakes`).

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::event::Cursor;
use crate::operation::{Claim, ClaimOperation, Resource};

/// How many reads one event releases at the most.
pub(crate) const WAKE_BATCH: usize = 64;

/// How many blockers a reason names.
pub(crate) const NAMED_BLOCKERS: usize = 16;

const BARRIERS: [ClaimOperation; 2] = [ClaimOperation::Create, ClaimOperation::Delete];

/// All claims of open operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    index: OrdSet<(Arc<Resource>, ClaimOperation, Cursor)>,
    /// Resources with reads to release: all up to this place are released.
    wakes: OrdMap<Arc<Resource>, Cursor>,
}

/// What a new claim meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is in its way.
    Free,
    /// It waits.
    Postponed,
    /// It can never be met: the last barrier, and who it is.
    Rejected(ClaimOperation, Cursor),
}

impl Claims {
    /// What a new claim would meet.
    pub(crate) fn judge(&self, claim: &Claim) -> Verdict {
        use ClaimOperation::{Create, Delete, Read, Update};
        let resource = Arc::new(claim.resource.clone());
        match (self.last_barrier(&resource), claim.operation) {
            (Some((Create, place)), Create) => return Verdict::Rejected(Create, place),
            (Some((Delete, place)), Read | Update | Delete) => {
                return Verdict::Rejected(Delete, place);
            }
            _ => {}
        }
        if self.is_blocked(&resource, claim.operation, Cursor::MAX) {
            Verdict::Postponed
        } else {
            Verdict::Free
        }
    }

    /// Adds the claim of the operation at `place`, the latest of all. Returns whether it must wait.
    pub(crate) fn insert(&mut self, claim: &Claim, place: Cursor) -> bool {
        let resource = Arc::new(claim.resource.clone());
        let blocked = self.is_blocked(&resource, claim.operation, place);
        self.index.insert((resource, claim.operation, place));
        blocked
    }

    /// Takes back the claim of the operation at `place`. Returns the place of the exclusive claim
    /// that this lets through, if there is one; reads are released by [`Claims::wake`].
    pub(crate) fn remove(&mut self, claim: &Claim, place: Cursor) -> Option<Cursor> {
        let resource = Arc::new(claim.resource.clone());
        self.index
            .remove(&(resource.clone(), claim.operation, place));
        if BARRIERS.contains(&claim.operation) && self.barrier_before(&resource, place).is_none() {
            self.wakes.entry(resource.clone()).or_insert(place);
        }
        let (operation, first) = self.first(&resource)?;
        (operation != ClaimOperation::Read && place < first).then_some(first)
    }

    /// Whether a mass wake-up is under way.
    pub(crate) fn has_wakes(&self) -> bool {
        !self.wakes.is_empty()
    }

    /// The next reads to release, [`WAKE_BATCH`] at the most.
    pub(crate) fn wake(&mut self) -> Vec<Cursor> {
        let mut released = Vec::new();
        while let Some((resource, after)) = self.wakes.get_min().cloned() {
            let until = self.barrier_after(&resource, after).unwrap_or(Cursor::MAX);
            let room = WAKE_BATCH - released.len();
            let read = |place| (resource.clone(), ClaimOperation::Read, place);
            released.extend(
                self.index
                    .range(read(after + 1)..read(until))
                    .map(|(_, _, place)| *place)
                    .take(room),
            );
            if released.len() < WAKE_BATCH {
                self.wakes.remove(&resource);
            } else {
                let last = released[released.len() - 1];
                self.wakes.insert(resource, last);
                break;
            }
        }
        released
    }

    /// Resources with reads still to release, and how far that has come.
    pub(crate) fn wakes(&self) -> impl Iterator<Item = (&Arc<Resource>, Cursor)> {
        self.wakes
            .iter()
            .map(|(resource, after)| (resource, *after))
    }

    /// Puts back a wake-up that was under way.
    pub(crate) fn restore_wake(&mut self, resource: Resource, after: Cursor) {
        self.wakes.insert(Arc::new(resource), after);
    }

    /// The operations of one kind that are in the way of a claim registered at `place`: the oldest
    /// [`NAMED_BLOCKERS`], and whether there are others.
    pub(crate) fn blockers(
        &self,
        claim: &Claim,
        outstanding: ClaimOperation,
        place: Cursor,
    ) -> (Vec<Cursor>, bool) {
        if claim.operation == ClaimOperation::Read && !BARRIERS.contains(&outstanding) {
            return (Vec::new(), false);
        }
        let resource = Arc::new(claim.resource.clone());
        let mut found: Vec<Cursor> = self
            .range(&resource, outstanding, 0, place)
            .take(NAMED_BLOCKERS + 1)
            .collect();
        let more = found.len() > NAMED_BLOCKERS;
        found.truncate(NAMED_BLOCKERS);
        (found, more)
    }

    /// Every operation with a claim on the resource.
    pub(crate) fn holders(&self, resource: &Resource) -> Vec<Cursor> {
        let resource = Arc::new(resource.clone());
        let mut holders: Vec<Cursor> = ClaimOperation::ALL
            .into_iter()
            .flat_map(|operation| self.range(&resource, operation, 0, Cursor::MAX))
            .collect();
        holders.sort_unstable();
        holders
    }

    fn is_blocked(&self, resource: &Arc<Resource>, operation: ClaimOperation, at: Cursor) -> bool {
        match operation {
            // While reads before it are still being released, a new read takes its turn behind them.
            ClaimOperation::Read => {
                self.barrier_before(resource, at).is_some()
                    || self
                        .wakes
                        .get(resource)
                        .is_some_and(|released| *released < at)
            }
            _ => self.first(resource).is_some_and(|(_, first)| first < at),
        }
    }

    /// The earliest claim on the resource.
    fn first(&self, resource: &Arc<Resource>) -> Option<(ClaimOperation, Cursor)> {
        ClaimOperation::ALL
            .into_iter()
            .filter_map(|operation| {
                let first = self.range(resource, operation, 0, Cursor::MAX).next()?;
                Some((operation, first))
            })
            .min_by_key(|(_, place)| *place)
    }

    fn last_barrier(&self, resource: &Arc<Resource>) -> Option<(ClaimOperation, Cursor)> {
        BARRIERS
            .into_iter()
            .filter_map(|operation| {
                let last = self
                    .range(resource, operation, 0, Cursor::MAX)
                    .next_back()?;
                Some((operation, last))
            })
            .max_by_key(|(_, place)| *place)
    }

    fn barrier_before(&self, resource: &Arc<Resource>, place: Cursor) -> Option<Cursor> {
        BARRIERS
            .into_iter()
            .filter_map(|operation| self.range(resource, operation, 0, place).next())
            .min()
    }

    fn barrier_after(&self, resource: &Arc<Resource>, place: Cursor) -> Option<Cursor> {
        BARRIERS
            .into_iter()
            .filter_map(|operation| {
                self.range(resource, operation, place.saturating_add(1), Cursor::MAX)
                    .next()
            })
            .min()
    }

    /// The places `from..until` of one kind of claim on the resource.
    fn range<'a>(
        &'a self,
        resource: &Arc<Resource>,
        operation: ClaimOperation,
        from: Cursor,
        until: Cursor,
    ) -> impl DoubleEndedIterator<Item = Cursor> + 'a {
        let key = |place| (resource.clone(), operation, place);
        self.index
            .range(key(from)..key(until))
            .map(|(_, _, place)| *place)
    }
}
