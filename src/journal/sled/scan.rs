//! Reading the log at opening: from the newest whole checkpoint on, every block is checked against
//! its checksum, its place and its predecessor. An unfinished end is cut off; anything else that
//! is wrong is refused.

use std::path::Path;

use opstead_core::Cursor;
use sled::{Batch, Db};
use tracing::warn;

use super::block::{Index, decode_archive, open_block};
use super::checkpoint::{self, Group, Place};
use super::keys::{self, Kind, Values};
use super::marker::Marker;
use super::open::{OpenError, OpenReport, Options};
use super::tail::{Ring, Tail};
use crate::journal::Entry;

/// How the log stands: all of it, or up to where something is wrong.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) tail: Tail,
    pub(super) newest: Option<Place>,
}

/// Finds out how the log stands. What was found before an error is in `scanned`, too.
pub(super) fn scan(
    folder: &Path,
    db: &Db,
    marker: &Marker,
    options: &Options,
    report: &mut OpenReport,
    scanned: &mut Scanned,
) -> Result<(), OpenError> {
    let oldest = keys::oldest_block(db)?.map(|first| first - 1);
    begin(folder, &marker.log_id, oldest, report, scanned)?;
    let Scanned { tail, newest } = scanned;
    tail.ring = Ring::new(options.ring_bytes);
    if let Some(oldest) = oldest {
        set_beginning(db, oldest, tail)?;
        if newest.is_none() && oldest > 0 {
            return Err(OpenError::NoCheckpoint { oldest });
        }
    }
    check_joint(db, tail)?;
    follow(db, tail, report)?;
    let acknowledged = marker.acknowledged;
    if tail.head < acknowledged || (oldest.is_none() && tail.head > 0) {
        let head = if oldest.is_none() { 0 } else { tail.head };
        let acknowledged = acknowledged.max(tail.head);
        return Err(OpenError::Shorter { head, acknowledged });
    }
    if let Some(cut_after) = report.cut_after {
        let mut batch = Batch::default();
        let parts = keys::remove_from(&mut batch, db, cut_after + 1)?;
        warn!(cut_after, parts, "an unfinished end of the log is cut off");
        db.apply_batch(batch)?;
    }
    Ok(())
}

/// Begins with the newest checkpoint that is whole.
fn begin(
    folder: &Path,
    log_id: &str,
    oldest: Option<Cursor>,
    report: &mut OpenReport,
    scanned: &mut Scanned,
) -> Result<(), OpenError> {
    for path in checkpoint::list(folder)? {
        let mut archive = Tail::default();
        let what = match checkpoint::verify(&path, |group| take_in(&mut archive, &group)) {
            Ok((_, header)) if header.log_id != log_id => "it is of another log".into(),
            Ok((_, header)) if oldest.is_some_and(|oldest| header.head < oldest) => {
                "the log does not reach back to it".into()
            }
            Ok((place, header)) => {
                scanned.tail = Tail {
                    head: header.log_head,
                    checksum: header.checksum,
                    written_bytes: header.written_bytes,
                    ..archive
                };
                report.checkpoint = Some(place.head);
                scanned.newest = Some(place);
                return Ok(());
            }
            Err(what) => what,
        };
        warn!(path = %path.display(), what, "a checkpoint is passed over");
        report.checkpoints_skipped += 1;
    }
    Ok(())
}

/// Takes in a piece of a checkpoint's archive index.
fn take_in(tail: &mut Tail, group: &Group) {
    for &(sequence, state, finished_at, fingerprint, index) in &group.entries {
        tail.archive.insert(Entry {
            sequence,
            state,
            finished_at,
            fingerprint,
            block: group.block,
            index,
        });
    }
    let kept = tail.kept.entry(group.block).or_default();
    if kept.records == 0 {
        kept.bytes = group.bytes;
        tail.archive_bytes += group.bytes;
    }
    kept.records += group.entries.len() as u32;
}

/// Notes where the log begins, in cursors and in bytes.
fn set_beginning(db: &Db, oldest: Cursor, tail: &mut Tail) -> Result<(), OpenError> {
    tail.oldest = oldest;
    let mut damaged_bytes = 0;
    for value in Values::between(db, Kind::Block, oldest + 1, tail.head) {
        let (first, value) = value?;
        // Whether it is damaged or only unfinished is judged by who reads it.
        if let Ok(envelope) = open_block(first, &value) {
            tail.removed_bytes = envelope.head.offset.saturating_sub(damaged_bytes);
            return Ok(());
        }
        damaged_bytes += value.len() as u64;
    }
    tail.removed_bytes = tail.written_bytes.saturating_sub(damaged_bytes);
    Ok(())
}

/// Checks that the block at the checkpoint's end, if it is still there, is the one it means.
fn check_joint(db: &Db, tail: &Tail) -> Result<(), OpenError> {
    let Some(first) = keys::block_at(db, tail.head)? else {
        return Ok(());
    };
    let value = keys::get(db, Kind::Block, first)?.unwrap_or_default();
    let envelope = open_block(first, &value).map_err(|what| damaged(first, what))?;
    if envelope.head.last() < tail.head {
        return Err(OpenError::Shorter {
            head: envelope.head.last(),
            acknowledged: tail.head,
        });
    }
    if envelope.head.last() != tail.head || envelope.checksum != tail.checksum {
        return Err(damaged(
            first,
            "it is not the block that the checkpoint ends with",
        ));
    }
    Ok(())
}

/// Follows the log to its end, taking in what it changes in the archive.
fn follow(db: &Db, tail: &mut Tail, report: &mut OpenReport) -> Result<(), OpenError> {
    let mut broken: Option<(Cursor, String)> = None;
    let mut values = Values::between(db, Kind::Block, tail.head + 1, Cursor::MAX).peekable();
    while let Some(value) = values.next() {
        let (first, bytes) = value?;
        let is_last = values.peek().is_none();
        let (index, envelope) = match check(db, first, &bytes, is_last) {
            Ok(checked) => checked,
            Err(what) => {
                broken.get_or_insert((first, what));
                continue;
            }
        };
        if let Some((at, what)) = broken {
            return Err(damaged(at, what));
        }
        if first != tail.head + 1 {
            return Err(damaged(tail.head + 1, "blocks are missing"));
        }
        if envelope.head.previous != tail.checksum {
            return Err(damaged(first, "it does not follow the block before it"));
        }
        tail.head = envelope.head.last();
        tail.checksum = envelope.checksum;
        tail.written_bytes = envelope.head.offset + bytes.len() as u64;
        tail.index(first, &index);
        report.blocks_checked += 1;
    }
    report.cut_after = broken.map(|_| tail.head);
    Ok(())
}

type Checked<'a> = (
    Index,
    super::envelope::Envelope<'a, super::block::BlockHead>,
);

/// Checks one block by itself, and the last one with the records that came with it.
fn check<'a>(
    db: &Db,
    first: Cursor,
    bytes: &'a [u8],
    is_last: bool,
) -> Result<Checked<'a>, String> {
    let envelope = open_block(first, bytes)?;
    let index = envelope.index()?;
    if is_last && index.archive_bytes > 0 {
        let records = keys::get(db, Kind::Archive, first).map_err(|error| error.to_string())?;
        decode_archive(
            first,
            &records.ok_or("the records of its operations are missing")?,
        )?;
    }
    Ok((index, envelope))
}

fn damaged(at: Cursor, what: impl Into<String>) -> OpenError {
    let what = what.into();
    OpenError::Damaged { at, what }
}
