//! Stopping, and what the next start does with attempts that were left.

use std::sync::Arc;
use std::time::Duration;

use opstead::engine::executor::Objects;
use opstead::engine::{Clock, EngineError, PurgeTarget};
use opstead::journal::Reader;
use opstead_core::{Cause, Failure, Json, MethodKind, OperationState, Refusal};

use super::world::{Setup, World, request};

#[test]
fn what_was_ordered_before_the_stop_is_done() {
    let mut world = World::new();
    world.next_block();
    world.disk.hold_appends();
    let first = world.handle.register(request("first", "test.run"));
    world.disk.wait_for_held_append();
    let before: Vec<_> = (0..5_000)
        .map(|index| {
            world
                .handle
                .register(request(&format!("{index}"), "test.run"))
        })
        .collect();
    world.handle.stop();
    let after = world.handle.register(request("after", "test.run"));
    world.disk.release_appends();
    world.wait(first).unwrap();
    let answers = world.wait(futures_util::future::join_all(before));
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.wait(after), Err(EngineError::ShuttingDown));
    assert!(world.join().is_ok());
    let later = world.register(request("later", "test.run"));
    assert_eq!(later, Err(EngineError::ShuttingDown));
    let snapshot = world.wait(world.handle.snapshot());
    assert!(matches!(snapshot, Err(EngineError::ShuttingDown)));
}

#[test]
fn attempts_are_told_to_stop_and_go_on_at_the_next_start() {
    let mut world = World::new();
    let attempt = world.run("a", "test.run");
    let task = attempt.task.clone();
    world.handle.stop();
    world.join().unwrap();
    assert!(task.is_canceled());
    attempt.answer(Err(Failure::canceled()));
    let world = world.crash();
    let next = world.attempt();
    assert_eq!((next.task.operation_id(), next.task.attempt()), ("a", 2));
    next.complete();
    world.event("a", "completed");
    let words = ["registered", "started", "retrying", "started", "completed"];
    assert_eq!(world.words("a"), words);
}

/// Records of an earlier attempt are found again by it; those of an operation before are not.
#[test]
fn all_attempts_of_an_operation_have_one_identity_that_never_comes_again() {
    let world = World::new();
    let first = world.run("a", "test.run").task.identity();
    let registered = world.event("a", "registered").1;
    assert_eq!(first.sequence, registered.subject.sequence);
    assert_eq!(&*first.log_id, world.disk.log_id());
    assert_eq!(&*first.operation_id, "a");
    assert_eq!(first.registered_at, world.clock.now());
    let world = world.crash();
    world.clock.pass(Duration::from_millis(1));
    let second = world.attempt();
    assert_eq!(
        (second.task.attempt(), second.task.identity()),
        (2, first.clone())
    );
    second.complete();
    world.event("a", "completed");
    let target = PurgeTarget::Ids(vec!["a".into()]);
    assert_eq!(world.wait(world.handle.purge(target)), Ok(1));
    let again = world.run("a", "test.run").task.identity();
    assert_eq!(again.log_id, first.log_id);
    assert!(again.sequence > first.sequence);
}

#[test]
fn a_daemon_that_ends_begins_nothing_more() {
    let mut world = World::new();
    let paused = world.pause();
    let reply = world.handle.register(request("a", "test.run"));
    world.handle.stop();
    drop(paused);
    assert_eq!(world.wait(reply).unwrap().state, OperationState::Running);
    world.join().unwrap();
    assert!(!world.has_new_attempt());
    let world = world.crash();
    assert_eq!(world.attempt().task.operation_id(), "a");
}

/// Protocol §7: `fail` ends as executorLost, one that was canceling is canceled.
#[test]
fn interrupted_attempts_end_as_declared() {
    let world = World::new();
    world.run("fragile", "test.fragile");
    world.run("retried", "test.run");
    let canceling = world.run("canceling", "test.run");
    world.cancel("canceling").unwrap();
    drop(canceling);
    let world = world.crash();
    assert_eq!(world.attempt().task.operation_id(), "retried");
    assert!(!world.has_new_attempt());
    let (_, failed) = world.event("fragile", "failed");
    assert_eq!(failed.info.last_error.code, Failure::EXECUTOR_LOST);
    world.event("canceling", "canceled");
}

/// Protocol §7: the fifth interruption ends it.
#[test]
fn the_fifth_interruption_is_the_last() {
    let mut world = World::new();
    world.run("a", "test.run");
    for attempt in 2..=5 {
        world = world.crash();
        assert_eq!(world.attempt().task.attempt(), attempt);
    }
    let world = world.crash();
    let (_, failed) = world.event("a", "failed");
    assert_eq!(failed.info.last_error.code, Failure::EXECUTOR_LOST);
    assert!(!world.has_new_attempt());
}

/// Protocol §7: declarations outlive the executor; its operations wait for it.
#[test]
fn operations_of_an_executor_that_is_gone_wait_for_it() {
    let world = World::new();
    world.run("running", "test.run");
    world.register(request("holder", "test.create")).unwrap();
    let world = Setup {
        with_executor: false,
        ..Setup::on(&world.disk)
    }
    .start();
    let causes = |world: &World, id: &str| {
        let snapshot = world.wait(world.handle.snapshot()).unwrap();
        let operation = snapshot.state.operation(id).unwrap();
        assert_eq!(operation.state, OperationState::Waiting);
        let reasons = snapshot.state.reasons(operation, snapshot.now);
        reasons
            .iter()
            .map(|reason| reason.cause)
            .collect::<Vec<_>>()
    };
    assert_eq!(causes(&world, "running"), [Cause::Executor]);
    let late = world.register(request("late", "test.read")).unwrap();
    let named: Vec<_> = late.reasons.iter().map(|reason| reason.cause).collect();
    assert_eq!(
        named,
        [Cause::Resource, Cause::Executor],
        "every cause is named"
    );
    let world = world.crash();
    // Both are handed out at once, so either may come first.
    let mut started = [world.attempt(), world.attempt()];
    started.sort_by_key(|attempt| attempt.task.operation_id().to_owned());
    let [holder, running] = started;
    assert_eq!(running.task.operation_id(), "running");
    drop(running);
    holder.complete();
    assert_eq!(world.attempt().task.operation_id(), "late");
}

/// Protocol §7: declarations outlive the executor, so a method stays what it is while nobody offers
/// it: a query cannot be answered, but its kwargs can be judged.
#[test]
fn methods_of_an_executor_that_is_gone_are_still_known() {
    struct NoObjects;
    impl Objects for NoObjects {
        fn operation_info(&self, _alert_name: &str) -> Option<Json> {
            None
        }
    }
    let world = World::new();
    let gone = Setup {
        with_executor: false,
        ..Setup::on(&world.disk)
    }
    .start();
    let kind = |method: &str| gone.handle.method_kind(method);
    assert_eq!(kind("test.run"), Some(MethodKind::Operation));
    assert_eq!(kind("test.ask"), Some(MethodKind::Query));
    assert_eq!(kind("test.never"), None);
    let ask = |kwargs: Json| {
        let answer = gone.handle.query("test.ask", kwargs, Arc::new(NoObjects));
        gone.wait(answer).unwrap_err()
    };
    let unavailable = EngineError::ExecutorUnavailable {
        method_name: "test.ask".into(),
    };
    assert_eq!(ask(request("", "").kwargs), unavailable);
    let refused = ask(Json::empty_object());
    assert!(
        matches!(refused, EngineError::Refused(Refusal::Invalid { .. })),
        "{refused}"
    );
}
