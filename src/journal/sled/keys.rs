//! Where things lie in the one sled tree: keys, and values cut into parts. It does not look into
//! the values.
//!
//! A key is a letter for the kind, the cursor of the block (8 bytes, big endian) and the number of
//! the part (4 bytes, big endian), so that a kind lies together in log order.

use opstead_core::Cursor;
use sled::{Batch, Db, IVec};

/// Values longer than this make sled put pages beside its log, into files of their own.
pub(super) const PART_BYTES: usize = 4096;

/// The key of what names the log.
pub(super) const LOG_ID_KEY: &[u8] = b"log";

/// What a value is.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Block = b'b',
    /// The records of the operations that ended in a block.
    Archive = b'a',
}

const KEY_BYTES: usize = 13;

fn key(kind: Kind, first: Cursor, part: u32) -> [u8; KEY_BYTES] {
    let mut key = [kind as u8; KEY_BYTES];
    key[1..9].copy_from_slice(&first.to_be_bytes());
    key[9..].copy_from_slice(&part.to_be_bytes());
    key
}

fn cursor_of(key: &[u8]) -> Option<(Cursor, u32)> {
    let cursor = key.get(1..9)?.try_into().ok()?;
    let part = key.get(9..KEY_BYTES)?.try_into().ok()?;
    Some((Cursor::from_be_bytes(cursor), u32::from_be_bytes(part)))
}

/// Puts a value into a batch, in parts.
pub(super) fn insert(batch: &mut Batch, kind: Kind, first: Cursor, value: &[u8]) {
    for (part, bytes) in (0..).zip(value.chunks(PART_BYTES)) {
        batch.insert(&key(kind, first, part), bytes);
    }
}

/// Removes a value of that many bytes with a batch.
pub(super) fn remove(batch: &mut Batch, kind: Kind, first: Cursor, bytes: u64) {
    for part in 0..bytes.div_ceil(PART_BYTES as u64) as u32 {
        batch.remove(&key(kind, first, part));
    }
}

/// Removes everything from a cursor on with a batch.
pub(super) fn remove_from(batch: &mut Batch, db: &Db, first: Cursor) -> sled::Result<usize> {
    let mut removed = 0;
    for kind in [Kind::Block, Kind::Archive] {
        for pair in db.range(key(kind, first, 0)..=key(kind, Cursor::MAX, u32::MAX)) {
            batch.remove(pair?.0);
            removed += 1;
        }
    }
    Ok(removed)
}

/// The value of one block.
pub(super) fn get(db: &Db, kind: Kind, first: Cursor) -> sled::Result<Option<Vec<u8>>> {
    let value = Values::between(db, kind, first, first).next().transpose()?;
    Ok(value.map(|(_, bytes)| bytes))
}

/// The first cursor of the block that holds `cursor`, if it is there.
pub(super) fn block_at(db: &Db, cursor: Cursor) -> sled::Result<Option<Cursor>> {
    let until = key(Kind::Block, cursor, u32::MAX);
    let found = db.range(key(Kind::Block, 0, 0)..=until).next_back();
    Ok(found
        .transpose()?
        .and_then(|(key, _)| cursor_of(&key))
        .map(|(first, _)| first))
}

/// The first cursor of the oldest block.
pub(super) fn oldest_block(db: &Db) -> sled::Result<Option<Cursor>> {
    let from = key(Kind::Block, 0, 0)..=key(Kind::Block, Cursor::MAX, u32::MAX);
    let found = db.range(from).next();
    Ok(found
        .transpose()?
        .and_then(|(key, _)| cursor_of(&key))
        .map(|(first, _)| first))
}

/// Values of one kind in log order, each put together from its parts. A missing part leaves a
/// hole, which the checksum inside finds.
pub(super) struct Values(Parted);

impl Values {
    /// The values of the blocks that begin between the two cursors, both included.
    pub(super) fn between(db: &Db, kind: Kind, first: Cursor, last: Cursor) -> Self {
        Self(Parted::between(db, kind, first, last))
    }
}

impl Iterator for Values {
    type Item = sled::Result<(Cursor, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let joined = |(first, parts): (Cursor, Vec<Part>)| {
            let mut value = Vec::with_capacity(parts.len() * PART_BYTES);
            for part in parts {
                value.extend_from_slice(&part.bytes);
            }
            (first, value)
        };
        Some(self.0.next()?.map(joined))
    }
}

/// One part of a value.
pub(super) struct Part {
    pub(super) key: IVec,
    pub(super) bytes: IVec,
}

/// The same values, each as its parts.
pub(super) struct Parted {
    parts: sled::Iter,
    /// The first part of the next value.
    next: Option<(Cursor, Part)>,
}

impl Parted {
    pub(super) fn between(db: &Db, kind: Kind, first: Cursor, last: Cursor) -> Self {
        Self {
            parts: db.range(key(kind, first, 0)..=key(kind, last, u32::MAX)),
            next: None,
        }
    }

    fn next_part(&mut self) -> Option<sled::Result<(Cursor, Part)>> {
        let (key, bytes) = match self.parts.next()? {
            Ok(pair) => pair,
            Err(error) => return Some(Err(error)),
        };
        let (cursor, _) = cursor_of(&key)?;
        Some(Ok((cursor, Part { key, bytes })))
    }
}

impl Iterator for Parted {
    type Item = sled::Result<(Cursor, Vec<Part>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (first, part) = match self.next.take() {
            Some(next) => next,
            None => match self.next_part()? {
                Ok(next) => next,
                Err(error) => return Some(Err(error)),
            },
        };
        let mut parts = vec![part];
        loop {
            match self.next_part() {
                Some(Ok((cursor, part))) if cursor == first => parts.push(part),
                Some(Ok(next)) => {
                    self.next = Some(next);
                    break;
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        Some(Ok((first, parts)))
    }
}
