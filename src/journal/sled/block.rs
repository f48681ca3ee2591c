//! How blocks and the records of ended operations are written, and read back. It knows nothing of
//! files or of sled.

use std::collections::BTreeSet;
use std::sync::Arc;

use opstead_core::{Cursor, Json, Operation, OperationState, Time};
use serde::{Deserialize, Serialize};

use super::envelope::{Envelope, Sealed, seal, unseal};
use crate::journal::{Block, Entry, Fingerprint};

/// What can be said of a block without decompressing it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BlockHead {
    /// The cursor of its first event.
    pub(super) first: Cursor,
    /// How many events it holds.
    pub(super) count: u64,
    /// The time of its last event.
    pub(super) time: Time,
    /// The checksum of the block before it; 0 for the first.
    pub(super) previous: u32,
    /// Bytes of all blocks before it, also of those that were removed since.
    pub(super) offset: u64,
    /// Bytes of the index at the beginning of the body; 0 for none.
    pub(super) index: usize,
}

impl BlockHead {
    pub(super) fn last(&self) -> Cursor {
        self.first + self.count - 1
    }
}

/// What a block changes in the archive.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// The operations that ended: sequence, state, end, fingerprint.
    pub(super) ended: Vec<(Cursor, OperationState, Time, u64)>,
    /// Bytes of their records as stored; 0 if all of them were purged with the same block.
    pub(super) archive_bytes: u64,
    /// The operations whose records are removed.
    pub(super) purged: Vec<Cursor>,
}

impl Index {
    fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.purged.is_empty()
    }

    /// The archive entries of the operations that ended in the block that begins at `first`.
    pub(super) fn entries(&self, first: Cursor) -> impl Iterator<Item = Entry> {
        (0..).zip(&self.ended).map(
            move |(index, &(sequence, state, finished_at, fingerprint))| Entry {
                sequence,
                state,
                finished_at,
                fingerprint,
                block: first,
                index,
            },
        )
    }
}

#[derive(Serialize, Deserialize)]
struct ArchiveHead {
    block: Cursor,
    count: usize,
}

/// A block as it is to be written.
pub(super) struct Encoded {
    pub(super) head: BlockHead,
    pub(super) index: Index,
    pub(super) block: Sealed,
    /// The records of the operations that ended; nothing if none is left.
    pub(super) archive: Option<Sealed>,
    /// Bytes of block and records before compression.
    pub(super) length: usize,
}

/// Writes a block that follows one with the checksum `previous`.
pub(super) fn encode(
    block: &Block,
    previous: u32,
    offset: u64,
    fingerprint: Fingerprint,
) -> Result<Encoded, serde_json::Error> {
    let mut length = 0;
    let mut archive = None;
    let purged: Vec<Cursor> = block.purged().collect();
    let gone: BTreeSet<Cursor> = purged.iter().copied().collect();
    let is_gone = |operation: &Arc<Operation>| gone.contains(&operation.subject.sequence);
    // Nobody would ever remove records of which none is left now.
    if !block.ended.iter().all(is_gone) {
        let records = serde_json::to_vec(&block.ended)?;
        length += records.len();
        let head = ArchiveHead {
            block: block.first,
            count: block.ended.len(),
        };
        archive = Some(seal(&head, &records));
    }
    let index = Index {
        ended: block
            .entries(fingerprint)
            .map(|entry| {
                (
                    entry.sequence,
                    entry.state,
                    entry.finished_at,
                    entry.fingerprint,
                )
            })
            .collect(),
        archive_bytes: archive
            .as_ref()
            .map_or(0, |sealed| sealed.bytes.len() as u64),
        purged,
    };
    let mut body = if index.is_empty() {
        Vec::new()
    } else {
        serde_json::to_vec(&index)?
    };
    let head = BlockHead {
        first: block.first,
        count: block.events.len() as u64,
        time: block.time(),
        previous,
        offset,
        index: body.len(),
    };
    serde_json::to_writer(&mut body, &block.events)?;
    Ok(Encoded {
        block: seal(&head, &body),
        length: length + body.len(),
        head,
        index,
        archive,
    })
}

/// Opens the envelope of the block that begins at `first`.
pub(super) fn open_block(first: Cursor, bytes: &[u8]) -> Result<Envelope<'_, BlockHead>, String> {
    let envelope = unseal::<BlockHead>(bytes)?;
    if envelope.head.first != first || envelope.head.count == 0 {
        return Err("it is not the block of this place".into());
    }
    Ok(envelope)
}

impl Envelope<'_, BlockHead> {
    /// What the block changes in the archive.
    pub(super) fn index(&self) -> Result<Index, String> {
        if self.head.index == 0 {
            return Ok(Index::default());
        }
        let body = self.body()?;
        let index = body.get(..self.head.index).ok_or("its index is cut off")?;
        serde_json::from_slice(index).map_err(|error| error.to_string())
    }

    /// The block, without the operations that ended in it.
    pub(super) fn decode(&self) -> Result<Block, String> {
        let body = self.body()?;
        let events = body.get(self.head.index..).ok_or("its index is cut off")?;
        let block = Block {
            first: self.head.first,
            events: serde_json::from_slice(events).map_err(|error| error.to_string())?,
            ended: Vec::new(),
        };
        if block.events.len() as u64 != self.head.count {
            return Err("it holds another number of events than it says".into());
        }
        Ok(block)
    }
}

/// The records of the operations that ended in the block that begins at `first`, each still as
/// text: most callers want one of many.
pub(super) fn decode_archive(first: Cursor, bytes: &[u8]) -> Result<Vec<Json>, String> {
    let envelope = unseal::<ArchiveHead>(bytes)?;
    let records: Vec<Json> =
        serde_json::from_slice(&envelope.body()?).map_err(|error| error.to_string())?;
    if envelope.head.block != first || envelope.head.count != records.len() {
        return Err("these are not the records of this place".into());
    }
    Ok(records)
}

/// One record of an archive.
pub(super) fn decode_record(records: &[Json], index: u32) -> Result<Arc<Operation>, String> {
    let record = records
        .get(index as usize)
        .ok_or("there are fewer records")?;
    record
        .parse()
        .map(Arc::new)
        .map_err(|error| error.to_string())
}
