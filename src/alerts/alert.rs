//! One alert: what it is about, and its text, written once and shared by all who are told.

use std::sync::{Arc, OnceLock};

use opstead_core::{Cursor, Event, EventBody, Operation};

use super::Encode;

/// What stands before the params of every notification.
const NOTIFICATION_HEAD: &str = r#"{"jsonrpc":"2.0","method":"alert","params":"#;

/// What an event takes in memory beside the texts it holds, about.
const EVENT_BYTES: usize = 640;

/// An entry of the log that subscribers are told of.
pub struct Alert {
    cursor: Cursor,
    name: Arc<str>,
    /// A copy, so that an alert that waits in a queue does not hold its whole block.
    event: Event,
    bytes: usize,
    text: OnceLock<Option<Box<str>>>,
}

impl Alert {
    /// The alert that an event is; nothing if it is none.
    pub(super) fn new(event: &Event, cursor: Cursor) -> Option<Self> {
        let name = alert_name(event)?.clone();
        Some(Self {
            cursor,
            name,
            event: event.clone(),
            bytes: event_bytes(event),
            text: OnceLock::new(),
        })
    }

    /// Its place in the log.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The name that filters are asked about.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it takes in memory, about, its text included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sees to it that the text is there; false if the event has none.
    pub(super) fn write(&self, encode: &Encode) -> bool {
        self.text
            .get_or_init(|| encode(&self.event, self.cursor).map(String::into_boxed_str))
            .is_some()
    }

    /// The whole notification for one subscription, as JSON. Its id goes in as it stands.
    pub fn notification(&self, subscription: &str) -> String {
        const BEFORE_ID: &str = r#","subscription":""#;
        const END: &str = r#""}}"#;
        let params = self.open_params();
        let length = NOTIFICATION_HEAD.len() + params.len() + BEFORE_ID.len() + END.len();
        let mut text = String::with_capacity(length + subscription.len());
        for part in [NOTIFICATION_HEAD, params, BEFORE_ID, subscription, END] {
            text.push_str(part);
        }
        text
    }

    /// The params alone, as JSON, without `subscription`.
    pub fn params(&self) -> String {
        let params = self.open_params();
        let mut text = String::with_capacity(params.len() + 1);
        text.push_str(params);
        text.push('}');
        text
    }

    fn open_params(&self) -> &str {
        let text = self.text.get().and_then(Option::as_deref);
        text.expect("alerts are written before they are handed out")
    }
}

/// The name that filters are asked about; nothing if the event is no alert.
pub(super) fn alert_name(event: &Event) -> Option<&Arc<str>> {
    match &event.body {
        EventBody::Operation(operation) => Some(&operation.subject.alert_name),
        EventBody::ObjectPublished { alert_name, .. }
        | EventBody::ObjectRetired { alert_name, .. } => Some(alert_name),
        EventBody::MethodDeclared(_)
        | EventBody::ExecutorAttached { .. }
        | EventBody::ExecutorDetached { .. }
        | EventBody::WakeContinued
        | EventBody::CapacitySet { .. }
        | EventBody::CapacityReserved { .. }
        | EventBody::Placed { .. }
        | EventBody::DelayPassed { .. }
        | EventBody::Purged { .. } => None,
    }
}

/// What an event takes in memory, about, with room for the text of its alert.
pub(super) fn event_bytes(event: &Event) -> usize {
    // Most of it is there twice: in the event and in the text.
    EVENT_BYTES + 2 * event.text_bytes()
}

/// What the record of an ended operation takes in memory, about.
pub(super) fn operation_bytes(operation: &Operation) -> usize {
    EVENT_BYTES + operation.text_bytes()
}
