//! A block in the making: what one turn of the loop gathers, and the answers that wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use opstead_core::{Cursor, Event, Lease, Operation, Reply};

use super::outside::Seat;
use super::post::{Asker, Post};
use super::{EngineError, Snapshot};
use crate::journal::Block;

/// About the bytes of an event or a record beside what others wrote, as they are on disk: blocks
/// are compressed, and most of an event is like the one before.
const BASE_BYTES: usize = 100;

/// A block in the making.
#[derive(Default)]
pub(super) struct Draft {
    events: Vec<Event>,
    ended: Vec<Arc<Operation>>,
    /// Who ended under which id, as an index into `ended`.
    ended_ids: HashMap<Arc<str>, usize>,
    /// Ended operations that the block removes.
    pub(super) purged: HashSet<Cursor>,
    /// About the bytes that the block will take.
    pub(super) bytes: usize,
    pub(super) answers: Vec<Answer>,
    /// Whether to look, once the block is durable, what else is due.
    pub(super) ticked: bool,
}

/// What a caller is told.
pub(super) type Answered<T> = Result<T, EngineError>;

/// An answer that waits for the block.
pub(super) enum Answer {
    Order(Asker<Answered<Reply>>, Answered<Reply>),
    Snapshot(Asker<Arc<Snapshot>>),
    Purge(Asker<Answered<usize>>, Answered<usize>),
    Arrived(Seat, Asker<Answered<Vec<Lease>>>, Answered<Vec<Lease>>),
    Said(Asker<Answered<Cursor>>, Answered<Cursor>),
}

impl Draft {
    /// Adds what a command has led to; its reply is left to the caller.
    pub(super) fn add(&mut self, events: Vec<Event>, ended: Vec<Arc<Operation>>) {
        let events_bytes = events.iter().map(|event| BASE_BYTES + event.text_bytes());
        let ended_bytes = ended.iter().map(|record| BASE_BYTES + record.text_bytes());
        self.bytes += events_bytes.sum::<usize>() + ended_bytes.sum::<usize>();
        self.events.extend(events);
        for operation in ended {
            self.ended_ids
                .insert(operation.subject.id.clone(), self.ended.len());
            self.ended.push(operation);
        }
    }

    /// The operation that ended under that id in this block.
    pub(super) fn ended(&self, id: &str) -> Option<&Arc<Operation>> {
        self.ended_ids.get(id).map(|index| &self.ended[*index])
    }

    /// The block, which ends at `head`, and the answers that wait for it.
    pub(super) fn finish(self, head: Cursor) -> (Arc<Block>, Vec<Answer>) {
        let block = Arc::new(Block {
            first: head + 1 - self.events.len() as Cursor,
            events: self.events,
            ended: self.ended,
        });
        (block, self.answers)
    }
}

impl Answer {
    /// Answers that nobody knows what became of it.
    pub(super) fn fail(self, post: &mut Post) {
        match self {
            Self::Order(asker, _) => post.add(asker, Err(EngineError::StorageFailed)),
            // Dropping it tells the reader that the engine is gone.
            Self::Snapshot(asker) => drop(asker),
            Self::Purge(asker, _) => post.add(asker, Err(EngineError::StorageFailed)),
            Self::Arrived(_, asker, _) => post.add(asker, Err(EngineError::StorageFailed)),
            Self::Said(asker, _) => post.add(asker, Err(EngineError::StorageFailed)),
        }
    }
}
