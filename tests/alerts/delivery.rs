//! What a subscription is told, and how far it says it has come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use opstead::alerts::{HubLimits, ReadRequest};

use crate::world::{FOR_EVER, World, copy, glob, next, read_through, roomy, tiny, told};

/// Promise 1: in cursor order, every matching alert, exactly once; what is no alert is never told.
#[tokio::test]
async fn it_is_told_what_matches_in_order_and_once() {
    for limits in [roomy(), tiny()] {
        let mut world = World::new(limits);
        let mut narrow = world.waiting("vm.VM.*");
        let mut wide = world.waiting("*");
        world.publish(&["vm.VM.a", "vm.Host.x", "", "vm.VM.a.disk"]);
        world.publish(&["", ""]);
        world.publish(&["vm.VM.b", "vm.VM.a", "image.i"]);
        world.publish(&["vm.VM.end"]);
        for (subscription, pattern) in [(&mut narrow, "vm.VM.*"), (&mut wide, "*")] {
            let all = read_through(subscription, 10).await;
            assert_eq!(all, world.expected(&glob(pattern), 0));
            assert!(subscription.next_batch().now_or_never().is_none());
        }
    }
}

/// Protocol 5: the literal shape of a notification, for each subscription with its own id.
#[tokio::test]
async fn a_notification_bears_the_id_of_its_subscription() {
    let mut world = World::new(roomy());
    let mut first = world.waiting("*");
    let mut second = world.waiting("vm.*");
    world.publish(&["vm.a"]);
    for subscription in [&mut first, &mut second] {
        let alerts = next(subscription).await;
        let id = subscription.id();
        assert_eq!(
            alerts[0].notification(id),
            format!(
                r#"{{"jsonrpc":"2.0","method":"alert","params":{{"alertName":"vm.a","cursor":1,"subscription":"{id}"}}}}"#
            )
        );
        assert_eq!(alerts[0].params(), r#"{"alertName":"vm.a","cursor":1}"#);
    }
}

/// Promise 3: what was published while it caught up joins what comes after.
#[tokio::test]
async fn replay_joins_what_is_live() {
    let mut world = World::new(tiny());
    for _ in 0..20 {
        world.publish(&["vm.a"]);
    }
    let mut subscription = world.subscribe("*", Some(0));
    let mut all = Vec::new();
    for _ in 0..40 {
        all.extend(told(&next(&mut subscription).await));
        world.publish(&["vm.b", "image.i"]);
    }
    let head = world.head();
    all.extend(read_through(&mut subscription, head).await);
    assert_eq!(all, world.expected(&glob("*"), 0));
}

/// Promise 3: a daemon that starts again goes on with the same log.
#[tokio::test]
async fn a_place_outlives_the_daemon() {
    let mut world = World::new(roomy());
    let mut subscription = world.waiting("*");
    world.publish(&["vm.a", "vm.b"]);
    let alerts = next(&mut subscription).await;
    assert_eq!(alerts.len(), 2);
    let place = subscription.place();
    drop(subscription);
    world.publish(&["vm.c"]);
    world.restart(roomy());
    world.publish(&["vm.d"]);
    let mut subscription = world.subscribe("*", Some(place));
    let rest = read_through(&mut subscription, 4).await;
    assert_eq!(rest, world.expected(&glob("*"), 2));
}

/// Promise 8: it tells how far it has come, also when nothing matches, and never further than
/// what was handed out.
#[tokio::test]
async fn its_place_follows_the_log_through_silence() {
    let mut world = World::new(roomy());
    let mut subscription = world.waiting("vm.*");
    world.publish(&["image.a", "image.b"]);
    assert_eq!(subscription.place(), 2);
    world.publish(&["image.a", "vm.a", "image.b"]);
    world.publish(&["image.a"]);
    // The alert of cursor 4 waits to be handed out.
    assert_eq!(subscription.place(), 3);
    next(&mut subscription).await;
    assert_eq!(subscription.place(), 6);
    let place = subscription.place();
    drop(subscription);
    world.publish(&["image.a", "vm.b"]);
    let mut resumed = world.subscribe("vm.*", Some(place));
    assert_eq!(told(&next(&mut resumed).await), [(8, "vm.b".to_owned())]);
}

/// Promise 8: the same for one that overflowed, and for one that never asked for anything.
#[tokio::test]
async fn the_place_of_one_that_lags_stays_before_what_it_was_not_told() {
    let mut world = World::new(tiny());
    let mut subscription = world.waiting("vm.*");
    let silent = world.subscribe("vm.*", None);
    world.publish(&["image.a", "vm.a", "vm.a", "vm.a", "image.a"]);
    world.publish(&["image.a"]);
    assert_eq!(subscription.place(), 1);
    assert_eq!(silent.place(), 0);
    assert_eq!(read_through(&mut subscription, 4).await.len(), 3);
    // It makes way after each block that it goes through in vain.
    for _ in 0..3 {
        assert!(subscription.next_batch().now_or_never().is_none());
    }
    world.publish(&["image.a"]);
    assert_eq!(subscription.place(), 7);
}

/// Promise 3: asking for alerts and giving up again, at any moment, loses nothing.
#[tokio::test]
async fn giving_up_the_wait_loses_nothing() {
    let mut world = World::new(tiny());
    let mut subscription = world.subscribe("vm.*", None);
    let mut all = Vec::new();
    for number in 0..300 {
        if number % 3 == 0 {
            world.publish(&["vm.a", "image.a", "vm.b"]);
        }
        if let Some(alerts) = subscription.next_batch().now_or_never() {
            all.extend(told(&alerts.unwrap()));
        }
        tokio::task::yield_now().await;
    }
    world.publish(&["vm.end"]);
    let head = world.head();
    all.extend(read_through(&mut subscription, head).await);
    assert_eq!(all, world.expected(&glob("vm.*"), 0));
}

/// Promise 3: should the tail let go of blocks before they are routed, those who are live look them
/// up by themselves.
#[tokio::test]
async fn what_comes_too_fast_to_be_routed_is_told_nevertheless() {
    let mut world = World::new(HubLimits {
        tail_bytes: 1,
        queue_alerts: 10_000,
        queue_bytes: 64 << 20,
        ..roomy()
    });
    let mut subscriptions: Vec<_> = (0..20).map(|_| world.waiting("vm.*")).collect();
    // The first one keeps the router busy for long.
    let mut blocks = vec![copy(&world.append(&["vm.a"; 5_000]))];
    for _ in 0..100 {
        blocks.push(copy(&world.append(&["vm.a", "image.a"])));
    }
    for block in &blocks {
        world.hub.publish(block);
    }
    for subscription in &mut subscriptions {
        let all = read_through(subscription, 5_199).await;
        assert_eq!(all, world.expected(&glob("vm.*"), 0));
    }
}

/// What is published can be read at once, whether or not it is routed.
#[tokio::test]
async fn a_reader_finds_what_was_just_published() {
    let mut world = World::new(roomy());
    for number in 1..200 {
        let block = copy(&world.append(&["vm.a"]));
        world.hub.publish(&block);
        let request = ReadRequest {
            filter: glob("*"),
            after: number - 1,
            log_id: None,
            limit: 1,
            timeout: Duration::ZERO,
        };
        let page = world.hub.read(request).await.unwrap();
        assert_eq!(told(&page.alerts), [(number, "vm.a".to_owned())]);
    }
}

/// The hub's thread ends with the hub, and lets go of all it holds.
#[test]
fn nothing_outlives_the_hub() {
    let mut world = World::new(roomy());
    let block = copy(&world.append(&["vm.a"]));
    world.hub.publish(&block);
    let left = Arc::downgrade(&block);
    drop(block);
    assert_eq!(left.strong_count(), 1);
    drop(world);
    let began = Instant::now();
    while left.strong_count() > 0 {
        assert!(began.elapsed() < FOR_EVER, "the thread goes on");
        std::thread::yield_now();
    }
}
