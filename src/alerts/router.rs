//! The router: it owns the filters of all subscriptions, and brings each published block to the
//! live ones it concerns. It never waits, reads a disk or writes a text.

use std::sync::Arc;

use opstead_core::Cursor;

use super::alert::alert_name;
use super::outlet::Outlet;
use super::scan::Room;
use super::tail::LogBlock;
use crate::filter::FilterSet;

/// All of it stands under one lock of the hub.
pub(super) struct Router {
    filters: FilterSet<usize>,
    /// By the keys of `filters`.
    outlets: Vec<Option<Arc<Outlet>>>,
    /// Keys that are not in use.
    free: Vec<usize>,
    /// Everything up to here is in the queues of those who are live.
    routed: Cursor,
    queue: Room,
}

impl Router {
    pub(super) fn new(routed: Cursor, queue: Room) -> Self {
        Self {
            filters: FilterSet::new(),
            outlets: Vec::new(),
            free: Vec::new(),
            routed,
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

    /// Puts the alerts of the next block into the queues of live outlets; those that are to be
    /// woken are returned.
    pub(super) fn route(&mut self, block: &LogBlock) -> Vec<Arc<Outlet>> {
        self.routed = block.last();
        let mut woken = Vec::new();
        if self.filters.is_empty() {
            return woken;
        }
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
        woken
    }

    /// Goes on from a later place, unrouted what is before it: all that were live lag from where
    /// they are, and are to be woken.
    pub(super) fn skip_to(&mut self, place: Cursor) -> Vec<Arc<Outlet>> {
        let outlets = self.outlets.iter().flatten();
        let live = outlets.filter(|outlet| outlet.leave(self.routed));
        let woken = live.cloned().collect();
        self.routed = place;
        woken
    }

    /// Makes a lagging outlet live if it has come as far as the router; no block can come between.
    pub(super) fn join(&self, outlet: &Outlet) -> bool {
        let is_there = outlet.lagging_place() >= self.routed;
        if is_there {
            outlet.join();
        }
        is_there
    }
}
