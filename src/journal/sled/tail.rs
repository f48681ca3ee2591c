//! What is known of the log in memory: where it ends, its latest blocks, and the archive. The
//! writer changes it when a block is durable; readers copy what they need under a short lock.

use std::collections::VecDeque;
use std::sync::Arc;

use imbl::OrdMap;
use opstead_core::{Cursor, Operation};
use serde::{Deserialize, Serialize};

use super::block::Index;
use crate::journal::{Archive, Block, Entry};

/// The log as it stands.
#[derive(Default)]
pub(super) struct Tail {
    /// The cursor of the last durable event.
    pub(super) head: Cursor,
    /// The checksum of the last block; 0 before the first.
    pub(super) checksum: u32,
    /// Bytes of all blocks that ever were.
    pub(super) written_bytes: u64,
    /// Bytes of all blocks that were removed.
    pub(super) removed_bytes: u64,
    /// The cursor from which on everything is kept.
    pub(super) oldest: Cursor,
    pub(super) archive: Archive,
    /// What is kept of the records of each block, by its first cursor.
    pub(super) kept: OrdMap<Cursor, Kept>,
    pub(super) archive_bytes: u64,
    pub(super) ring: Ring,
}

/// What is kept of the records of the operations that ended in one block.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Those that were not purged.
    pub(super) records: u32,
    /// As stored, the purged ones included.
    pub(super) bytes: u64,
}

impl Tail {
    /// Takes in what a block changes in the archive.
    pub(super) fn index(&mut self, first: Cursor, index: &Index) {
        for entry in index.entries(first) {
            self.archive.insert(entry);
        }
        if !index.ended.is_empty() {
            let kept = Kept {
                records: index.ended.len() as u32,
                bytes: index.archive_bytes,
            };
            self.kept.insert(first, kept);
            self.archive_bytes += kept.bytes;
        }
        for sequence in &index.purged {
            if let Some(entry) = self.archive.remove(*sequence) {
                self.purge(&entry);
            }
        }
    }

    fn purge(&mut self, entry: &Entry) {
        let Some(kept) = self.kept.get_mut(&entry.block) else {
            return;
        };
        kept.records -= 1;
        if kept.records == 0 {
            self.archive_bytes -= kept.bytes;
            self.kept.remove(&entry.block);
        }
    }

    /// The blocks of which no record will be left when these operations are purged, with the
    /// bytes that their records take.
    pub(super) fn emptied_by(&self, purged: &[Cursor]) -> Vec<(Cursor, u64)> {
        let mut left: OrdMap<Cursor, Kept> = OrdMap::new();
        for entry in purged
            .iter()
            .filter_map(|sequence| self.archive.get(*sequence))
        {
            if let Some(kept) = self.kept.get(&entry.block) {
                left.entry(entry.block).or_insert(*kept).records -= 1;
            }
        }
        left.iter()
            .filter(|(_, kept)| kept.records == 0)
            .map(|(block, kept)| (*block, kept.bytes))
            .collect()
    }
}

/// The latest blocks, as many as fit into a number of bytes.
#[derive(Default)]
pub(super) struct Ring {
    blocks: VecDeque<(Arc<Block>, usize)>,
    bytes: usize,
    most_bytes: usize,
}

impl Ring {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, block: Arc<Block>, bytes: usize) {
        self.blocks.push_back((block, bytes));
        self.bytes += bytes;
        while self.bytes > self.most_bytes
            && let Some((_, bytes)) = self.blocks.pop_front()
        {
            self.bytes -= bytes;
        }
    }

    /// The blocks behind `after`, if the ring reaches so far back.
    pub(super) fn read(&self, after: Cursor, most_bytes: usize) -> Option<Vec<Arc<Block>>> {
        let (oldest, _) = self.blocks.front()?;
        if after + 1 < oldest.first {
            return None;
        }
        let from = self
            .blocks
            .partition_point(|(block, _)| block.last() <= after);
        let mut taken = 0;
        let blocks = self.blocks.range(from..).take_while(|(_, bytes)| {
            let is_first = taken == 0;
            taken += bytes;
            is_first || taken <= most_bytes
        });
        Some(blocks.map(|(block, _)| block.clone()).collect())
    }

    /// The record of an operation that ended lately.
    pub(super) fn record(&self, entry: &Entry) -> Option<Arc<Operation>> {
        let place = self
            .blocks
            .binary_search_by_key(&entry.block, |(block, _)| block.first)
            .ok()?;
        self.blocks[place]
            .0
            .ended
            .get(entry.index as usize)
            .cloned()
    }
}
