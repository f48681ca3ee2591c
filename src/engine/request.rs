//! What the loop is sent, and how much of it may wait.

use std::sync::Arc;

use opstead_core::{Failure, Json, Lease, Order, Purged, Register, Reply, Resource};

use super::Snapshot;
use super::draft::Answered;
use super::post::Asker;

/// The most bytes of requests that may wait, about; beyond it callers are told to come back.
pub(super) const MOST_WAITING_BYTES: usize = 128 << 20;

/// What any request takes beside what its caller wrote.
const REQUEST_BYTES: usize = 1_024;

/// What a claim, a tag or an id takes.
const ITEM_BYTES: usize = 256;

/// What the loop is sent.
pub(super) enum Request {
    Order(Order, Asker<Answered<Reply>>),
    Snapshot(Asker<Arc<Snapshot>>),
    Purge(PurgeTarget, Asker<Answered<usize>>),
    /// An executor has said something about its attempt.
    Reports(Lease),
    Ended(Lease, Result<Json, Failure>),
    /// A moment has come for which something waited.
    Due,
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
            Self::Order(Order::Register(register), _) => REQUEST_BYTES + register_bytes(register),
            Self::Order(Order::Cancel { id, .. }, _) => REQUEST_BYTES + id.len(),
            Self::Order(..) | Self::Snapshot(_) => REQUEST_BYTES,
            Self::Purge(PurgeTarget::Ids(ids), _) => REQUEST_BYTES + texts_bytes(ids),
            Self::Purge(PurgeTarget::Operations(operations), _) => {
                REQUEST_BYTES + operations.len() * ITEM_BYTES
            }
            Self::Reports(_) | Self::Ended(..) | Self::Due | Self::Tick | Self::Stop => 0,
        }
    }
}

/// What the caller wrote. Names are checked only when the order is decided, so they may be long.
fn register_bytes(register: &Register) -> usize {
    let claims = register.claims.iter().map(|claim| {
        let Resource { kind, id } = &*claim.resource;
        ITEM_BYTES + kind.len() + id.len()
    });
    let after = register.after.iter();
    let after = after.map(|earlier| ITEM_BYTES + earlier.id.len());
    let id = register.id.as_ref().map_or(0, |id| id.len());
    let names = register.method_name.len() + id + texts_bytes(&register.tags);
    register.kwargs.as_str().len() + names + claims.chain(after).sum::<usize>()
}

fn texts_bytes(texts: &[Arc<str>]) -> usize {
    texts.iter().map(|text| ITEM_BYTES + text.len()).sum()
}
