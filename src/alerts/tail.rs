//! Blocks of the log in memory: one block with the alerts it holds, and the tail, which is the
//! newest blocks, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use opstead_core::{Cursor, Event};

use super::alert::{Alert, event_bytes, operation_bytes};
use crate::journal::Block;

/// A block, and its alerts as far as anybody has wanted them.
pub(super) struct LogBlock {
    block: Arc<Block>,
    alerts: Box<[OnceLock<Arc<Alert>>]>,
    bytes: usize,
}

impl LogBlock {
    pub(super) fn new(block: Arc<Block>) -> Self {
        let events: usize = block.events.iter().map(event_bytes).sum();
        let ended: usize = block.ended.iter().map(|ended| operation_bytes(ended)).sum();
        Self {
            alerts: block.events.iter().map(|_| OnceLock::new()).collect(),
            bytes: events + ended,
            block,
        }
    }

    pub(super) fn first(&self) -> Cursor {
        self.block.first
    }

    pub(super) fn last(&self) -> Cursor {
        self.block.last()
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events with their cursors.
    pub(super) fn events(&self) -> impl Iterator<Item = (Cursor, &Event)> {
        self.block.events()
    }

    /// The alert at a cursor of this block, made when it is first wanted; nothing if the event
    /// there is none.
    pub(super) fn alert(&self, cursor: Cursor) -> Option<&Arc<Alert>> {
        let index = (cursor - self.block.first) as usize;
        let slot = &self.alerts[index];
        if slot.get().is_none() {
            let alert = Alert::new(&self.block.events[index], cursor)?;
            // Somebody else may have been faster; then theirs counts.
            let _ = slot.set(Arc::new(alert));
        }
        slot.get()
    }
}

/// The newest blocks, without gaps: everything from behind `start` to `head`.
pub(super) struct Tail {
    start: Cursor,
    head: Cursor,
    blocks: VecDeque<Arc<LogBlock>>,
    bytes: usize,
    most_bytes: usize,
}

impl Tail {
    /// An empty tail at the head of the log.
    pub(super) fn new(head: Cursor, most_bytes: usize) -> Self {
        Self {
            start: head,
            head,
            blocks: VecDeque::new(),
            bytes: 0,
            most_bytes,
        }
    }

    /// The oldest place it reaches back to.
    pub(super) fn start(&self) -> Cursor {
        self.start
    }

    pub(super) fn head(&self) -> Cursor {
        self.head
    }

    /// Takes the block right behind the head, and lets go of the oldest ones.
    pub(super) fn push(&mut self, block: Arc<LogBlock>) {
        assert_eq!(
            block.first(),
            self.head + 1,
            "blocks are published in the order of the log, without gaps"
        );
        self.head = block.last();
        self.bytes += block.bytes();
        self.blocks.push_back(block);
        while self.bytes > self.most_bytes && self.blocks.len() > 1 {
            if let Some(oldest) = self.blocks.pop_front() {
                self.bytes -= oldest.bytes();
                self.start = oldest.last();
            }
        }
    }

    /// The blocks that hold events after a place, about `bytes` of them but at least one; none if
    /// the place is at the head or beyond it, nothing if the tail does not reach back so far.
    pub(super) fn after(&self, place: Cursor, bytes: usize) -> Option<Vec<Arc<LogBlock>>> {
        if place < self.start {
            return None;
        }
        let from = self.blocks.partition_point(|block| block.last() <= place);
        Some(take_bytes(self.blocks.range(from..), bytes))
    }
}

/// The first few of some blocks, `bytes` of them at the most but at least one.
pub(super) fn take_bytes<'a>(
    blocks: impl Iterator<Item = &'a Arc<LogBlock>>,
    bytes: usize,
) -> Vec<Arc<LogBlock>> {
    let mut taken = 0;
    let fitting = blocks.take_while(|block| {
        let is_first = taken == 0;
        taken += block.bytes();
        is_first || taken <= bytes
    });
    fitting.cloned().collect()
}
