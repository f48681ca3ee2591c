//! Blocks to append: operations as the engine would write them.

use std::sync::Arc;

use opstead::journal::{Block, Journal};
use opstead_core::{
    Change, Cursor, Event, EventBody, Json, Operation, OperationEvent, OperationInfo,
    OperationState, Outcome, Purged, Request, Subject, Time,
};
use serde::Serialize;

/// Who the operation is.
pub(crate) fn subject(sequence: Cursor) -> Arc<Subject> {
    Arc::new(Subject {
        sequence,
        id: id(sequence).into(),
        alert_name: format!("vm.VM.{sequence}").into(),
        method_name: "vm.start".into(),
        parent: None,
    })
}

/// The id of the operation registered at `sequence`.
pub(crate) fn id(sequence: Cursor) -> String {
    format!("operation-{sequence}")
}

/// The time of every event at that cursor.
pub(crate) fn time(cursor: Cursor) -> Time {
    Time(1_800_000_000_000 + cursor)
}

/// Text of that many bytes that hardly compresses, as a JSON string.
pub(crate) fn noise(seed: u64, bytes: usize) -> Json {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed | 1;
    let text: String = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(LETTERS[(state >> 32) as usize % 64])
        })
        .collect();
    Json::from_text(&format!("\"{text}\"")).unwrap()
}

fn request(sequence: Cursor, kwargs: Json) -> Arc<Request> {
    Arc::new(Request {
        version: 1,
        kwargs,
        claims: Vec::new(),
        tags: vec!["nightly".into()],
        registered_at: time(sequence),
        registered_by: "test".into(),
        has_object: true,
        cancelable: false,
        on_interrupt: opstead_core::OnInterrupt::Fail,
        conditions: None,
    })
}

fn event(cursor: Cursor, sequence: Cursor, state: OperationState, change: Change) -> Event {
    Event {
        time: time(cursor),
        body: EventBody::Operation(OperationEvent {
            subject: subject(sequence),
            state,
            info: Arc::new(OperationInfo::new("Waiting")),
            change,
        }),
    }
}

/// The operation that is registered at that cursor.
pub(crate) fn registered(cursor: Cursor, kwargs: Json) -> Event {
    let change = Change::Registered(request(cursor, kwargs));
    event(cursor, cursor, OperationState::Waiting, change)
}

/// The end of the operation registered at `sequence`.
pub(crate) fn completed(cursor: Cursor, sequence: Cursor) -> Event {
    let change = Change::Completed(Json::null());
    event(cursor, sequence, OperationState::Completed, change)
}

/// Records that leave the archive.
pub(crate) fn purged(cursor: Cursor, sequences: &[Cursor]) -> Event {
    let operations = sequences
        .iter()
        .map(|sequence| Purged {
            sequence: *sequence,
            alert_name: subject(*sequence).alert_name.clone(),
        })
        .collect();
    Event {
        time: time(cursor),
        body: EventBody::Purged { operations },
    }
}

/// As `Operation` is written; some of its fields are the core's own.
#[derive(Serialize)]
struct Written {
    subject: Arc<Subject>,
    request: Arc<Request>,
    state: OperationState,
    info: OperationInfo,
    described: bool,
    attempt: u32,
    interruptions: u32,
    started_at: Time,
    finished_at: Option<Time>,
    outcome: Option<Outcome>,
    cursor: Cursor,
    updated_at: Time,
}

/// The record of the operation registered at `sequence`, ended at `cursor` unless that is the
/// same.
pub(crate) fn operation(sequence: Cursor, cursor: Cursor, kwargs: Json) -> Arc<Operation> {
    let has_ended = cursor != sequence;
    let written = Written {
        subject: subject(sequence),
        request: request(sequence, kwargs),
        state: match has_ended {
            true => OperationState::Completed,
            false => OperationState::Running,
        },
        info: OperationInfo::new("Completed"),
        described: false,
        attempt: 1,
        interruptions: 0,
        started_at: time(sequence),
        finished_at: has_ended.then(|| time(cursor)),
        outcome: has_ended.then(|| Outcome::Completed(Json::null())),
        cursor,
        updated_at: time(cursor),
    };
    serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap()
}

/// A block that registers `count` operations with these kwargs.
pub(crate) fn registrations(first: Cursor, count: u64, kwargs: &Json) -> Arc<Block> {
    Arc::new(Block {
        first,
        events: (first..first + count)
            .map(|cursor| registered(cursor, kwargs.clone()))
            .collect(),
        ended: Vec::new(),
    })
}

/// A block that ends these operations.
pub(crate) fn ends(first: Cursor, sequences: &[Cursor]) -> Arc<Block> {
    let places = || (first..).zip(sequences);
    Arc::new(Block {
        first,
        events: places()
            .map(|(cursor, sequence)| completed(cursor, *sequence))
            .collect(),
        ended: places()
            .map(|(cursor, sequence)| operation(*sequence, cursor, kwargs()))
            .collect(),
    })
}

/// A block that purges these operations.
pub(crate) fn purge(first: Cursor, sequences: &[Cursor]) -> Arc<Block> {
    Arc::new(Block {
        first,
        events: vec![purged(first, sequences)],
        ended: Vec::new(),
    })
}

/// Kwargs with what must come back as it was: key order, large numbers, line breaks.
pub(crate) fn kwargs() -> Json {
    Json::from_text("{\"z\": 9007199254740993,\n \"a\": [1.0, \"\\u0061\"]}").unwrap()
}

/// Appends a block right behind the head.
pub(crate) fn append(journal: &mut dyn Journal, block: &Arc<Block>) {
    let head = journal.append(block.first - 1, block).unwrap();
    assert_eq!(head, block.last());
}

/// Appends `count` blocks of one registration each.
pub(crate) fn append_registrations(journal: &mut dyn Journal, count: u64) {
    for _ in 0..count {
        let block = registrations(journal.head() + 1, 1, &kwargs());
        append(journal, &block);
    }
}
