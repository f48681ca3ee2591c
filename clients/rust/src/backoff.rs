//! How long to wait before trying again.

use std::time::Duration;

use crate::random::random;

/// Delays that double up to a bound, each between half and the whole of it at random, so that many
/// clients of one daemon do not come back at once.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self {
            next: first.min(most),
            most,
        }
    }

    pub(crate) fn delay(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.most);
        whole.mul_f64(0.5 + 0.5 * fraction())
    }
}

/// A number in [0, 1).
fn fraction() -> f64 {
    f64::from(u32::try_from(random() >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_bound_and_are_spread() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for whole in [100, 200, 350, 350] {
            let delay = backoff.delay();
            assert!(delay <= Duration::from_millis(whole), "{delay:?}");
            assert!(delay >= Duration::from_millis(whole) / 2, "{delay:?}");
        }
    }
}
