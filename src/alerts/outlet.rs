//! The part of a subscription that the router and the subscriber share: its place, and the bounded
//! queue of alerts that wait for it while it is live.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use opstead_core::Cursor;
use tokio::sync::Notify;

use super::alert::Alert;
use super::scan::Room;
use crate::filter::Filter;

/// See the module's short course.
pub(super) struct Outlet {
    pub(super) filter: Filter,
    state: Mutex<State>,
    /// Given a permit at most once for each block that puts something into the queue.
    ready: Notify,
}

/// Locked after the router, if both are.
struct State {
    /// Everything that matches up to here was handed out; while the outlet is live with an empty
    /// queue, everything up to the router's head as well. Before the first alert of the queue.
    place: Cursor,
    live: bool,
    /// Empty unless live.
    queue: VecDeque<Arc<Alert>>,
    queue_bytes: usize,
    /// The first cursor of the latest block that woke the subscriber.
    woken_by: Cursor,
}

impl State {
    /// It is to look in the log from its place.
    fn lag(&mut self) {
        self.live = false;
        self.queue = VecDeque::new();
        self.queue_bytes = 0;
    }
}

/// What a subscriber finds.
pub(super) enum Taken {
    /// The alerts that waited.
    Alerts(Vec<Arc<Alert>>),
    /// Nothing has come.
    Nothing,
    /// It has to look in the log itself.
    Lagging,
}

impl Outlet {
    /// A lagging one.
    pub(super) fn new(filter: Filter, place: Cursor) -> Self {
        Self {
            filter,
            state: Mutex::new(State {
                place,
                live: false,
                queue: VecDeque::new(),
                queue_bytes: 0,
                woken_by: 0,
            }),
            ready: Notify::new(),
        }
    }

    /// Puts an alert into the queue if the outlet is live; if there is no room, the queue is given
    /// up. True if the subscriber is to be woken when the block that begins at `block` is through.
    pub(super) fn offer(&self, alert: &Arc<Alert>, block: Cursor, room: Room) -> bool {
        let mut state = self.lock();
        if !state.live || alert.cursor() <= state.place {
            return false;
        }
        if state.queue.is_empty() {
            // Else a burst after a long silence would throw it back to where the silence began.
            state.place = alert.cursor() - 1;
        } else if state.queue.len() >= room.alerts || state.queue_bytes + alert.bytes() > room.bytes
        {
            state.lag();
            return false;
        }
        state.queue_bytes += alert.bytes();
        state.queue.push_back(alert.clone());
        let is_first = state.woken_by < block;
        state.woken_by = block;
        is_first
    }

    /// Wakes the subscriber.
    pub(super) fn wake(&self) {
        self.ready.notify_one();
    }

    /// Waits until it may have been woken.
    pub(super) async fn woken(&self) {
        self.ready.notified().await;
    }

    /// Takes all that waits; the place moves past it.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        if !state.live {
            return Taken::Lagging;
        }
        let Some(last) = state.queue.back() else {
            return Taken::Nothing;
        };
        state.place = last.cursor();
        state.queue_bytes = 0;
        Taken::Alerts(std::mem::take(&mut state.queue).into())
    }

    /// How far it has come, if the router has come to `routed`, which was read before this call.
    pub(super) fn place(&self, routed: Cursor) -> Cursor {
        let state = self.lock();
        if state.live && state.queue.is_empty() {
            state.place.max(routed)
        } else {
            state.place
        }
    }

    /// The place of a lagging one, which nobody but its subscriber moves.
    pub(super) fn lagging_place(&self) -> Cursor {
        self.lock().place
    }

    /// Moves the place of a lagging one, with all that matches before it being handed out.
    pub(super) fn advance(&self, place: Cursor) {
        self.lock().place = place;
    }

    /// From now on the router owns it. Only under the router's lock, with the place no earlier
    /// than what was routed.
    pub(super) fn join(&self) {
        self.lock().live = true;
    }

    /// The router, which has come to `routed`, gives it up; false if it was not live. Only under
    /// the router's lock.
    pub(super) fn leave(&self, routed: Cursor) -> bool {
        let mut state = self.lock();
        let was_live = state.live;
        if was_live && state.queue.is_empty() {
            state.place = state.place.max(routed);
        }
        state.lag();
        was_live
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }
}
