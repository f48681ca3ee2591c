//! Comparing the whole state with the model, and reading events for that.

use std::collections::{BTreeMap, BTreeSet};

use opstead_core::{
    Cause, Change, Cursor, Event, EventBody, Moment, OperationEvent, Reason, State,
};

use super::model::Model;

/// An operation with nothing in its way may only stand there while a wake-up is not finished.
pub(crate) fn assert_reasons(due: &[Reason], actual: &[Reason], state: &State, now: Moment) {
    let queued = actual.len() == 1 && actual[0].detail.as_deref() == Some("queued");
    if due.is_empty() && queued {
        assert!(
            !state.is_settled(now),
            "queued, and nobody is going to start it"
        );
    } else {
        let undated = actual.iter().cloned().map(|reason| {
            let is_dated = reason.until.is_some_and(|until| until >= now.wall);
            assert_eq!(is_dated, reason.cause == Cause::RetryDelay);
            Reason {
                until: None,
                ..reason
            }
        });
        assert_eq!(due, undated.collect::<Vec<_>>());
    }
}

/// Compares the state with the model. Of many operations only some are looked at: every
/// `1/stride`th from `offset` on.
pub(crate) fn compare(model: &Model, state: &State, now: Moment, stride: usize, offset: usize) {
    assert_eq!(state.open_operations(), model.open.len());
    let mut counts = BTreeMap::new();
    for known in &model.open {
        *counts.entry(known.state).or_insert(0) += 1;
    }
    assert_eq!(*state.counts(), counts);
    assert_eq!(state.capacity().1, model.used());
    if state.is_settled(now) {
        assert_eq!(model.overdue(now), None);
        assert_eq!(
            model.next_start(|_| true),
            None,
            "it can start, and nobody starts it"
        );
    }
    for known in model.open.iter().skip(offset % stride).step_by(stride) {
        let operation = state.operation(&known.id).expect("an open one is found");
        assert_eq!(operation.state, known.state);
        assert_eq!(operation.subject.sequence, known.sequence);
        assert_eq!(
            (operation.attempt, operation.interruptions),
            (known.attempt, known.interruptions)
        );
        assert_eq!(operation.place(), known.place);
        assert_eq!(operation.spawned(), known.spawned);
        assert_eq!(operation.non_fatal_errors.len(), known.errors);
        assert_eq!(operation.cursor, known.touched);
        assert_eq!(operation.info, known.info);
        // A doomed one names the dependency, or has not heard of it yet.
        if !known.is_doomed {
            assert_reasons(
                &model.reasons(known),
                &state.reasons(operation, now),
                state,
                now,
            );
        }
    }
    // Objects are looked for through all that was ever on them, so there are fewer of these.
    let known = model.open.iter().chain(&model.past);
    let names = if stride == 1 { 20 } else { 2 };
    let stride = 1 + (model.open.len() + model.past.len()) / names;
    let names: BTreeSet<_> = known
        .skip(offset % stride)
        .step_by(stride)
        .map(|known| &known.alert_name)
        .collect();
    for name in names {
        let view = state.object(name);
        let seen = view.as_ref().map(|view| {
            let id = view.operation_id.as_ref();
            (id.expect("nothing is published"), &view.info, view.cursor)
        });
        assert_eq!(model.object(name), seen, "the object {name}");
    }
}

/// What has happened to an operation.
pub(crate) fn operation(event: &Event) -> &OperationEvent {
    match &event.body {
        EventBody::Operation(event) => event,
        other => panic!("{other:?} happens to no operation"),
    }
}

/// The word and place of an event of an operation, unless it is a start.
pub(crate) fn told(event: &Event) -> Option<(&'static str, Cursor)> {
    match &event.body {
        EventBody::Operation(event) if !matches!(event.change, Change::Started { .. }) => {
            Some((event.change.as_str(), event.subject.sequence))
        }
        _ => None,
    }
}
