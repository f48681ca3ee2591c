//! Letting go of ended operations: by age, by size, and on request.

use std::time::Duration;

use opstead::engine::{EngineConfig, EngineError, PurgeTarget, Retention};
use opstead::journal::Reader;
use opstead_core::{OperationState, Refusal};

use super::world::{Setup, World, operation_events, request, wait_until};

const LOOK: Duration = Duration::from_secs(10);

fn keeping(retention: Retention) -> World {
    Setup {
        config: EngineConfig {
            retention,
            ..EngineConfig::default()
        },
        ..Setup::default()
    }
    .start()
}

fn purge(world: &World, id: &str) -> Result<usize, EngineError> {
    world.wait(world.handle.purge(PurgeTarget::Ids(vec![id.into()])))
}

/// More than one batch, all in one look.
#[test]
fn whatever_is_old_goes_and_its_ids_are_new() {
    let world = keeping(Retention {
        operations: Duration::from_secs(60),
        ..Retention::default()
    });
    let open = world.run("open", "test.run");
    let replies: Vec<_> = (0..2_500)
        .map(|index| {
            world
                .handle
                .register(request(&format!("{index}"), "test.noop"))
        })
        .collect();
    let answers = world.wait(futures_util::future::join_all(replies));
    assert!(answers.iter().all(Result::is_ok));
    wait_until(|| world.disk.archive().len() == 2_500);
    world.clock.pass(Duration::from_secs(50));
    world.run("young", "test.create").complete();
    world.event("young", "completed");
    assert_eq!(world.disk.archive().len(), 2_501);
    world.clock.pass(Duration::from_secs(20));
    wait_until(|| world.disk.archive().len() == 1);
    assert!(world.disk.ended("young").unwrap().is_some());
    assert!(!world.register(request("7", "test.noop")).unwrap().existing);
    assert_eq!(
        world.operation("open").unwrap().state,
        OperationState::Running
    );
    open.complete();
    world.event("open", "completed");
    let object = |world: &World| {
        let snapshot = world.wait(world.handle.snapshot()).unwrap();
        snapshot.state.object("test.Thing.a").is_some()
    };
    assert!(object(&world));
    world.clock.pass(Duration::from_secs(61));
    wait_until(|| world.disk.archive().is_empty());
    assert!(!object(&world), "an object goes with its last operation");
}

#[test]
fn too_many_bytes_make_room_sooner() {
    let world = keeping(Retention {
        operations_bytes: 0,
        ..Retention::default()
    });
    for index in 0..10 {
        let id = format!("{index}");
        world.register(request(&id, "test.noop")).unwrap();
        world.event(&id, "completed");
    }
    world.clock.pass(LOOK);
    wait_until(|| world.disk.archive().is_empty());
}

#[test]
fn old_alerts_go_once_a_checkpoint_covers_them() {
    let world = Setup {
        config: EngineConfig {
            retention: Retention {
                alerts: Duration::from_secs(60),
                ..Retention::default()
            },
            checkpoint_events: 30,
            ..EngineConfig::default()
        },
        ..Setup::default()
    }
    .start();
    for index in 0..20 {
        let id = format!("{index}");
        world.register(request(&id, "test.noop")).unwrap();
        world.event(&id, "completed");
    }
    wait_until(|| world.disk.checkpoint().unwrap().is_some());
    assert_eq!(world.disk.oldest(), 0);
    world.clock.pass(Duration::from_secs(70));
    wait_until(|| world.disk.oldest() > 0);
    let world = world.crash();
    assert!(world.register(request("0", "test.noop")).unwrap().existing);
}

#[test]
fn only_what_is_there_and_done_can_be_dismissed() {
    let world = World::new();
    let attempt = world.run("a", "test.run");
    assert_eq!(purge(&world, "a"), Ok(0), "it is open");
    attempt.complete();
    world.event("a", "completed");
    assert_eq!(purge(&world, "a"), Ok(1));
    assert_eq!(purge(&world, "a"), Ok(0), "it is gone");
    let world = world.crash();
    assert!(matches!(
        world.cancel("a"),
        Err(EngineError::Refused(Refusal::OperationNotFound { .. }))
    ));
}

/// Protocol §3: calls take effect in the order in which they were sent.
#[test]
fn a_dismissed_id_is_new_to_the_next_order() {
    let world = World::new();
    world.run("a", "test.run").complete();
    world.event("a", "completed");
    let paused = world.pause();
    let dismissed = world.handle.purge(PurgeTarget::Ids(vec!["a".into()]));
    let again = world.handle.register(request("a", "test.stubborn"));
    drop(paused);
    assert_eq!(world.wait(dismissed), Ok(1));
    assert!(!world.wait(again).unwrap().existing);
    assert_eq!(world.attempt().task.operation_id(), "a");
}

/// Registered, ended, dismissed and registered again within one block.
#[test]
fn a_whole_life_fits_into_one_block() {
    let world = Setup {
        capacity: 0,
        ..Setup::default()
    }
    .start();
    let paused = world.pause();
    let first = world.handle.register(request("a", "test.run"));
    let canceled = world.handle.cancel("a".into());
    let dismissed = world
        .handle
        .purge(PurgeTarget::Ids(vec!["a".into(), "a".into()]));
    let unknown = world.handle.cancel("a".into());
    let second = world.handle.register(request("a", "test.stubborn"));
    drop(paused);
    let first = world.wait(first).unwrap();
    world.wait(canceled).unwrap();
    assert_eq!(world.wait(dismissed), Ok(1), "named twice, gone once");
    assert!(matches!(
        world.wait(unknown),
        Err(EngineError::Refused(Refusal::OperationNotFound { .. }))
    ));
    let second = world.wait(second).unwrap();
    assert!(!second.existing && second.cursor > first.cursor);
    let (block, _) = world.event("a", "canceled");
    assert_eq!(operation_events(&block).count(), 5);
    assert!(world.disk.archive().is_empty());
    let world = Setup {
        capacity: 0,
        ..Setup::on(&world.disk)
    }
    .start();
    assert!(
        world
            .register(request("a", "test.stubborn"))
            .unwrap()
            .existing
    );
}
