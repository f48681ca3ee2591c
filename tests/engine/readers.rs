//! Readers: snapshots of one cursor, and being woken by changes.

use futures_util::FutureExt;
use opstead_core::checkpoint::Record;

use super::world::{World, operation_events, replay, request};

/// Law 6: a snapshot is what the log says up to its cursor, no more and no less.
#[test]
fn snapshots_are_consistent_while_writers_go_on() {
    let world = World::new();
    let writers = (0..4).map(|writer| {
        let handle = world.handle.clone();
        async move {
            for index in 0..100 {
                let id = format!("{writer}-{index}");
                let method = ["test.noop", "test.read", "test.run"][index % 3];
                handle.register(request(&id, method)).await.unwrap();
            }
        }
    });
    let reader = async {
        let mut snapshots = Vec::new();
        for _ in 0..50 {
            snapshots.push(world.handle.snapshot().await.unwrap());
        }
        snapshots
    };
    let all = futures_util::future::join_all(writers);
    let (_, snapshots) = world.wait(futures_util::future::join(all, reader));
    let log = world.log();
    for snapshot in snapshots {
        let cursor = snapshot.cursor();
        let replayed: Vec<Record> = replay(&log, cursor).records().collect();
        assert_eq!(snapshot.state.records().collect::<Vec<_>>(), replayed);
        let ended = log
            .iter()
            .filter(|block| block.last() <= cursor)
            .map(|block| block.ended.len());
        assert_eq!(snapshot.archive.len(), ended.sum::<usize>());
    }
}

/// A snapshot shows at least what its asker was told before.
#[test]
fn a_snapshot_shows_what_was_answered_before() {
    let world = World::new();
    for index in 0..50 {
        let id = format!("{index}");
        let registration = world.register(request(&id, "test.run")).unwrap();
        let snapshot = world.wait(world.handle.snapshot()).unwrap();
        assert!(snapshot.cursor() >= registration.cursor);
        assert!(snapshot.state.operation(&id).is_some());
    }
}

#[test]
fn changes_wake_exactly_those_who_wait_for_them() {
    let world = World::new();
    let [a, b] = [world.run("a", "test.run"), world.run("b", "test.run")];
    world.event("b", "started");
    let listen = |ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).into()).collect();
        world.handle.changes().listen(ids)
    };
    let (on_a, on_b) = (listen(&["a", "a"]), listen(&["b"]));
    let (on_both, gone) = (listen(&["a", "b"]), listen(&["a"]));
    drop(gone);
    // Blocks are published to listeners after the observer; a further answer comes after both.
    let settle = || drop(world.wait(world.handle.snapshot()).unwrap());
    a.complete();
    world.event("a", "completed");
    settle();
    assert!(
        on_a.changed().now_or_never().is_some(),
        "what changed before it waited"
    );
    assert!(on_both.changed().now_or_never().is_some());
    assert!(on_b.changed().now_or_never().is_none());
    b.complete();
    world.wait(on_b.changed());
    world.wait(on_both.changed());
    assert!(on_a.changed().now_or_never().is_none(), "woken once");
}

/// Alerts: every block once, in order, as it is on the disk.
#[test]
fn the_observer_sees_every_block_in_order() {
    let world = World::new();
    for index in 0..100 {
        world
            .register(request(&format!("{index}"), "test.noop"))
            .unwrap();
    }
    world.event("99", "completed");
    drop(world.wait(world.handle.snapshot()).unwrap());
    while world.has_new_block() {}
    let seen = world.seen();
    assert_eq!(seen[0].first, 1);
    assert_eq!(seen, world.log());
    assert!(
        seen.iter()
            .all(|block| operation_events(block).count() <= block.events.len())
    );
}
