//! Capacity: the weight of all that runs stays within it, and the oldest that does not fit is not
//! starved by lighter ones.
//!
//! When an operation becomes the oldest that lacks nothing but capacity, weight is *reserved* for
//! it: what is free at that moment may still be used by lighter ones, what is freed later is kept.
//! An attempt may wait for what it has registered; so when only such attempts could make room, what
//! is free then is lent out again.

use imbl::OrdSet;
use serde::{Deserialize, Serialize};

use crate::claims::NAMED_BLOCKERS;
use crate::event::Cursor;

/// Who uses how much of it, and for whom the rest is kept.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    /// All of it. Nothing limits it until somebody says so.
    pub(crate) whole: u32,
    used: u64,
    /// Operations that use some of it.
    users: OrdSet<Cursor>,
    pub(crate) reserve: Option<Reserve>,
}

/// Weight that is kept for the oldest that lacks nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// The operation it is kept for.
    pub sequence: Cursor,
    /// Its place.
    pub place: Cursor,
    /// How much of the free weight younger ones may still use.
    pub usable: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            whole: u32::MAX,
            used: 0,
            users: OrdSet::new(),
            reserve: None,
        }
    }
}

impl Capacity {
    pub(crate) fn free(&self) -> u32 {
        let free = u64::from(self.whole).saturating_sub(self.used);
        free as u32
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// What an operation at that place may use.
    pub(crate) fn allowance(&self, place: Cursor) -> u32 {
        match self.reserve {
            Some(reserve) if place > reserve.place => reserve.usable,
            _ => self.free(),
        }
    }

    /// The most that an operation may weigh to fit into an allowance. What weighs more than the
    /// whole, which has become less since, fits when nothing else runs.
    pub(crate) fn most(&self, allowance: u32) -> u32 {
        if allowance >= self.whole {
            u32::MAX
        } else {
            allowance
        }
    }

    /// Whether an operation at that place fits now.
    pub(crate) fn fits(&self, place: Cursor, weight: u32) -> bool {
        weight <= self.most(self.allowance(place))
    }

    pub(crate) fn take(&mut self, sequence: Cursor, weight: u32) {
        if weight > 0 {
            self.used += u64::from(weight);
            self.users.insert(sequence);
            if let Some(reserve) = &mut self.reserve {
                reserve.usable = reserve.usable.saturating_sub(weight);
            }
        }
    }

    pub(crate) fn give_back(&mut self, sequence: Cursor, weight: u32) {
        if weight > 0 {
            self.used -= u64::from(weight);
            self.users.remove(&sequence);
        }
    }

    /// Keeps what will be freed for an operation, or for nobody.
    pub(crate) fn reserve(&mut self, operation: Option<(Cursor, Cursor)>) {
        let usable = self.free();
        self.reserve = operation.map(|(sequence, place)| Reserve {
            sequence,
            place,
            usable,
        });
    }

    /// The operation at that place waits no longer, or for more than capacity.
    pub(crate) fn forget(&mut self, place: Cursor) {
        if self.reserve.is_some_and(|reserve| reserve.place == place) {
            self.reserve = None;
        }
    }

    pub(crate) fn resize(&mut self, whole: u32) {
        self.whole = whole;
        let free = self.free();
        if let Some(reserve) = &mut self.reserve {
            reserve.usable = reserve.usable.min(free);
        }
    }

    /// All that use some of it.
    pub(crate) fn users(&self) -> impl Iterator<Item = &Cursor> {
        self.users.iter()
    }

    /// The oldest that use it, and whether there are others.
    pub(crate) fn oldest_users(&self) -> (Vec<Cursor>, bool) {
        let oldest = self.users.iter().take(NAMED_BLOCKERS).copied().collect();
        (oldest, self.users.len() > NAMED_BLOCKERS)
    }
}
