//! The naive model of objects: what they show, and when they go.

use std::sync::Arc;

use opstead_core::{Cursor, OperationInfo};

use super::model::{Model, ModelOperation};

impl Model {
    /// What was known of an object goes with the last operation on it.
    pub(crate) fn purge(&mut self, sequence: Cursor) {
        let known = self
            .past
            .iter_mut()
            .find(|known| known.sequence == sequence);
        let purged = known.expect("only ended ones are purged");
        purged.purged = true;
        let name = purged.alert_name.clone();
        if !self.on_object(&name).any(|known| !known.purged) {
            self.past.retain(|known| known.alert_name != name);
        } else if let Some(last) = self.on_object(&name).filter_map(|known| known.ended).max() {
            // Of the purged ones only the last word stands.
            self.past.retain(|known| {
                !known.purged || known.alert_name != name || known.ended == Some(last)
            });
        }
    }

    fn on_object(&self, name: &str) -> impl Iterator<Item = &ModelOperation> {
        self.open
            .iter()
            .chain(&self.past)
            .filter(move |known| *known.alert_name == *name)
    }

    /// The id of the operation that an object shows, how it stands, and its latest cursor.
    pub(crate) fn object(&self, name: &str) -> Option<(&Arc<str>, &Arc<OperationInfo>, Cursor)> {
        let here = || {
            self.on_object(name)
                .filter(|known| known.has_object || known.ended.is_none())
        };
        let running = here().filter(|known| known.ended.is_none() && known.started.is_some());
        let shown = running
            .max_by_key(|known| known.started)
            .or(here()
                .filter(|known| known.ended.is_some())
                .max_by_key(|known| known.ended))
            .or(here().min_by_key(|known| known.sequence))?;
        let cursor = here().map(|known| known.touched).max()?;
        Some((&shown.id, &shown.info, cursor))
    }
}
