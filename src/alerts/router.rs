//! The router: it owns the filters of all subscriptions and the tail, and brings each published
//! block to the live ones it concerns. It never waits, reads a disk or writes a text.

use std::sync::Arc;

use super::alert::alert_name;
use super::outlet::Outlet;
use super::scan::Room;
use super::tail::{LogBlock, Tail};
use crate::filter::FilterSet;

/// All of it stands under one lock of the hub.
pub(super) struct Router {
    filters: FilterSet<usize>,
    /// By the keys of `filters`.
    outlets: Vec<Option<Arc<Outlet>>>,
    /// Keys that are not in use.
    free: Vec<usize>,
    pub(super) tail: Tail,
    queue: Room,
}

/// What a lagging subscription is to do next.
pub(super) enum Next {
    /// Wait: the router owns it now.
    Live,
    /// Go through these.
    Blocks(Vec<Arc<LogBlock>>),
    /// Look in the journal: the tail does not reach back so far.
    Journal,
}

impl Router {
    pub(super) fn new(tail: Tail, queue: Room) -> Self {
        Self {
            filters: FilterSet::new(),
            outlets: Vec::new(),
            free: Vec::new(),
            tail,
            queue,
        }
    }

    /// Takes an outlet in; the key is for `remove`.
    pub(super) fn insert(&mut self, outlet: &Arc<Outlet>) -> usize {
        let key = self.free.pop().unwrap_or_else(|| {
            self.outlets.push(None);
            self.outlets.len() - 1
        });
        self.outlets[key] = Some(outlet.clone());
        self.filters.insert(key, outlet.filter.clone());
        key
    }

    pub(super) fn remove(&mut self, key: usize) {
        self.filters.remove(&key);
        self.outlets[key] = None;
        self.free.push(key);
    }

    /// Puts a block into the tail and its alerts into the queues of live outlets; those that are
    /// to be woken are returned.
    pub(super) fn publish(&mut self, block: Arc<LogBlock>) -> Vec<Arc<Outlet>> {
        let mut woken = Vec::new();
        if !self.filters.is_empty() {
            self.route(&block, &mut woken);
        }
        self.tail.push(block);
        woken
    }

    fn route(&self, block: &LogBlock, woken: &mut Vec<Arc<Outlet>>) {
        for (cursor, event) in block.events() {
            let Some(name) = alert_name(event) else {
                continue;
            };
            let keys = self.filters.matching(name);
            if keys.is_empty() {
                continue;
            }
            let Some(alert) = block.alert(cursor) else {
                continue;
            };
            for outlet in keys.iter().filter_map(|key| self.outlets[*key].as_ref()) {
                if outlet.offer(alert, block.first(), self.queue) {
                    woken.push(outlet.clone());
                }
            }
        }
    }

    /// What is next for a lagging outlet. It becomes live here, where no block can come between.
    pub(super) fn next(&self, outlet: &Outlet, bytes: usize) -> Next {
        match self.tail.after(outlet.lagging_place(), bytes) {
            None => Next::Journal,
            Some(blocks) if blocks.is_empty() => {
                outlet.join();
                Next::Live
            }
            Some(blocks) => Next::Blocks(blocks),
        }
    }
}
