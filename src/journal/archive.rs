//! The index of ended operations that are kept: small, in memory, cheap to clone. It says where a
//! record lies and never holds the record itself.

use std::collections::BTreeMap;
use std::ops::Bound;

use imbl::{OrdMap, OrdSet};
use opstead_core::{Cursor, EventBody, OperationState, Time};

use super::Block;

/// The index of ended operations. A clone is a view that later ends and purges do not change.
#[derive(Clone, Default)]
pub struct Archive {
    entries: OrdMap<Cursor, Entry>,
    fingerprints: OrdSet<(u64, Cursor)>,
    counts: BTreeMap<OperationState, u64>,
}

/// One ended operation in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the order of registration.
    pub sequence: Cursor,
    /// How it ended.
    pub state: OperationState,
    /// When it ended.
    pub finished_at: Time,
    /// A fingerprint of its id.
    pub(super) fingerprint: u64,
    /// The first cursor of the block it ended in.
    pub(super) block: Cursor,
    /// Its place among those that ended in that block.
    pub(super) index: u32,
}

/// Turns an id into a fingerprint. Two ids may share one, so the record always decides.
pub type Fingerprint = fn(&str) -> u64;

/// FNV-1a with a final mix. It is written to disk, so it must never change.
pub fn fingerprint(id: &str) -> u64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

impl Archive {
    /// Entries registered after `after`, in registration order.
    pub fn after(&self, after: Cursor) -> impl Iterator<Item = &Entry> {
        self.entries
            .range((Bound::Excluded(after), Bound::Unbounded))
            .map(|(_, entry)| entry)
    }

    /// The entry registered at `sequence`.
    pub fn get(&self, sequence: Cursor) -> Option<&Entry> {
        self.entries.get(&sequence)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many there are of each state.
    pub fn counts(&self) -> &BTreeMap<OperationState, u64> {
        &self.counts
    }

    /// Entries whose id has that fingerprint, the latest registered first.
    pub(super) fn with_fingerprint(&self, fingerprint: u64) -> impl Iterator<Item = &Entry> {
        self.fingerprints
            .range((fingerprint, 0)..=(fingerprint, Cursor::MAX))
            .rev()
            .filter_map(|(_, sequence)| self.entries.get(sequence))
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.remove(entry.sequence);
        self.entries.insert(entry.sequence, entry);
        self.fingerprints
            .insert((entry.fingerprint, entry.sequence));
        *self.counts.entry(entry.state).or_default() += 1;
    }

    pub(super) fn remove(&mut self, sequence: Cursor) -> Option<Entry> {
        let entry = self.entries.remove(&sequence)?;
        self.fingerprints
            .remove(&(entry.fingerprint, entry.sequence));
        *self.counts.entry(entry.state).or_default() -= 1;
        Some(entry)
    }
}

impl Block {
    /// The archive entries of the operations that ended with it.
    pub(super) fn entries(&self, fingerprint: Fingerprint) -> impl Iterator<Item = Entry> {
        (0..).zip(&self.ended).map(move |(index, operation)| Entry {
            sequence: operation.subject.sequence,
            state: operation.state,
            finished_at: operation.finished_at.unwrap_or(operation.updated_at),
            fingerprint: fingerprint(&operation.subject.id),
            block: self.first,
            index,
        })
    }

    /// The operations that leave the archive with it.
    pub(super) fn purged(&self) -> impl Iterator<Item = Cursor> {
        self.events
            .iter()
            .filter_map(|event| match &event.body {
                EventBody::Purged { operations } => Some(operations),
                _ => None,
            })
            .flatten()
            .map(|purged| purged.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_on_disk_stay_what_they_are() {
        assert_eq!(fingerprint(""), 0x8570_e250_fe4c_2473);
        assert_eq!(fingerprint("storage.Image.a"), 0xcaa3_9cbc_4db2_6097);
    }
}
