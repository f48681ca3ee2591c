//! How many subscriptions there may be, and how much their filters may take in memory.

use std::sync::{Arc, Mutex, MutexGuard};

use super::SubscribeError;
use crate::filter::Filter;

/// What those who are subscribed, or wait in a read, take together.
pub(super) struct Seats {
    most: Taken,
    taken: Mutex<Taken>,
}

#[derive(Clone, Copy, Default)]
struct Taken {
    subscriptions: usize,
    filter_bytes: usize,
}

/// The right to be there; it is given back when it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    filter_bytes: usize,
}

impl Seats {
    pub(super) fn new(subscriptions: usize, filter_bytes: usize) -> Self {
        Self {
            most: Taken {
                subscriptions,
                filter_bytes,
            },
            taken: Mutex::default(),
        }
    }

    /// How many are there.
    pub(super) fn len(&self) -> usize {
        self.lock().subscriptions
    }

    pub(super) fn take(self: &Arc<Self>, filter: &Filter) -> Result<Seat, SubscribeError> {
        let filter_bytes = filter.bytes();
        let mut taken = self.lock();
        if taken.subscriptions >= self.most.subscriptions {
            return Err(SubscribeError::TooMany {
                what: "subscriptions",
                most: self.most.subscriptions,
            });
        }
        if taken.filter_bytes + filter_bytes > self.most.filter_bytes {
            return Err(SubscribeError::TooMany {
                what: "bytes of filters",
                most: self.most.filter_bytes,
            });
        }
        taken.subscriptions += 1;
        taken.filter_bytes += filter_bytes;
        Ok(Seat {
            seats: self.clone(),
            filter_bytes,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("nothing panics under this lock")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.subscriptions -= 1;
        taken.filter_bytes -= self.filter_bytes;
    }
}
