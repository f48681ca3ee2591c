//! The hub: where the engine publishes blocks and where subscriptions begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opstead_core::Cursor;
use tokio::sync::watch;

use super::outlet::Outlet;
use super::replay::Replay;
use super::routing::{Doorbell, Routing};
use super::scan::Room;
use super::seats::Seats;
use super::subscription::Subscription;
use super::tail::{LogBlock, Tail};
use super::{Alert, Closed, Encode, SubscribeError};
use crate::filter::Filter;
use crate::journal::{Block, Reader};

/// How much the hub may hold. Bytes are estimates of what things take in memory.
#[derive(Clone, Debug)]
pub struct HubLimits {
    /// Subscriptions, reads that wait included.
    pub subscriptions: usize,
    /// The filters of all of them.
    pub filter_bytes: usize,
    /// The newest blocks.
    pub tail_bytes: usize,
    /// Alerts that wait for one subscriber, and those handed out at once.
    pub queue_alerts: usize,
    /// The same in bytes; a single alert may be larger.
    pub queue_bytes: usize,
    /// Reads from the journal at the same time.
    pub replays: usize,
    /// What is read from the journal, or taken from the tail, at once.
    pub page_bytes: usize,
    /// Blocks that were read from the journal lately.
    pub cache_bytes: usize,
    /// What one `read` answers at most, in bytes; a single alert may be larger.
    pub answer_bytes: usize,
    /// How much of the log one `read` goes through before it answers with what it has.
    pub scan_bytes: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            subscriptions: 20_000,
            filter_bytes: 64 << 20,
            tail_bytes: 32 << 20,
            queue_alerts: 1_024,
            queue_bytes: 1 << 20,
            replays: 2,
            page_bytes: 256 << 10,
            cache_bytes: 16 << 20,
            answer_bytes: 4 << 20,
            scan_bytes: 256 << 20,
        }
    }
}

/// What a subscription is to tell, and from where.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// Of which alert names.
    pub filter: Filter,
    /// From behind which place; the head at the moment if left out.
    pub after: Option<Cursor>,
    /// The log that `after` is a place of, if the caller knows it.
    pub log_id: Option<String>,
}

/// The one place where alerts leave the log. See the module's short course.
pub struct Hub {
    pub(super) replay: Arc<Replay>,
    pub(super) limits: HubLimits,
    pub(super) seats: Arc<Seats>,
    encode: Box<Encode>,
    pub(super) routing: Arc<Routing>,
    doorbell: Doorbell,
    /// Subscriptions so far.
    count: AtomicU64,
}

impl Hub {
    /// A hub for the log that `reader` reads, to be told of what is appended from now on.
    pub fn new(
        reader: Arc<dyn Reader>,
        encode: impl Fn(&opstead_core::Event, Cursor) -> Option<String> + Send + Sync + 'static,
        limits: HubLimits,
    ) -> Arc<Self> {
        let head = reader.head();
        let queue = Room {
            alerts: limits.queue_alerts,
            bytes: limits.queue_bytes,
        };
        let tail = Tail::new(head, limits.tail_bytes);
        let (routing, doorbell) = Routing::start(tail, queue, limits.page_bytes);
        Arc::new(Self {
            routing,
            doorbell,
            seats: Arc::new(Seats::new(limits.subscriptions, limits.filter_bytes)),
            count: AtomicU64::new(0),
            encode: Box::new(encode),
            replay: Arc::new(Replay::new(
                reader,
                limits.replays,
                limits.page_bytes,
                limits.cache_bytes,
            )),
            limits,
        })
    }

    /// Takes a block that has just become durable: each one, in the order of the log, from one
    /// thread. What was durable before the hub was made is passed over. From now on it can be
    /// read; subscribers are told of it by a thread of the hub.
    pub fn publish(&self, block: &Arc<Block>) {
        let block = Arc::new(LogBlock::new(block.clone()));
        let mut tail = self.routing.tail();
        if block.last() <= tail.head() {
            return;
        }
        tail.push(block);
        drop(tail);
        self.doorbell.ring();
    }

    /// How far the log is routed: those who wait for something up to here were woken.
    pub fn routed(&self) -> watch::Receiver<Cursor> {
        self.routing.routed().subscribe()
    }

    /// Begins a subscription; it ends when it is dropped. Nothing is missed between this call and
    /// the first one for alerts, however long that is.
    pub fn subscribe(
        self: &Arc<Self>,
        request: SubscribeRequest,
    ) -> Result<Subscription, SubscribeError> {
        let after = request.after.unwrap_or_else(|| self.replay.reader().head());
        let place = self.check(after, request.log_id.as_deref())?;
        self.open(request.filter, place)
    }

    /// How many subscriptions there are, reads that wait included.
    pub fn subscriptions(&self) -> usize {
        self.seats.len()
    }

    /// Whether the log can be told from behind a cursor.
    pub(super) fn check(
        &self,
        after: Cursor,
        log_id: Option<&str>,
    ) -> Result<Cursor, SubscribeError> {
        let reader = self.replay.reader();
        let is_other_log = log_id.is_some_and(|log_id| log_id != reader.log_id());
        if is_other_log || after > reader.head() {
            return Err(SubscribeError::Unknown {
                log_id: reader.log_id().to_owned(),
            });
        }
        let oldest = reader.oldest();
        if after < oldest {
            return Err(SubscribeError::Expired {
                cursor: after,
                oldest,
            });
        }
        Ok(after)
    }

    /// Begins a subscription at a place that was checked.
    pub(super) fn open(
        self: &Arc<Self>,
        filter: Filter,
        place: Cursor,
    ) -> Result<Subscription, SubscribeError> {
        let seat = self.seats.take(&filter)?;
        let outlet = Arc::new(Outlet::new(filter, place));
        let key = self.routing.router().insert(&outlet);
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Subscription {
            oldest: self.replay.reader().oldest(),
            id: number.to_string(),
            hub: self.clone(),
            outlet,
            key,
            start: place,
            _seat: seat,
        })
    }

    pub(super) fn close(&self, key: usize) {
        self.routing.router().remove(key);
    }

    /// Makes a lagging outlet live if it has come as far as the router.
    pub(super) fn join(&self, outlet: &Outlet) -> bool {
        self.routing.router().join(outlet)
    }

    /// The next few blocks that were published after a place; none if there are none.
    pub(super) async fn blocks_after(&self, place: Cursor) -> Result<Vec<Arc<LogBlock>>, Closed> {
        let tail = self.routing.tail().after(place, self.limits.page_bytes);
        match tail {
            Some(blocks) => Ok(blocks),
            None => self.replay.after(place).await,
        }
    }

    /// Makes alerts ready to be handed out.
    pub(super) fn write(&self, alerts: &mut Vec<Arc<Alert>>) {
        alerts.retain(|alert| alert.write(&*self.encode));
    }
}
