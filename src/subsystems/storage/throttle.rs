//! The limit on copying: guests that use the same disks are not to be disturbed. One for the whole
//! storage, however many copies run.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Hands out turns so that all together stay within a rate.
pub(super) struct Throttle {
    bytes_per_second: NonZeroU64,
    /// When the next turn begins.
    next: Mutex<Instant>,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second,
            next: Mutex::new(Instant::now()),
        }
    }

    /// The most to copy in one turn: a tenth of a second's worth, so that copies take turns often,
    /// but not so little that calls outweigh the copying.
    pub(super) fn turn_bytes(&self) -> u64 {
        (self.bytes_per_second.get() / 10).max(4 << 10)
    }

    /// How fast one of several that keep to a rate of their own may be, so that all of them stay
    /// within the rate together. What they move is charged by [`Throttle::take_turn`], so that
    /// whoever takes turns makes do with the rest.
    pub(super) fn share(&self, of: u32) -> u64 {
        (self.bytes_per_second.get() / u64::from(of.max(1))).max(1)
    }

    /// Takes the next turn, of so many bytes; returns when it begins. Time that nobody used is not
    /// saved up.
    pub(super) fn take_turn(&self, bytes: u64) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*next).max(Instant::now());
        let seconds = bytes as f64 / self.bytes_per_second.get() as f64;
        *next = begin + Duration::from_secs_f64(seconds);
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_one_another_at_the_rate() {
        let rate = NonZeroU64::new(1_000).expect("not zero");
        let throttle = Throttle::new(rate);
        let first = throttle.take_turn(500);
        let second = throttle.take_turn(2_000);
        let third = throttle.take_turn(1);
        assert_eq!(second - first, Duration::from_millis(500));
        assert_eq!(third - second, Duration::from_secs(2));
    }
}
