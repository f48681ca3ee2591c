//! A log, a hub over it, and the naive list of what was ever appended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use opstead::alerts::{Alert, Hub, HubLimits, SubscribeRequest, Subscription};
use opstead::filter::{Filter, FilterKind};
use opstead::journal::{
    Archive, Block, Checkpoint, Entry, Journal, MemoryDisk, MemoryJournal, ReadError, Reader,
};
use opstead_core::checkpoint::Record;
use opstead_core::{
    Change, Cursor, Event, EventBody, Operation, OperationEvent, OperationInfo, OperationState,
    Subject, Time,
};
use tokio::time::timeout;

/// The journal's reader, as one on disk: every read makes new blocks, and is counted.
pub(crate) struct Disk {
    inner: MemoryDisk,
    pub(crate) reads: AtomicUsize,
}

impl Reader for Disk {
    fn log_id(&self) -> &str {
        self.inner.log_id()
    }

    fn head(&self) -> Cursor {
        self.inner.head()
    }

    fn oldest(&self) -> Cursor {
        self.inner.oldest()
    }

    fn read(&self, after: Cursor, bytes: usize) -> Result<Vec<Arc<Block>>, ReadError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let blocks = self.inner.read(after, bytes)?;
        Ok(blocks.iter().map(|block| copy(block)).collect())
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ReadError> {
        self.inner.checkpoint()
    }

    fn write_checkpoint(
        &self,
        head: Cursor,
        records: &mut dyn Iterator<Item = Record>,
    ) -> Result<(), ReadError> {
        self.inner.write_checkpoint(head, records)
    }

    fn archive(&self) -> Archive {
        self.inner.archive()
    }

    fn ended(&self, id: &str) -> Result<Option<Arc<Operation>>, ReadError> {
        self.inner.ended(id)
    }

    fn archive_bytes(&self) -> u64 {
        self.inner.archive_bytes()
    }

    fn record(&self, entry: &Entry) -> Result<Option<Arc<Operation>>, ReadError> {
        self.inner.record(entry)
    }
}

/// A block that shares nothing with the one it is a copy of.
pub(crate) fn copy(block: &Block) -> Arc<Block> {
    let events = block.events.iter().map(|known| match &known.body {
        EventBody::Operation(operation) => event(&operation.subject.alert_name),
        _ => known.clone(),
    });
    Arc::new(Block {
        first: block.first,
        events: events.collect(),
        ended: Vec::new(),
    })
}

/// The alert of `name`, or an event that is none if the name is empty.
pub(crate) fn event(name: &str) -> Event {
    let time = Time(1);
    if name.is_empty() {
        let body = EventBody::WakeContinued;
        return Event { time, body };
    }
    let body = EventBody::Operation(OperationEvent {
        subject: Arc::new(Subject {
            sequence: 1,
            id: name.into(),
            alert_name: name.into(),
            method_name: "vm.start".into(),
            parent: None,
        }),
        state: OperationState::Running,
        info: Arc::new(OperationInfo::new("Running")),
        change: Change::Progressed { described: true },
    });
    Event { time, body }
}

pub(crate) fn glob(pattern: &str) -> Filter {
    Filter::parse(FilterKind::Glob, pattern).unwrap()
}

/// Limits under which nothing overflows in these tests.
pub(crate) fn roomy() -> HubLimits {
    HubLimits::default()
}

/// Limits under which a tail is one block, a queue holds two alerts and a page one block.
pub(crate) fn tiny() -> HubLimits {
    HubLimits {
        tail_bytes: 1,
        queue_alerts: 2,
        page_bytes: 1,
        cache_bytes: 1,
        ..HubLimits::default()
    }
}

pub(crate) struct World {
    journal: MemoryJournal,
    pub(crate) disk: Arc<Disk>,
    pub(crate) hub: Arc<Hub>,
    /// How often an alert was written as text.
    pub(crate) encoded: Arc<AtomicUsize>,
    /// The name of every event, the first one having cursor 1; empty if it is no alert.
    pub(crate) names: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) fn new(limits: HubLimits) -> Self {
        let journal = MemoryJournal::default();
        let disk = Arc::new(Disk {
            inner: journal.disk().clone(),
            reads: AtomicUsize::new(0),
        });
        let encoded = Arc::default();
        Self {
            hub: hub(&disk, &encoded, limits),
            journal,
            disk,
            encoded,
            names: Arc::default(),
        }
    }

    /// The daemon has started again: the same log, and a hub that remembers nothing.
    pub(crate) fn restart(&mut self, limits: HubLimits) {
        self.hub = hub(&self.disk, &self.encoded, limits);
    }

    pub(crate) fn head(&self) -> Cursor {
        self.journal.head()
    }

    /// Makes one block durable, without telling the hub.
    pub(crate) fn append(&mut self, names: &[&str]) -> Arc<Block> {
        let after = self.journal.head();
        let block = Arc::new(Block {
            first: after + 1,
            events: names.iter().map(|name| event(name)).collect(),
            ended: Vec::new(),
        });
        let mut all = self.names.lock().unwrap();
        all.extend(names.iter().map(|name| (*name).to_owned()));
        self.journal.append(after, &block).unwrap();
        block
    }

    /// Makes one block durable, publishes it, and sees it routed.
    pub(crate) fn publish(&mut self, names: &[&str]) {
        let block = self.append(names);
        self.publish_block(&copy(&block));
    }

    /// Publishes a block and sees it routed.
    pub(crate) fn publish_block(&self, block: &Arc<Block>) {
        self.hub.publish(block);
        let routed = self.hub.routed();
        while *routed.borrow() < block.last() {
            std::thread::yield_now();
        }
    }

    /// Lets the log begin behind its newest block but one.
    pub(crate) fn trim(&mut self) -> Cursor {
        let head = self.journal.head();
        self.disk
            .write_checkpoint(head, &mut std::iter::empty())
            .unwrap();
        self.journal.trim(Time(0), 0).unwrap();
        self.disk.oldest()
    }

    pub(crate) fn subscribe(&self, pattern: &str, after: Option<Cursor>) -> Subscription {
        let request = SubscribeRequest {
            filter: glob(pattern),
            after,
            log_id: None,
        };
        self.hub.subscribe(request).unwrap()
    }

    /// A subscription that has reached the head and waits.
    pub(crate) fn waiting(&self, pattern: &str) -> Subscription {
        let mut subscription = self.subscribe(pattern, None);
        assert!(subscription.next_batch().now_or_never().is_none());
        subscription
    }

    /// What a subscription from that place is to be told: cursors and names.
    pub(crate) fn expected(&self, filter: &Filter, after: Cursor) -> Vec<(Cursor, String)> {
        let names = self.names.lock().unwrap();
        let all = (1..).zip(names.iter());
        all.filter(|(cursor, name)| *cursor > after && !name.is_empty() && filter.matches(name))
            .map(|(cursor, name)| (cursor, name.clone()))
            .collect()
    }
}

fn hub(disk: &Arc<Disk>, encoded: &Arc<AtomicUsize>, limits: HubLimits) -> Arc<Hub> {
    let encoded = encoded.clone();
    let encode = move |event: &Event, cursor: Cursor| {
        encoded.fetch_add(1, Ordering::SeqCst);
        let EventBody::Operation(operation) = &event.body else {
            return None;
        };
        let name = &operation.subject.alert_name;
        Some(format!(r#"{{"alertName":"{name}","cursor":{cursor}"#))
    };
    Hub::new(disk.clone(), encode, limits)
}

/// Cursors and names of alerts.
pub(crate) fn told(alerts: &[Arc<Alert>]) -> Vec<(Cursor, String)> {
    let all = alerts.iter();
    all.map(|alert| (alert.cursor(), alert.name().to_owned()))
        .collect()
}

/// A test that has taken so long waits for something that will never come.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(120);

/// The next alerts, one of which must come.
pub(crate) async fn next(subscription: &mut Subscription) -> Vec<Arc<Alert>> {
    let next = timeout(FOR_EVER, subscription.next_batch()).await;
    next.expect("the alert never came").unwrap()
}

/// Reads on until the alert with this cursor was told.
pub(crate) async fn read_through(
    subscription: &mut Subscription,
    last: Cursor,
) -> Vec<(Cursor, String)> {
    let mut all = Vec::new();
    while all.last().is_none_or(|(cursor, _)| *cursor < last) {
        all.extend(told(&next(subscription).await));
    }
    all
}
