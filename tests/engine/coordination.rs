//! What the loop adds to the core's rules: clocks, timers, restarts, attempts that are given up.

use std::time::Duration;

use opstead::engine::RegisterRequest;
use opstead_core::{After, Cause, Lease, OperationState, Outcome, Time};

use super::world::{RETRY, Setup, World, failure, request};

/// The moment at which the hand clock begins, and so many milliseconds later.
fn later(ms: u64) -> Option<Time> {
    Some(Time(1_800_000_000_000 + ms))
}

fn after(id: &str, method: &str, earlier: &str) -> RegisterRequest {
    RegisterRequest {
        after: vec![After::new(earlier, vec![OperationState::Completed])],
        ..request(id, method)
    }
}

fn causes(world: &World, id: &str) -> Vec<Cause> {
    let snapshot = world.wait(world.handle.snapshot()).unwrap();
    let operation = snapshot.state.operation(id).unwrap();
    let reasons = snapshot.state.reasons(operation, snapshot.now);
    reasons.iter().map(|reason| reason.cause).collect()
}

#[test]
fn a_scheduled_operation_starts_when_its_time_comes_also_after_a_restart() {
    let world = World::new();
    for (id, ms) in [("soon", 1_000), ("far", 5_000)] {
        let scheduled = RegisterRequest {
            start_at: later(ms),
            ..request(id, "test.run")
        };
        let registration = world.register(scheduled).unwrap();
        assert_eq!(registration.state, OperationState::Scheduled);
        assert_eq!(registration.reasons[0].cause, Cause::StartTime);
    }
    world.clock.pass(Duration::from_millis(1_000));
    let soon = world.attempt();
    assert_eq!(soon.task.operation_id(), "soon");
    assert!(!world.has_new_attempt());
    drop(soon);
    // The clock of the next daemon begins anew.
    let world = world.crash();
    assert_eq!(world.attempt().task.operation_id(), "soon");
    assert_eq!(causes(&world, "far"), [Cause::StartTime]);
    world.clock.pass(Duration::from_millis(9_000));
    assert_eq!(world.attempt().task.operation_id(), "far");
}

/// What the events bear never goes back; what is due is held against what the wall clock shows.
#[test]
fn start_times_follow_a_wall_clock_that_was_set_back() {
    let world = World::new();
    world.clock.pass(Duration::from_millis(10_000));
    world.run("early", "test.run").complete();
    world.event("early", "completed");
    world.clock.set_back(Duration::from_millis(9_000));
    for (id, ms) in [("soon", 2_000), ("far", 3_000)] {
        let scheduled = RegisterRequest {
            start_at: later(ms),
            start_before: later(ms + 1_000),
            ..request(id, "test.run")
        };
        let registration = world.register(scheduled).unwrap();
        assert_eq!(registration.state, OperationState::Scheduled);
    }
    world.clock.pass(Duration::from_millis(1_000));
    assert_eq!(world.attempt().task.operation_id(), "soon");
    assert_eq!(causes(&world, "far"), [Cause::StartTime]);
    let told = world.operation("soon").unwrap();
    assert_eq!(told.started_at, later(10_000));
}

#[test]
fn one_that_was_not_started_in_time_fails() {
    let world = World::new();
    let window = RegisterRequest {
        start_at: later(1_000),
        start_before: later(2_000),
        ..request("window", "test.run")
    };
    world.register(window).unwrap();
    let world = world.crash();
    world.clock.pass(Duration::from_millis(3_000));
    let (_, event) = world.event("window", "failed");
    assert_eq!(event.info.last_error.code, 2003);
    assert!(!world.has_new_attempt());
}

/// The alarm rings by itself: no tick helps it.
#[test]
fn delays_and_start_times_pass_in_real_time() {
    let world = Setup {
        in_real_time: true,
        ..Setup::default()
    }
    .start();
    let retried = RegisterRequest {
        retry: Some(opstead_core::Retry {
            initial_ms: 20,
            max_ms: 20,
            ..RETRY
        }),
        ..request("retried", "test.run")
    };
    world.register(retried).unwrap();
    world.attempt().answer(Err(opstead_core::Failure {
        data: None,
        ..failure(3_000)
    }));
    let again = world.attempt();
    assert_eq!(again.task.attempt(), 2);
    again.complete();
    let (_, ended) = world.event("retried", "completed");
    assert_eq!(ended.info.last_error.code, 0);
    let started = world.operation("retried").unwrap().started_at.unwrap();
    let scheduled = RegisterRequest {
        start_at: Some(Time(started.0 + 300)),
        ..request("scheduled", "test.run")
    };
    world.register(scheduled).unwrap();
    assert_eq!(world.attempt().task.operation_id(), "scheduled");
}

#[test]
fn the_delay_before_another_attempt_outlasts_a_restart() {
    let world = World::new();
    let retried = RegisterRequest {
        retry: Some(RETRY),
        ..request("a", "test.run")
    };
    world.clock.pass(Duration::from_millis(5_000));
    world.register(retried).unwrap();
    world.attempt().answer(Err(opstead_core::Failure {
        data: None,
        ..failure(3_000)
    }));
    world.event("a", "retrying");
    let until = |world: &World| {
        let snapshot = world.wait(world.handle.snapshot()).unwrap();
        let operation = snapshot.state.operation("a").unwrap();
        let reasons = snapshot.state.reasons(operation, snapshot.now);
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].cause, Cause::RetryDelay);
        reasons[0].until
    };
    assert_eq!(until(&world), later(6_000));
    // The next daemon begins where the log ends, whatever time it is by now.
    let world = world.crash();
    assert_eq!(until(&world), later(1_000));
    world.clock.pass(Duration::from_millis(400));
    assert_eq!(until(&world), later(1_000));
    world.clock.pass(Duration::from_millis(600));
    assert_eq!(world.attempt().task.attempt(), 2);
}

/// Two attempts of one operation are never at work at once.
#[test]
fn an_attempt_that_took_too_long_is_told_to_stop_and_waited_for() {
    let world = World::new();
    let first = world.run("a", "test.timed");
    world.clock.pass(Duration::from_millis(1_000));
    world.wait(first.task.canceled());
    world.event("a", "retrying");
    world.clock.pass(Duration::from_millis(1_000));
    while world.words("a").len() < 4 {
        world.next_block();
    }
    assert_eq!(world.words("a")[2..], ["retrying", "started"]);
    assert!(!world.has_new_attempt());
    first.complete();
    let second = world.attempt();
    assert_eq!(second.task.attempt(), 2);
    second.complete();
    world.event("a", "completed");
}

#[test]
fn children_are_stopped_with_their_parent() {
    let world = World::new();
    let parent = world.run("parent", "test.run");
    let lease = Lease {
        sequence: world.operation("parent").unwrap().subject.sequence,
        attempt: 1,
    };
    let child = |id| RegisterRequest {
        lease: Some(lease),
        ..request(id, "test.run")
    };
    world.register(child("child")).unwrap();
    let attempt = world.attempt();
    let spawned = world.operation("parent").unwrap();
    assert_eq!(spawned.spawned(), ["child".into()]);
    world.cancel("parent").unwrap();
    world.wait(parent.task.canceled());
    world.wait(attempt.task.canceled());
    let refused = world.register(child("late"));
    assert_eq!(refused, Err(opstead_core::Refusal::Canceled.into()));
}

/// Also when it had ended before, and in the same block.
#[test]
fn dependencies_are_judged_by_those_that_have_ended() {
    let world = World::new();
    world.run("good", "test.run").complete();
    world.run("bad", "test.run").answer(Err(failure(3_000)));
    world.event("good", "completed");
    world.event("bad", "failed");
    let world = world.crash();
    let fine = world.register(after("fine", "test.run", "good")).unwrap();
    assert_eq!(fine.state, OperationState::Running);
    let skipped = world.register(after("skipped", "test.run", "bad")).unwrap();
    assert_eq!(skipped.state, OperationState::Skipped);
    let record = world.operation("skipped").unwrap();
    assert!(matches!(&record.outcome, Some(Outcome::Skipped(why)) if why.code == 2004));
    let unknown = world.register(after("lost", "test.run", "nobody"));
    assert!(unknown.is_err(), "{unknown:?}");
}

#[test]
fn order_and_reasons_are_the_same_after_a_crash() {
    let world = Setup {
        capacity: 3,
        ..Setup::default()
    }
    .start();
    let _held = world.run("holder", "test.update");
    for id in ["first", "second"] {
        let weighing = RegisterRequest {
            weight: Some(6),
            ..after(id, "test.update", "holder")
        };
        world.register(weighing).unwrap();
    }
    let all = |world: &World| {
        let snapshot = world.wait(world.handle.snapshot()).unwrap();
        let open = snapshot.state.operations_after(0);
        open.filter(|known| known.state == OperationState::Waiting)
            .map(|known| snapshot.state.reasons(known, snapshot.now))
            .collect::<Vec<_>>()
    };
    let before = all(&world);
    assert_eq!(before.len(), 2);
    let world = world.crash();
    world.event("holder", "retrying");
    world.event("holder", "started");
    assert_eq!(all(&world), before);
}
