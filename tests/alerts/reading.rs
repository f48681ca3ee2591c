//! Reading page by page: the same log as a subscription's, for those who cannot be pushed to.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use opstead::alerts::{HubLimits, Page, ReadError, ReadRequest, SubscribeError};
use opstead_core::Cursor;

use crate::world::{World, glob, roomy, tiny, told};

/// Long enough that nobody sees it pass.
const LONG: Duration = Duration::from_secs(300);

fn request(pattern: &str, after: Cursor, limit: usize, timeout: Duration) -> ReadRequest {
    ReadRequest {
        filter: glob(pattern),
        after,
        log_id: None,
        limit,
        timeout,
    }
}

async fn page(world: &World, pattern: &str, after: Cursor, limit: usize) -> Page {
    let request = request(pattern, after, limit, Duration::ZERO);
    world.hub.read(request).await.unwrap()
}

/// `more` exactly when something that matches follows; `cursor` is before it, else at the head.
#[tokio::test]
async fn pages_are_full_and_say_truly_whether_there_is_more() {
    for limits in [roomy(), tiny()] {
        let mut world = World::new(limits);
        world.publish(&["vm.a", "image.a", "vm.b"]);
        world.publish(&["image.a", "vm.c", "image.b", ""]);
        let first = page(&world, "vm.*", 0, 2).await;
        assert_eq!(told(&first.alerts), world.expected(&glob("vm.*"), 0)[..2]);
        assert_eq!((first.cursor, first.more), (4, true));
        let second = page(&world, "vm.*", first.cursor, 2).await;
        assert_eq!(told(&second.alerts), [(5, "vm.c".to_owned())]);
        assert_eq!((second.cursor, second.more), (7, false));
        let exact = page(&world, "vm.*", 0, 3).await;
        assert_eq!(
            (exact.alerts.len(), exact.cursor, exact.more),
            (3, 7, false)
        );
        let nothing = page(&world, "vm.*", 7, 3).await;
        assert_eq!(
            (nothing.alerts.len(), nothing.cursor, nothing.more),
            (0, 7, false)
        );
    }
}

/// Promise 1, read page by page: every matching alert exactly once, whatever the size of a page.
#[tokio::test]
async fn pages_join_without_gap_or_repeat() {
    let mut world = World::new(tiny());
    for number in 0..50 {
        world.publish(&["vm.a", "image.a", "", "vm.b"][..1 + number % 4]);
    }
    for limit in 1..9 {
        let (mut after, mut all) = (0, Vec::new());
        loop {
            let page = page(&world, "vm.*", after, limit).await;
            assert!(page.alerts.len() <= limit);
            all.extend(told(&page.alerts));
            after = page.cursor;
            if !page.more {
                break;
            }
        }
        assert_eq!(all, world.expected(&glob("vm.*"), 0));
        assert_eq!(after, world.head());
    }
}

/// An answer is bounded in bytes, and so is what is gone through for it.
#[tokio::test]
async fn a_page_is_bounded_in_bytes_and_in_work() {
    let mut world = World::new(HubLimits {
        answer_bytes: 1,
        scan_bytes: 1,
        page_bytes: 1,
        ..roomy()
    });
    world.publish(&["vm.a", "vm.b"]);
    world.publish(&["image.a"]);
    let first = page(&world, "vm.*", 0, 10).await;
    assert_eq!((first.alerts.len(), first.cursor, first.more), (1, 1, true));
    let nothing = page(&world, "image.*", 0, 10).await;
    assert_eq!(
        (nothing.alerts.len(), nothing.cursor, nothing.more),
        (0, 2, true)
    );
}

#[tokio::test]
async fn it_waits_for_the_first_alert_that_matches() {
    for limits in [roomy(), tiny()] {
        let mut world = World::new(limits);
        world.publish(&["image.a"]);
        let hub = world.hub.clone();
        let mut reading = Box::pin(async move { hub.read(request("vm.*", 0, 10, LONG)).await });
        assert!(reading.as_mut().now_or_never().is_none());
        world.publish(&["image.a", ""]);
        assert!(reading.as_mut().now_or_never().is_none());
        world.publish(&["vm.a", "vm.b", "vm.c", "image.a"]);
        let page = reading.await.unwrap();
        assert_eq!(told(&page.alerts), world.expected(&glob("vm.*"), 0));
        assert_eq!((page.cursor, page.more), (7, false));
        assert_eq!(world.hub.subscriptions(), 0);
    }
}

/// A time-out is no error, and the place goes on through silence (promise 8, for those who read).
#[tokio::test]
async fn when_the_time_is_over_it_answers_with_its_place() {
    let mut world = World::new(roomy());
    world.publish(&["image.a"]);
    let short = Duration::from_millis(1);
    let page = world.hub.read(request("vm.*", 0, 10, short)).await.unwrap();
    assert_eq!((page.alerts.len(), page.cursor, page.more), (0, 1, false));
    assert_eq!(world.hub.subscriptions(), 0);
}

#[tokio::test]
async fn giving_up_a_read_leaves_nothing_behind() {
    let mut world = World::new(roomy());
    let reading = world.hub.read(request("*", 0, 10, LONG));
    assert!(reading.now_or_never().is_none());
    assert_eq!(world.hub.subscriptions(), 0);
    world.publish(&["vm.a"]);
    assert_eq!(page(&world, "*", 0, 10).await.alerts.len(), 1);
}

/// A read that goes through much of the log lets others have the thread meanwhile.
#[tokio::test]
async fn a_long_read_makes_way() {
    let mut world = World::new(HubLimits {
        page_bytes: 1,
        ..roomy()
    });
    for _ in 0..3 {
        world.publish(&["image.a"]);
    }
    let reading = world.hub.read(request("vm.*", 0, 10, Duration::ZERO));
    assert!(reading.now_or_never().is_none());
}

/// Promise 3, for those who read.
#[tokio::test]
async fn places_that_cannot_be_read_from_are_refused() {
    let mut world = World::new(tiny());
    for _ in 0..3 {
        world.publish(&["vm.a"]);
    }
    let refusal = |request| {
        let hub = Arc::clone(&world.hub);
        async move {
            match hub.read(request).await {
                Err(ReadError::Refused(refusal)) => refusal,
                _ => panic!("it should have been refused"),
            }
        }
    };
    let beyond = refusal(request("*", 4, 1, Duration::ZERO)).await;
    assert!(matches!(beyond, SubscribeError::Unknown { .. }));
    let mut other = request("*", 1, 1, Duration::ZERO);
    other.log_id = Some("another".to_owned());
    let other = refusal(other).await;
    assert!(matches!(other, SubscribeError::Unknown { .. }));
    drop(other);
    let oldest = world.trim();
    let hub = world.hub.clone();
    let expired = hub.read(request("*", 0, 1, Duration::ZERO)).await;
    assert!(matches!(
        expired,
        Err(ReadError::Refused(SubscribeError::Expired { cursor: 0, oldest: reported })) if reported == oldest
    ));
}
