//! Tells waiting callers when operations change, without anybody polling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opstead_core::EventBody;
use tokio::sync::Notify;

use crate::journal::Block;

/// Who waits for which operations.
#[derive(Default)]
pub struct Changes {
    listeners: Mutex<HashMap<Arc<str>, Vec<Arc<Notify>>>>,
}

/// Hears of changes of some operations, from its making until it is dropped.
pub struct Listener {
    changes: Arc<Changes>,
    ids: Vec<Arc<str>>,
    notify: Arc<Notify>,
}

impl Changes {
    /// Begins to listen. Look at the operations after this, then wait for [`Listener::changed`]:
    /// what changes in between is heard.
    pub fn listen(self: &Arc<Self>, ids: Vec<Arc<str>>) -> Listener {
        let notify = Arc::new(Notify::new());
        let mut listeners = self.listeners.lock().expect("nobody panics with this lock");
        for id in &ids {
            listeners
                .entry(id.clone())
                .or_default()
                .push(notify.clone());
        }
        Listener {
            changes: self.clone(),
            ids,
            notify,
        }
    }

    /// Wakes everybody who waits for an operation that the block tells of.
    pub(super) fn published(&self, block: &Block) {
        let listeners = self.listeners.lock().expect("nobody panics with this lock");
        if listeners.is_empty() {
            return;
        }
        for event in &block.events {
            if let EventBody::Operation(body) = &event.body {
                let waiting = listeners.get(&body.subject.id);
                waiting
                    .into_iter()
                    .flatten()
                    .for_each(|notify| notify.notify_one());
            }
        }
    }
}

impl Listener {
    /// Resolves once at least one of the operations has changed since the last time.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self
            .changes
            .listeners
            .lock()
            .expect("nobody panics with this lock");
        for id in &self.ids {
            if let Some(waiting) = listeners.get_mut(id) {
                waiting.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
                if waiting.is_empty() {
                    listeners.remove(id);
                }
            }
        }
    }
}
