//! One timer for all that is due some time: it reminds the loop of the next moment.

use opstead_core::{Moment, State, Steady, Time};
use std::time::Duration;
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::EngineHandle;
use super::request::Request;

/// The timer's hand.
pub(super) struct Alarm {
    wake_at: watch::Sender<Option<Instant>>,
    /// What it is set to.
    next: (Option<Time>, Option<Steady>),
}

impl Alarm {
    pub(super) fn new(runtime: &runtime::Handle, handle: EngineHandle) -> Self {
        let (wake_at, moments) = watch::channel(None);
        runtime.spawn(ring(moments, handle));
        Self {
            wake_at,
            next: (None, None),
        }
    }

    /// Looks at what is due next, `now` being this moment.
    pub(super) fn set(&mut self, state: &State, now: Moment) {
        let next = (state.next_time(), state.next_steady());
        if next == self.next {
            return;
        }
        self.next = next;
        let by_wall = next.0.map(|time| time.0.saturating_sub(now.wall.0));
        let by_steady = next.1.map(|due| due.0.saturating_sub(now.steady.0));
        let soonest = by_wall.into_iter().chain(by_steady).min();
        let at = soonest.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        self.wake_at.send_replace(at);
    }
}

/// Rings at each moment that is set. A wall clock that jumps is noticed by the loop's ticks.
async fn ring(mut moments: watch::Receiver<Option<Instant>>, handle: EngineHandle) {
    loop {
        let moment = *moments.borrow_and_update();
        let ring = async {
            match moment {
                Some(moment) => tokio::time::sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = moments.changed() => {
                if changed.is_err() {
                    break;
                }
            }
            () = ring => {
                if handle.send(Request::Due).is_err() || moments.changed().await.is_err() {
                    break;
                }
            }
        }
    }
}
