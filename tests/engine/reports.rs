//! What executors say of their attempts: progress, errors, and how they end.

use std::time::Duration;

use opstead::engine::EngineConfig;
use opstead_core::{Failure, Json, Limits, OperationState, Outcome};

use super::world::{Setup, World, failure, last_error, percentage, request, stage};

const MOMENT: Duration = Duration::from_millis(100);
const SILENCE: Duration = Duration::from_millis(500);

fn percentages(world: &World, id: &str) -> Vec<f64> {
    let told = world.told(id, |event| (event.change.as_str(), event.info.percentage));
    let progress = told.into_iter().filter(|(word, _)| *word == "progress");
    progress.map(|(_, percentage)| percentage).collect()
}

/// Protocol §5.6: an alert when percentage has moved by a point and 100 ms have passed; the last
/// value always.
#[test]
fn percentages_are_thinned_out_but_the_last_is_always_told() {
    let world = World::new();
    let attempt = world.run("a", "test.run");
    world.clock.pass(MOMENT);
    attempt.task.progress(percentage(10.0));
    world.event("a", "progress");
    // Too soon, too little, and at last enough of both.
    for told in [11.0, 12.0, 30.0] {
        attempt.task.progress(percentage(told));
    }
    world.clock.pass(MOMENT);
    attempt.task.progress(percentage(31.0));
    let info = |wanted: f64| loop {
        if percentages(&world, "a").last() == Some(&wanted) {
            break;
        }
        world.next_block();
    };
    info(31.0);
    // Less than a point, or within the moment: told once its executor falls silent.
    attempt.task.progress(percentage(31.25));
    world.clock.pass(SILENCE);
    info(31.25);
    attempt.task.progress(percentage(31.5));
    attempt.task.progress(percentage(90.0));
    attempt.task.progress(percentage(31.75));
    world.clock.pass(SILENCE);
    info(31.75);
    assert_eq!(percentages(&world, "a"), [10.0, 31.0, 31.25, 31.75]);
}

/// Protocol §5.6: an alert follows whenever stage, description or lastError changes.
#[test]
fn every_milestone_is_told() {
    let world = World::new();
    let attempt = world.run("a", "test.run");
    for number in 0..=5 {
        attempt.task.progress(stage(number, 5));
        attempt.task.progress(percentage(f64::from(number)));
        attempt.task.progress(stage(number, 5));
    }
    attempt.task.progress(last_error(3007));
    attempt.task.progress(last_error(0));
    attempt.answer(Ok(Json::null()));
    world.event("a", "completed");
    let told = world.told("a", |event| {
        let info = &event.info;
        (info.stage.number, info.stage.total, info.last_error.code)
    });
    let started = [(0, 1, 0), (0, 1, 0)];
    let stages = [(0, 5, 0), (1, 5, 0), (2, 5, 0), (3, 5, 0), (4, 5, 0)];
    let rest = [(4, 5, 3007), (4, 5, 0), (5, 5, 0)];
    assert_eq!(told, [&started[..], &stages, &rest].concat());
}

#[test]
fn the_last_progress_is_part_of_the_end() {
    let world = World::new();
    let attempt = world.run("a", "test.run");
    attempt.task.progress(percentage(0.5));
    attempt.task.progress(percentage(55.0));
    attempt.answer(Err(failure(3001)));
    let (_, failed) = world.event("a", "failed");
    assert_eq!(failed.info.percentage, 55.0);
    assert_eq!(failed.info.last_error.code, 3001);
    let operation = world.operation("a").unwrap();
    assert_eq!(operation.outcome, Some(Outcome::Failed(failure(3001))));
}

#[test]
fn what_comes_after_the_end_changes_nothing() {
    let world = World::new();
    let attempt = world.run("a", "test.run");
    let task = attempt.task.clone();
    attempt.complete();
    world.event("a", "completed");
    let head = world.wait(world.handle.snapshot()).unwrap().cursor();
    for _ in 0..10 {
        task.progress(stage(1, 3));
        task.non_fatal_error(failure(3001));
    }
    world.clock.pass(Duration::from_secs(5));
    let next = world.register(request("b", "test.run")).unwrap();
    assert_eq!(next.cursor, head + 1);
}

/// Protocol §2: non-fatal errors are durable as they are recorded, in order, and end nothing.
#[test]
fn non_fatal_errors_are_kept_in_order() {
    let world = World::new();
    let attempt = world.run("a", "test.run");
    attempt.task.non_fatal_error(failure(3001));
    attempt.task.progress(stage(0, 2));
    attempt.task.non_fatal_error(failure(3002));
    attempt.task.progress(stage(1, 2));
    attempt.task.non_fatal_error(failure(3003));
    loop {
        let codes = errors(&world);
        if codes == [3001, 3002, 3003] {
            break;
        }
        world.next_block();
    }
    let words = [
        "registered",
        "started",
        "error",
        "progress",
        "error",
        "progress",
        "error",
    ];
    assert_eq!(world.words("a"), words);
    let world = world.crash();
    assert_eq!(errors(&world), [3001, 3002, 3003]);
    world.attempt().complete();
    world.event("a", "completed");
    assert_eq!(errors(&world), [3001, 3002, 3003]);
}

fn errors(world: &World) -> Vec<i32> {
    let operation = world.operation("a").unwrap();
    let errors = operation.non_fatal_errors.iter();
    errors.map(|error| error.failure.code).collect()
}

#[test]
fn errors_without_end_are_bounded() {
    let limits = Limits {
        non_fatal_errors: 3,
        ..Limits::default()
    };
    let config = EngineConfig {
        limits,
        ..EngineConfig::default()
    };
    let world = Setup {
        config,
        ..Setup::default()
    }
    .start();
    let attempt = world.run("a", "test.run");
    for code in 3_001..3_100 {
        attempt.task.non_fatal_error(failure(code));
    }
    attempt.complete();
    world.event("a", "completed");
    assert_eq!(errors(&world), [3001, 3002, 3003]);
}

/// Law 8: an executor's panic fails one operation.
#[test]
fn a_panic_fails_one_operation() {
    let world = World::new();
    world.register(request("a", "test.panic")).unwrap();
    let (_, failed) = world.event("a", "failed");
    assert_eq!(failed.info.last_error.code, Failure::EXECUTOR_PANICKED);
    assert!(failed.info.last_error.message.contains("as it was told"));
    world.run("b", "test.run").complete();
    let (_, completed) = world.event("b", "completed");
    assert_eq!(completed.state, OperationState::Completed);
}
