//! Claims: who holds or wants which resource, and who is in whose way.
//!
//! The conflict table comes down to two rules. Create, update and delete are *exclusive*: they wait
//! for everything earlier on the resource. A read waits only for earlier *barriers*: creates and
//! deletes. And only the last barrier can reject: a create rejects a create, a delete rejects a
//! read, an update and a delete. So the holders of a resource, by operation and sequence, answer
//! everything after one look-up, and nobody keeps a list of blockers.
//!
//! Many reads can wait for one barrier. When it goes they are released a few at a time; how far
//! that has come is part of the state (`wakes`).

use std::ops::Range;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};

use crate::event::Cursor;
use crate::operation::{Claim, ClaimOperation, Resource};

/// How many reads one event releases at the most.
pub(crate) const WAKE_BATCH: usize = 64;

/// How many blockers a reason names.
pub(crate) const NAMED_BLOCKERS: usize = 16;

/// All claims of open operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    index: OrdMap<Arc<Resource>, Holders>,
    /// Reads to release. They take turns, so that a long one holds up no other.
    wakes: Vector<Wake>,
}

/// Reads to release, because the barrier before them is gone: those behind `after`, up to `until`.
/// Whoever comes later is not among them, and neither is who waits for another barrier.
#[derive(Clone, Debug)]
pub(crate) struct Wake {
    pub(crate) resource: Arc<Resource>,
    pub(crate) after: Cursor,
    pub(crate) until: Cursor,
}

/// What a new claim meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nothing is in its way.
    Free,
    /// It waits.
    Postponed,
    /// It can never be met: the last barrier, and who it is.
    Rejected(ClaimOperation, Cursor),
}

/// Who holds or wants one resource. Most resources have one holder, so that one is kept small.
#[derive(Clone, Debug)]
enum Holders {
    One(ClaimOperation, Cursor),
    /// By [`ClaimOperation`].
    Many(Arc<[OrdSet<Cursor>; 4]>),
}

impl Claims {
    /// What a new claim would meet.
    pub(crate) fn judge(&self, claim: &Claim) -> Judgement {
        use ClaimOperation::{Create, Delete, Read, Update};
        let Some(holders) = self.index.get(&claim.resource) else {
            return Judgement::Free;
        };
        match (holders.last_barrier(), claim.operation) {
            (Some((Create, sequence)), Create) => Judgement::Rejected(Create, sequence),
            (Some((Delete, sequence)), Read | Update | Delete) => {
                Judgement::Rejected(Delete, sequence)
            }
            (None, Read) => Judgement::Free,
            _ => Judgement::Postponed,
        }
    }

    /// Adds the claim of the operation at `sequence`, the latest of all. Returns whether it must
    /// wait.
    pub(crate) fn insert(&mut self, claim: &Claim, sequence: Cursor) -> bool {
        let Some(holders) = self.index.get_mut(&claim.resource) else {
            let holders = Holders::One(claim.operation, sequence);
            self.index.insert(claim.resource.clone(), holders);
            return false;
        };
        let blocked = claim.operation != ClaimOperation::Read || holders.first_barrier().is_some();
        holders.insert(claim.operation, sequence);
        blocked
    }

    /// Takes back the claim of the operation at `sequence`. Returns the sequence of the exclusive
    /// claim that this lets through, if there is one; reads are released by [`Claims::wake`].
    pub(crate) fn remove(&mut self, claim: &Claim, sequence: Cursor) -> Option<Cursor> {
        let holders = self
            .index
            .get_mut(&claim.resource)
            .expect("a claim is held until it is taken back");
        if let Holders::One(..) = holders {
            self.index.remove(&claim.resource);
            return None;
        }
        holders.remove(claim.operation, sequence);
        if claim.operation.is_barrier() {
            let next_barrier = holders.first_barrier().unwrap_or(Cursor::MAX);
            let freed = sequence..next_barrier.max(sequence);
            let last = holders.range(ClaimOperation::Read, freed).next_back();
            if let Some(until) = last {
                self.wakes.push_back(Wake {
                    resource: claim.resource.clone(),
                    after: sequence,
                    until,
                });
            }
        }
        let (operation, first) = holders.first()?;
        (operation != ClaimOperation::Read && sequence < first).then_some(first)
    }

    /// Whether a mass wake-up is under way.
    pub(crate) fn has_wakes(&self) -> bool {
        !self.wakes.is_empty()
    }

    /// The next reads to release, [`WAKE_BATCH`] at the most.
    pub(crate) fn wake(&mut self) -> Vec<Cursor> {
        let mut released = Vec::new();
        while released.len() < WAKE_BATCH {
            let Some(mut wake) = self.wakes.pop_front() else {
                break;
            };
            let room = WAKE_BATCH - released.len();
            released.extend(self.asleep(&wake).take(room));
            if released.len() == WAKE_BATCH {
                wake.after = released[WAKE_BATCH - 1];
                if self.asleep(&wake).next().is_some() {
                    self.wakes.push_back(wake);
                }
            }
        }
        released
    }

    /// What is still to be released, in turn.
    pub(crate) fn wakes(&self) -> impl Iterator<Item = &Wake> {
        self.wakes.iter()
    }

    /// Puts back a wake-up that was under way, its claims being there already. Returns the reads
    /// that still wait for it.
    pub(crate) fn restore_wake(&mut self, wake: Wake) -> Vec<Cursor> {
        let asleep = self.asleep(&wake).collect();
        self.wakes.push_back(wake);
        asleep
    }

    /// The reads that a wake-up has not come to.
    fn asleep(&self, wake: &Wake) -> impl Iterator<Item = Cursor> {
        let rest = wake.after + 1..wake.until + 1;
        self.index
            .get(&wake.resource)
            .into_iter()
            .flat_map(move |holders| holders.range(ClaimOperation::Read, rest.clone()))
    }

    /// The operations that are in the way of a claim registered at `sequence`: of each kind the
    /// oldest [`NAMED_BLOCKERS`], and whether there are others.
    pub(crate) fn blockers(
        &self,
        claim: &Claim,
        sequence: Cursor,
    ) -> impl Iterator<Item = (ClaimOperation, Vec<Cursor>, bool)> {
        let reads = claim.operation == ClaimOperation::Read;
        let holders = self.index.get(&claim.resource).into_iter();
        holders.flat_map(move |holders| {
            ClaimOperation::ALL
                .into_iter()
                .filter(move |outstanding| !reads || outstanding.is_barrier())
                .filter_map(move |outstanding| {
                    let mut earlier = holders.range(outstanding, 0..sequence);
                    let found: Vec<_> = earlier.by_ref().take(NAMED_BLOCKERS).collect();
                    let more = earlier.next().is_some();
                    (!found.is_empty()).then_some((outstanding, found, more))
                })
        })
    }

    /// Every operation with a claim on the resource.
    pub(crate) fn holders(&self, resource: &Resource) -> Vec<Cursor> {
        let holders = self.index.get(resource);
        let mut sequences: Vec<Cursor> = holders
            .into_iter()
            .flat_map(|holders| {
                ClaimOperation::ALL
                    .into_iter()
                    .flat_map(|operation| holders.range(operation, 0..Cursor::MAX))
            })
            .collect();
        sequences.sort_unstable();
        sequences
    }
}

impl Holders {
    fn insert(&mut self, operation: ClaimOperation, sequence: Cursor) {
        if let Self::One(held, first) = *self {
            let mut queues: [OrdSet<Cursor>; 4] = Default::default();
            queues[held as usize].insert(first);
            *self = Self::Many(Arc::new(queues));
        }
        if let Self::Many(queues) = self {
            Arc::make_mut(queues)[operation as usize].insert(sequence);
        }
    }

    fn remove(&mut self, operation: ClaimOperation, sequence: Cursor) {
        if let Self::Many(queues) = self {
            let queues = Arc::make_mut(queues);
            queues[operation as usize].remove(&sequence);
            if queues.iter().map(OrdSet::len).sum::<usize>() == 1
                && let Some((operation, last)) = self.first()
            {
                *self = Self::One(operation, last);
            }
        }
    }

    /// The earliest of all.
    fn first(&self) -> Option<(ClaimOperation, Cursor)> {
        ClaimOperation::ALL
            .into_iter()
            .filter_map(|operation| Some((operation, self.first_of(operation)?)))
            .min_by_key(|(_, sequence)| *sequence)
    }

    fn first_barrier(&self) -> Option<Cursor> {
        ClaimOperation::BARRIERS
            .into_iter()
            .filter_map(|operation| self.first_of(operation))
            .min()
    }

    fn last_barrier(&self) -> Option<(ClaimOperation, Cursor)> {
        let last_of = |operation: ClaimOperation| match self {
            Self::One(held, sequence) => (*held == operation).then_some(*sequence),
            Self::Many(queues) => queues[operation as usize].get_max().copied(),
        };
        ClaimOperation::BARRIERS
            .into_iter()
            .filter_map(|operation| Some((operation, last_of(operation)?)))
            .max_by_key(|(_, sequence)| *sequence)
    }

    fn first_of(&self, operation: ClaimOperation) -> Option<Cursor> {
        match self {
            Self::One(held, sequence) => (*held == operation).then_some(*sequence),
            Self::Many(queues) => queues[operation as usize].get_min().copied(),
        }
    }

    /// Those of one kind whose sequence is within.
    fn range(
        &self,
        operation: ClaimOperation,
        within: Range<Cursor>,
    ) -> impl DoubleEndedIterator<Item = Cursor> {
        let (one, many) = match self {
            Self::One(held, sequence) => {
                let found = *held == operation && within.contains(sequence);
                (found.then_some(*sequence), None)
            }
            Self::Many(queues) => (None, Some(queues[operation as usize].range(within))),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }
}
