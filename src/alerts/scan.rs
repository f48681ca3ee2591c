//! Walking through blocks with one filter, by whoever is behind; it gathers a bounded number of
//! alerts and knows how far it has come.

use std::sync::Arc;

use opstead_core::Cursor;

use super::alert::{Alert, alert_name};
use super::tail::LogBlock;
use crate::filter::Filter;

/// How much is handed out at once.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// So many alerts.
    pub(super) alerts: usize,
    /// Of so many bytes, as estimated; a single alert may have more.
    pub(super) bytes: usize,
}

/// A walk through the log.
pub(super) struct Scan {
    place: Cursor,
    room: Room,
    alerts: Vec<Arc<Alert>>,
    bytes: usize,
}

impl Scan {
    pub(super) fn new(place: Cursor, room: Room) -> Self {
        Self {
            place,
            room,
            alerts: Vec::new(),
            bytes: 0,
        }
    }

    /// Everything that matches up to here, from where the walk began, was gathered.
    pub(super) fn place(&self) -> Cursor {
        self.place
    }

    pub(super) fn into_alerts(self) -> Vec<Arc<Alert>> {
        self.alerts
    }

    /// Goes on through blocks that follow the place; the first may also hold events before it.
    /// False if it stopped at an alert that there was no room for.
    pub(super) fn go_through(&mut self, blocks: &[Arc<LogBlock>], filter: &Filter) -> bool {
        for block in blocks {
            for (cursor, event) in block.events() {
                if cursor <= self.place {
                    continue;
                }
                if alert_name(event).is_some_and(|name| filter.matches(name))
                    && let Some(alert) = block.alert(cursor)
                {
                    if !self.has_room_for(alert) {
                        return false;
                    }
                    self.bytes += alert.bytes();
                    self.alerts.push(alert.clone());
                }
                self.place = cursor;
            }
        }
        true
    }

    fn has_room_for(&self, alert: &Alert) -> bool {
        self.alerts.is_empty()
            || (self.alerts.len() < self.room.alerts
                && self.bytes + alert.bytes() <= self.room.bytes)
    }
}
