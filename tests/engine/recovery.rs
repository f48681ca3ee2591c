//! The same journal gives the same state, from a checkpoint or without one.

use std::sync::Arc;

use opstead::engine::{EngineConfig, PurgeTarget, RecoveryError, recover};
use opstead::journal::{Block, MemoryDisk, Reader};
use opstead_core::State;
use opstead_core::checkpoint::Record;

use super::world::{Setup, World, count, failure, replay, request, stage, wait_until};

fn records(state: &State) -> Vec<Record> {
    state.records().collect()
}

/// A bit of everything.
fn live(world: &World, name: &str) {
    let id = |what: &str| format!("{name}-{what}");
    let create = world.run(&id("create"), "test.create");
    for what in ["update", "read"] {
        world
            .register(request(&id(what), &format!("test.{what}")))
            .unwrap();
    }
    let running = world.run(&id("running"), "test.run");
    running.task.progress(stage(1, 3));
    running.task.non_fatal_error(failure(3001));
    world.event(&id("running"), "error");
    world.register(request(&id("noop"), "test.noop")).unwrap();
    world.event(&id("noop"), "completed");
    create.complete();
    world.attempt().complete();
    world.attempt().complete();
    world.event(&id("update"), "completed");
    world.event(&id("read"), "completed");
    let dismissed = PurgeTarget::Ids(vec![id("noop").into()]);
    world.wait(world.handle.purge(dismissed)).unwrap();
    world
        .register(request(&id("canceling"), "test.run"))
        .unwrap();
    world.cancel(&id("canceling")).unwrap();
    world.attempt();
}

/// Law 1.
#[test]
fn a_checkpoint_and_the_blocks_after_it_equal_the_blocks_alone() {
    let world = World::new();
    live(&world, "a");
    let snapshot = world.wait(world.handle.snapshot()).unwrap();
    let head = snapshot.cursor();
    let mut all = snapshot.state.records();
    world.disk.write_checkpoint(head, &mut all).unwrap();
    drop(all);
    live(&world, "b");
    let live = world.wait(world.handle.snapshot()).unwrap();
    assert!(live.cursor() > head);
    let recovered = recover(&world.disk).unwrap();
    let replayed = replay(&world.log(), live.cursor());
    assert_eq!(records(&recovered), records(&live.state));
    assert_eq!(records(&replayed), records(&live.state));
    // Both go on in the same way.
    let world = world.crash();
    assert_eq!(world.words("b-running").last(), Some(&"started"));
}

#[test]
fn the_loop_writes_checkpoints_and_counts_on_after_a_restart() {
    let config = EngineConfig {
        checkpoint_events: 50,
        ..EngineConfig::default()
    };
    let setup = |disk: &MemoryDisk| Setup {
        config: config.clone(),
        ..Setup::on(disk)
    };
    let newest = |world: &World| {
        let checkpoint = world.disk.checkpoint().unwrap();
        checkpoint.map(|checkpoint| checkpoint.head)
    };
    let mut world = setup(&MemoryDisk::default()).start();
    // Each start alone has too few events for a checkpoint.
    let mut starts = 0;
    while newest(&world).is_none() {
        starts += 1;
        for index in 0..8 {
            let id = format!("{starts}-{index}");
            world.register(request(&id, "test.noop")).unwrap();
            world.event(&id, "completed");
        }
        if world.disk.head() >= 50 {
            wait_until(|| newest(&world).is_some());
            break;
        }
        world = setup(&world.disk).start();
    }
    assert!(starts > 1 && newest(&world) >= Some(50));
    let recovered = recover(&world.disk).unwrap();
    let head = world.disk.head();
    assert_eq!(records(&recovered), records(&replay(&world.log(), head)));
}

#[test]
fn a_checkpoint_ahead_of_the_log_is_refused() {
    let world = World::new();
    let snapshot = world.wait(world.handle.snapshot()).unwrap();
    let ahead = snapshot.cursor() + 5;
    let mut head = std::iter::once(Record::Head(ahead));
    world.disk.write_checkpoint(ahead, &mut head).unwrap();
    assert!(matches!(
        recover(&world.disk),
        Err(RecoveryError::Short { checkpoint, log }) if checkpoint == log + 5
    ));
}

/// Law 5: a mass wake-up takes several blocks, and goes on after a crash in its middle.
#[test]
fn a_mass_wake_up_goes_on_over_blocks_and_crashes() {
    let world = World::new();
    let create = world.run("create", "test.create");
    for index in 0..300 {
        let read = request(&format!("read-{index}"), "test.read");
        assert!(!world.register(read).unwrap().reasons.is_empty());
    }
    // The end of the create is durable, and the loop is kept from going on.
    let paused = world.pause_at_next_block();
    create.complete();
    wait_until(|| count(&world.log(), "completed").contains_key("create"));
    let crashed = Setup::on(&world.disk).start();
    drop(paused);
    for world in [world, crashed] {
        let mut started: Vec<_> = (0..300)
            .map(|_| world.attempt().task.operation_id().to_owned())
            .collect();
        started.sort_unstable();
        started.dedup();
        assert_eq!(started.len(), 300);
        let log = world.log();
        let ended = |block: &Arc<Block>| block.ended.iter().any(|one| &*one.subject.id == "create");
        let ended = log.iter().position(ended).unwrap();
        let starts = log[ended..]
            .iter()
            .filter(|block| !count(std::slice::from_ref(block), "started").is_empty());
        assert!(starts.count() > 1);
    }
}
