//! A subscription as its subscriber holds it.

use std::sync::Arc;

use opstead_core::Cursor;
use tokio::task::yield_now;

use super::hub::Hub;
use super::outlet::{Outlet, Taken};
use super::scan::{Room, Scan};
use super::seats::Seat;
use super::{Alert, Closed};

/// A filter and a place in the log. Dropping it ends it.
pub struct Subscription {
    pub(super) hub: Arc<Hub>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) key: usize,
    pub(super) id: String,
    pub(super) start: Cursor,
    pub(super) oldest: Cursor,
    pub(super) _seat: Seat,
}

impl Subscription {
    /// Its name on the wire: digits, unique as long as the daemon runs.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The place it began at: it tells of what came after.
    pub fn start(&self) -> Cursor {
        self.start
    }

    /// The log it is told from.
    pub fn log_id(&self) -> &str {
        self.hub.replay.reader().log_id()
    }

    /// The oldest place that could be resumed from when it began.
    pub fn oldest(&self) -> Cursor {
        self.oldest
    }

    /// How far it has come: everything that matches up to here was handed out, also if nothing
    /// has matched for long. What a bookmark tells.
    pub fn place(&self) -> Cursor {
        // In this order: what was routed before the queue is looked at is in it.
        let routed = *self.hub.routing.routed().borrow();
        self.outlet.place(routed)
    }

    /// Waits for the next alerts: at least one, in the order of the log, each one once. Loses
    /// nothing when it is dropped before it is ready.
    pub async fn next_batch(&mut self) -> Result<Vec<Arc<Alert>>, Closed> {
        loop {
            let mut alerts = match self.outlet.take() {
                Taken::Alerts(alerts) => alerts,
                Taken::Nothing => {
                    self.outlet.woken().await;
                    continue;
                }
                Taken::Lagging => self.catch_up().await?,
            };
            self.hub.write(&mut alerts);
            if !alerts.is_empty() {
                return Ok(alerts);
            }
            // A narrow filter may go through much of the log before it finds anything.
            yield_now().await;
        }
    }

    /// One step towards the head. Nothing is awaited once the place has moved.
    async fn catch_up(&mut self) -> Result<Vec<Arc<Alert>>, Closed> {
        if self.hub.join(&self.outlet) {
            return Ok(Vec::new());
        }
        let place = self.outlet.lagging_place();
        let blocks = self.hub.blocks_after(place).await?;
        let room = Room {
            alerts: self.hub.limits.queue_alerts,
            bytes: self.hub.limits.queue_bytes,
        };
        let mut scan = Scan::new(place, room);
        scan.go_through(&blocks, &self.outlet.filter);
        self.outlet.advance(scan.place());
        Ok(scan.into_alerts())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.close(self.key);
    }
}
