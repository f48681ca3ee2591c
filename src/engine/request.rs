//! What the loop is sent, and how much of it may wait.

use std::sync::Arc;

use opstead_core::{
    Cursor, Failure, Json, Lease, Order, Purged, Register, Reply, Resource, Verdict,
};

use super::Snapshot;
use super::attach::{Arrival, Said};
use super::draft::Answered;
use super::kwargs::Checked;
use super::outside::Seat;
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
    Register(Registering, Asker<Answered<Reply>>),
    /// An executor outside has come.
    Arrived(Box<Arrival>, Asker<Answered<Vec<Lease>>>),
    /// An executor outside has said something.
    Said(Seat, Box<Said>, Asker<Answered<Cursor>>),
    /// An executor outside has gone.
    Left(Seat),
    /// Executors outside can come from now on.
    Listening,
    /// An executor has said something about its attempt.
    Reports(Lease),
    Ended(Lease, Result<Json, Failure>),
    /// A moment has come for which something waited.
    Due,
    Tick,
    Stop,
}

/// A registration on its way to the loop.
pub(super) struct Registering {
    /// With its kwargs as the caller wrote them.
    pub(super) register: Box<Register>,
    /// What was made of its kwargs on the way.
    pub(super) checked: Checked,
    /// Who carries out the attempt that registers it, if that is somebody outside.
    pub(super) seat: Option<Seat>,
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
            Self::Register(asked, _) => {
                REQUEST_BYTES + register_bytes(&asked.register) + asked.checked.bytes()
            }
            Self::Arrived(arrival, _) => {
                let declared = arrival.declarations.iter();
                let declared = declared.map(|method| ITEM_BYTES + method.text_bytes());
                REQUEST_BYTES + declared.sum::<usize>()
            }
            Self::Said(_, said, _) => REQUEST_BYTES + said_bytes(said),
            Self::Order(Order::Cancel { id, .. }, _) => REQUEST_BYTES + id.len(),
            Self::Order(..) | Self::Snapshot(_) => REQUEST_BYTES,
            Self::Purge(PurgeTarget::Ids(ids), _) => REQUEST_BYTES + texts_bytes(ids),
            Self::Purge(PurgeTarget::Operations(operations), _) => {
                REQUEST_BYTES + operations.len() * ITEM_BYTES
            }
            Self::Reports(_)
            | Self::Ended(..)
            | Self::Left(_)
            | Self::Listening
            | Self::Due
            | Self::Tick
            | Self::Stop => 0,
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

/// What an executor wrote; each of these is bounded where it comes from.
fn said_bytes(said: &Said) -> usize {
    let failure = |failure: &Failure| {
        let data = failure.data.as_ref();
        failure.message.len() + data.map_or(0, |data| data.as_str().len())
    };
    match said {
        Said::Update { update, error, .. } => {
            let data = update
                .as_ref()
                .and_then(|update| update.extra_data.as_ref());
            data.map_or(0, |data| data.as_str().len()) + error.as_ref().map_or(0, failure)
        }
        Said::End { verdict, .. } => match verdict {
            Verdict::Completed(result) => result.as_str().len(),
            Verdict::Failed(error) => failure(error),
            Verdict::Canceled => 0,
        },
        Said::Publish { info, .. } => info.extra_data.as_str().len(),
        Said::Capacity(_) | Said::Retire { .. } => 0,
    }
}

fn texts_bytes(texts: &[Arc<str>]) -> usize {
    texts.iter().map(|text| ITEM_BYTES + text.len()).sum()
}
