//! Where the engine takes the time from: the system, or a test that sets it.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opstead_core::Time;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// The time of day, which may be set back.
    fn now(&self) -> Time;

    /// How much time has passed since some moment. Never goes back.
    fn uptime(&self) -> Duration;
}

/// The clock of the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Time(elapsed.as_millis() as u64)
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
