//! What the loop is sent, and how much of it may wait.

use std::sync::Arc;

use opstead_core::{Failure, Json, Lease, Order, Purged, Reply};
use tokio::sync::oneshot;

use super::{EngineError, Snapshot};

/// The most bytes of requests that may wait, about; beyond it callers are told to come back.
pub(super) const MOST_WAITING_BYTES: usize = 128 << 20;

/// What any request takes beside what its caller wrote.
const REQUEST_BYTES: usize = 1_024;

/// What a claim, a tag or an id takes.
const ITEM_BYTES: usize = 256;

/// Where an answer goes.
pub(super) type Asker<T> = oneshot::Sender<Result<T, EngineError>>;

/// What the loop is sent.
pub(super) enum Request {
    Order(Order, Asker<Reply>),
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    Purge(PurgeTarget, Asker<usize>),
    /// An executor has said something about its attempt.
    Reports(Lease),
    Ended(Lease, Result<Json, Failure>),
    Tick,
    Stop,
}

/// Which ended operations to remove.
#[derive(Clone, Debug)]
pub enum PurgeTarget {
    /// These; whoever is gone already is passed over.
    Operations(Vec<Purged>),
    /// Those of these ids; whoever is not there or not done is passed over.
    Ids(Vec<Arc<str>>),
}

impl Request {
    /// About the bytes that a caller lets wait with it. What comes from this process itself is
    /// bounded where it arises.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Order(Order::Register(register), _) => {
                let items = register.claims.len() + register.tags.len();
                REQUEST_BYTES + register.kwargs.as_str().len() + items * ITEM_BYTES
            }
            Self::Order(..) | Self::Snapshot(_) => REQUEST_BYTES,
            Self::Purge(PurgeTarget::Ids(ids), _) => REQUEST_BYTES + ids.len() * ITEM_BYTES,
            Self::Purge(PurgeTarget::Operations(operations), _) => {
                REQUEST_BYTES + operations.len() * ITEM_BYTES
            }
            Self::Reports(_) | Self::Ended(..) | Self::Tick | Self::Stop => 0,
        }
    }
}
