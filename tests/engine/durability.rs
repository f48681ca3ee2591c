//! Nothing leaves before its block is durable, and a failed block acknowledges nothing.

use std::pin::Pin;

use futures_util::FutureExt;
use opstead::engine::{EngineError, PurgeTarget, RegisterRequest};
use opstead::journal::{InjectedFault, MemoryDisk};
use opstead_core::{Json, OperationState, Refusal, Registration};
use serde_json::json;

use super::world::{Setup, World, failure, operation_events, percentage, request};

type Reply = Pin<Box<dyn Future<Output = Result<Registration, EngineError>> + Send>>;

/// Hands a registration over without waiting for its answer.
fn order(world: &World, request: RegisterRequest) -> Reply {
    Box::pin(world.handle.register(request))
}

/// Law 2, protocol §5.2: replies, alerts and assignments leave after their block.
#[test]
fn nothing_leaves_before_the_block_is_durable() {
    let world = World::new();
    let listener = world.handle.changes().listen(vec!["a".into()]);
    world.next_block();
    world.disk.hold_appends();
    let mut reply = order(&world, request("a", "test.run"));
    world.disk.wait_for_held_append();
    assert!(reply.as_mut().now_or_never().is_none(), "a reply left");
    assert!(!world.has_new_block(), "alerts left");
    assert!(!world.has_new_attempt(), "an attempt left");
    assert!(listener.changed().now_or_never().is_none());
    world.disk.release_appends();
    let registration = world.wait(reply).unwrap();
    assert_eq!(registration.state, OperationState::Running);
    assert_eq!(world.attempt().task.attempt(), 1);
    world.wait(listener.changed());
    let words: Vec<_> = operation_events(&world.next_block())
        .map(|event| event.change.as_str())
        .collect();
    assert_eq!(words, ["registered", "started"], "both in one block");
}

/// A cancellation reaches the executor, and its reports reach subscribers, after the block only.
#[test]
fn cancellation_and_reports_wait_too() {
    let world = World::new();
    let attempt = world.run("a", "test.run");
    world.event("a", "started");
    world.disk.hold_appends();
    let mut canceled = Box::pin(world.handle.cancel("a".into()));
    world.disk.wait_for_held_append();
    assert!(!attempt.task.is_canceled());
    assert!(canceled.as_mut().now_or_never().is_none());
    attempt.task.non_fatal_error(failure(3001));
    assert!(!world.has_new_block());
    world.disk.release_appends();
    world.wait(canceled).unwrap();
    world.wait(attempt.task.canceled());
    world.event("a", "error");
}

/// All that comes while a block is being written goes into the next one.
#[test]
fn orders_that_come_meanwhile_share_a_block() {
    let world = World::new();
    world.next_block();
    world.disk.hold_appends();
    let first = order(&world, request("first", "test.run"));
    world.disk.wait_for_held_append();
    let others: Vec<Reply> = (0..100)
        .map(|index| order(&world, request(&format!("{index}"), "test.run")))
        .collect();
    world.disk.release_appends();
    world.wait(first).unwrap();
    let answers = world.wait(futures_util::future::join_all(others));
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(operation_events(&world.next_block()).count(), 2);
    assert_eq!(operation_events(&world.next_block()).count(), 200);
}

/// Law 2: refusals and answers about existing operations say something about the block too.
#[test]
fn refusals_and_answers_about_existing_operations_wait() {
    let world = World::new();
    let paused = world.pause();
    let mut replies = vec![
        order(&world, request("a", "test.create")),
        order(&world, request("b", "test.create")),
        order(&world, request("a", "test.create")),
    ];
    let mut canceled = Box::pin(world.handle.cancel("unknown".into()));
    let mut snapshot = Box::pin(world.handle.snapshot());
    assert!(snapshot.as_mut().now_or_never().is_none());
    world.disk.hold_appends();
    drop(paused);
    world.disk.wait_for_held_append();
    for reply in &mut replies {
        assert!(reply.as_mut().now_or_never().is_none());
    }
    assert!(canceled.as_mut().now_or_never().is_none());
    assert!(snapshot.as_mut().now_or_never().is_none());
    world.disk.release_appends();
    let mut answers = world.wait(futures_util::future::join_all(replies));
    assert!(answers.pop().unwrap().unwrap().existing);
    assert!(matches!(
        answers.pop().unwrap(),
        Err(EngineError::Refused(Refusal::ClaimHeld { .. }))
    ));
    assert!(!answers.pop().unwrap().unwrap().existing);
    assert!(matches!(
        world.wait(canceled),
        Err(EngineError::Refused(Refusal::OperationNotFound { .. }))
    ));
    let snapshot = world.wait(snapshot).unwrap();
    assert!(snapshot.state.operation("a").is_some());
}

/// Law 3: after a failed write nothing is acknowledged, to nobody, ever.
#[test]
fn a_failed_append_ends_everything() {
    for fault in [InjectedFault::Lost, InjectedFault::Kept] {
        let mut world = World::new();
        let attempt = world.run("before", "test.run");
        world.event("before", "started");
        world.disk.hold_appends();
        let written = order(&world, request("a", "test.run"));
        world.disk.wait_for_held_append();
        let waiting = order(&world, request("b", "test.run"));
        let purge = world.handle.purge(PurgeTarget::Ids(vec!["x".into()]));
        world.disk.fail_append(1, fault);
        world.disk.release_appends();
        assert_eq!(world.wait(written), Err(EngineError::StorageFailed));
        assert_eq!(world.wait(waiting), Err(EngineError::StorageFailed));
        assert_eq!(world.wait(purge), Err(EngineError::StorageFailed));
        assert!(world.join().is_err(), "the engine ends");
        let later = world.register(request("c", "test.run"));
        assert_eq!(later, Err(EngineError::StorageFailed));
        assert!(world.wait(world.handle.snapshot()).is_err());
        assert!(attempt.task.is_canceled(), "executors are told to stop");
        assert!(!world.has_new_block() && !world.has_new_attempt());
        // Asking again with the same id tells what became of it.
        let world = world.crash();
        let again = world.register(request("a", "test.run")).unwrap();
        assert_eq!(again.existing, fault == InjectedFault::Kept);
        assert!(!world.register(request("b", "test.run")).unwrap().existing);
    }
}

/// Law 4: what waits for the disk is bounded in bytes, and so is a block.
#[test]
fn too_much_that_waits_is_refused() {
    let world = World::new();
    world.next_block();
    let pad = "x".repeat(1 << 20);
    let kwargs = Json::from_value(&json!({ "pad": pad })).unwrap();
    let large = |id: usize| RegisterRequest {
        kwargs: kwargs.clone(),
        ..request(&format!("{id}"), "test.run")
    };
    world.disk.hold_appends();
    let first = order(&world, request("first", "test.run"));
    world.disk.wait_for_held_append();
    let others: Vec<Reply> = (0..140).map(|id| order(&world, large(id))).collect();
    world.disk.release_appends();
    world.wait(first).unwrap();
    let answers = world.wait(futures_util::future::join_all(others));
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(EngineError::Overloaded { .. })))
        .count();
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted + refused, 140);
    assert!((100..128).contains(&accepted), "{accepted}");
    assert!(world.register(large(999)).is_ok(), "there is room again");
    for block in world.log() {
        assert!(
            operation_events(&block).count() <= 2 * 5,
            "a block is bounded"
        );
    }
}

/// Law 3: a full disk refuses what is new, and lets everything else finish.
#[test]
fn a_nearly_full_disk_refuses_new_operations_only() {
    let world = World::new();
    let first = world.run("a", "test.run");
    let second = world.run("b", "test.run");
    world.disk.set_low_on_space(true);
    for id in [Some("c".into()), None] {
        let new = RegisterRequest {
            id,
            ..request("", "test.run")
        };
        assert!(matches!(
            world.register(new),
            Err(EngineError::Overloaded { .. })
        ));
    }
    assert!(world.register(request("a", "test.run")).unwrap().existing);
    first.task.progress(percentage(50.0));
    first.complete();
    world.event("a", "completed");
    assert!(world.register(request("a", "test.run")).unwrap().existing);
    world.cancel("b").unwrap();
    second.answer(Err(opstead_core::Failure::canceled()));
    world.event("b", "canceled");
    let purge = world.handle.purge(PurgeTarget::Ids(vec!["a".into()]));
    assert_eq!(world.wait(purge), Ok(1));
    world.disk.set_low_on_space(false);
    assert!(world.register(request("c", "test.run")).is_ok());
}

/// Protocol §3: the same id answers the first registration, running or done.
#[test]
fn an_ended_id_is_known_in_its_own_block_and_after() {
    let world = Setup {
        capacity: 0,
        ..Setup::default()
    }
    .start();
    world.register(request("before", "test.run")).unwrap();
    let hold = world.disk.clone();
    world.event("before", "postponed");
    hold.hold_appends();
    let first = order(&world, request("first", "test.run"));
    hold.wait_for_held_append();
    let registered = order(&world, request("a", "test.run"));
    let canceled = world.handle.cancel("a".into());
    let again = order(&world, request("a", "test.run"));
    let other = order(&world, request("a", "test.stubborn"));
    let once_more = world.handle.cancel("a".into());
    hold.release_appends();
    world.wait(first).unwrap();
    assert!(!world.wait(registered).unwrap().existing);
    assert_eq!(
        world.wait(canceled).unwrap().state,
        OperationState::Canceled
    );
    let again = world.wait(again).unwrap();
    assert!(again.existing);
    assert_eq!(again.state, OperationState::Canceled);
    assert!(matches!(
        world.wait(other),
        Err(EngineError::Refused(Refusal::IdReused { .. }))
    ));
    assert_eq!(
        world.wait(once_more).unwrap().state,
        OperationState::Canceled
    );
    assert_eq!(world.event("a", "registered").0.ended.len(), 1, "one block");
    assert!(world.register(request("a", "test.run")).unwrap().existing);
    let world = world.crash();
    assert!(world.register(request("a", "test.run")).unwrap().existing);
}

/// A disk is the same log for whoever opens it.
#[test]
fn cursors_of_answers_are_those_of_the_log() {
    let disk = MemoryDisk::default();
    let world = Setup {
        disk,
        ..Setup::default()
    }
    .start();
    let registration = world.register(request("a", "test.noop")).unwrap();
    let (block, event) = world.event("a", "registered");
    assert_eq!(registration.cursor, event.subject.sequence);
    assert!((block.first..=block.last()).contains(&registration.cursor));
}
