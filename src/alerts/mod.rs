//! Alerts: subscriptions as places in the log, the routing of durable blocks to them, and replay
//! for those that are behind. It knows no wire types, no sockets and nothing of how an alert is
//! written: that is given to it as a function.
//!
//! # A short course
//!
//! The engine hands each block to [`Hub::publish`] once it is durable. The hub keeps the newest
//! blocks in a *tail*, bounded in bytes, and a thread of the hub takes them from there to the
//! router, so that nobody who asks the engine waits for subscribers. A subscription is a filter and a *place*: the cursor up to
//! which everything that matches was handed out. It is in one of two conditions, and only under
//! the router's lock does it change from lagging to live, so there is always one owner of what it
//! is given next:
//!
//! - *lagging*: it walks through the log by itself, from the tail where that reaches, else from
//!   the journal, at its own pace. Every subscription begins so. When nothing is left between its
//!   place and what the router has come to it becomes live.
//! - *live*: the router puts alerts that match into its bounded queue and wakes it, once for a
//!   block. When the queue is full it is dropped, the place is kept, and the subscription lags.
//!   So do all, should the tail ever let go of what the router has not come to.
//!
//! So a subscriber that does not read costs its queue and nothing else, one that is idle costs
//! nothing for a block that does not match, and neither gap nor repeat can arise: an alert is
//! handed out exactly when the place moves past it.
//!
//! An alert is written as text when it is first handed out to anybody, and shared from then on.

mod alert;
mod hub;
mod outlet;
mod read;
mod replay;
mod router;
mod routing;
mod scan;
mod seats;
mod subscription;
mod tail;

use opstead_core::{Cursor, Event};
use thiserror::Error;

pub use alert::Alert;
pub use hub::{Hub, HubLimits, SubscribeRequest};
pub use read::{Page, ReadRequest};
pub use subscription::Subscription;

use crate::journal;

/// Writes the params of one alert as JSON: the whole object without `subscription` and without its
/// closing brace, as `{"alertName":"vm.VM.a","cursor":7`. Nothing if the event is no alert.
pub type Encode = dyn Fn(&Event, Cursor) -> Option<String> + Send + Sync;

/// Why there is no subscription from the place asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// The log does not reach back so far any more.
    #[error("alerts after cursor {cursor} are not kept any more; the log begins after {oldest}")]
    Expired {
        /// The place asked for.
        cursor: Cursor,
        /// The oldest place to resume from.
        oldest: Cursor,
    },
    /// A cursor of another log, or beyond the head of this one.
    #[error("the cursor is of another log, or not reached yet; this is log {log_id}")]
    Unknown {
        /// The present log.
        log_id: String,
    },
    /// The subscriptions there are take all that is allowed.
    #[error("there are already as many {what} as are allowed, which is {most}")]
    TooMany {
        /// What there would be too many of.
        what: &'static str,
        /// How many are allowed.
        most: usize,
    },
}

/// Why a subscription cannot go on from its place.
#[derive(Debug, Error)]
pub enum Closed {
    /// It lagged so far behind that the log does not reach back to its place any more.
    #[error("alerts after cursor {cursor} are not kept any more; the log begins after {oldest}")]
    Expired {
        /// The subscription's place.
        cursor: Cursor,
        /// The oldest place to resume from.
        oldest: Cursor,
    },
    /// The log could not be read.
    #[error("alerts could not be replayed")]
    Failed(#[source] journal::ReadError),
    /// The daemon stops.
    #[error("the daemon is shutting down")]
    Stopping,
}

/// Why a page of alerts could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It cannot be read from the place asked for.
    #[error(transparent)]
    Refused(#[from] SubscribeError),
    /// It could not be read to its end.
    #[error(transparent)]
    Closed(#[from] Closed),
}
