//! Where a subscription may begin, and what it is told of that.

use futures_util::FutureExt;
use opstead::alerts::{
    Closed, HubLimits, ReadError, ReadRequest, SubscribeError, SubscribeRequest,
};

use crate::world::{FOR_EVER, World, glob, next, read_through, roomy, tiny, told};

/// Promise 1: the starting place is the head at the moment of the reply.
#[tokio::test]
async fn without_a_place_it_begins_at_the_head() {
    let mut world = World::new(roomy());
    world.publish(&["vm.a", "vm.b"]);
    let mut subscription = world.subscribe("*", None);
    assert_eq!(subscription.start(), 2);
    assert_eq!(subscription.log_id(), world.hub_log_id());
    assert_eq!(subscription.oldest(), 0);
    assert_eq!(subscription.place(), 2);
    world.publish(&["vm.c"]);
    let alerts = next(&mut subscription).await;
    assert_eq!(told(&alerts), [(3, "vm.c".to_owned())]);
}

/// Promise 1: the head counts as soon as it is durable, though its block comes to the hub later.
#[tokio::test]
async fn what_is_durable_but_not_yet_published_belongs_to_the_past() {
    for goes_live_first in [false, true] {
        let mut world = World::new(roomy());
        world.publish(&["vm.a"]);
        let block = world.append(&["vm.b"]);
        let mut subscription = world.subscribe("*", None);
        assert_eq!(subscription.start(), 2);
        if goes_live_first {
            assert!(subscription.next_batch().now_or_never().is_none());
        }
        world.hub.publish(&block);
        assert_eq!(subscription.place(), 2);
        assert!(subscription.next_batch().now_or_never().is_none());
        world.publish(&["vm.c"]);
        let alerts = next(&mut subscription).await;
        assert_eq!(told(&alerts), [(3, "vm.c".to_owned())]);
    }
}

/// Promise 3: from every cursor exactly what follows it, from the tail and from the journal, in
/// one life of the daemon and in the next.
#[tokio::test]
async fn from_each_cursor_it_is_told_exactly_what_follows() {
    for limits in [roomy(), tiny()] {
        let mut world = World::new(limits.clone());
        for number in 0..40 {
            let name = format!("vm.{}", number % 5);
            world.publish(&[&name, "", "image.x", &name][..1 + number % 4]);
        }
        world.publish(&["vm.end"]);
        let head = world.head();
        for restarted in [false, true] {
            if restarted {
                world.restart(limits.clone());
            }
            for after in 0..head {
                let mut subscription = world.subscribe("vm.*", Some(after));
                let all = read_through(&mut subscription, head).await;
                assert_eq!(all, world.expected(&glob("vm.*"), after), "after {after}");
                assert_eq!(subscription.place(), head);
            }
        }
    }
}

/// Promise 3: further back than the log reaches it is refused, never a silent jump.
#[tokio::test]
async fn what_is_not_kept_any_more_is_refused() {
    let mut world = World::new(tiny());
    for _ in 0..5 {
        world.publish(&["vm.a", "vm.b"]);
    }
    let oldest = world.trim();
    assert_eq!(oldest, 8);
    let refusal = world.try_subscribe(Some(7), None).unwrap_err();
    let expired = SubscribeError::Expired { cursor: 7, oldest };
    assert_eq!(refusal, expired);
    let mut subscription = world.subscribe("*", Some(8));
    assert_eq!(subscription.oldest(), 8);
    assert_eq!(read_through(&mut subscription, 10).await.len(), 2);
}

/// Promise 3: one that falls behind the beginning of the log is told so.
#[tokio::test]
async fn one_that_lags_too_far_behind_is_closed() {
    let mut world = World::new(tiny());
    let mut subscription = world.waiting("*");
    for _ in 0..5 {
        world.publish(&["vm.a", "vm.b"]);
    }
    let oldest = world.trim();
    let Err(Closed::Expired {
        cursor: 0,
        oldest: reported,
    }) = subscription.next_batch().await
    else {
        panic!("it should have been closed");
    };
    assert_eq!(reported, oldest);
    assert_eq!(subscription.place(), 0);
}

/// Promise 3: a burst after a long silence does not throw a narrow subscription back to where the
/// silence began, which may not be kept any more.
#[tokio::test]
async fn an_overflow_goes_back_no_further_than_it_must() {
    let mut world = World::new(tiny());
    let mut subscription = world.waiting("vm.*");
    for _ in 0..5 {
        world.publish(&["image.a"]);
    }
    world.publish(&["vm.a"; 9]);
    assert_eq!(subscription.place(), 5);
    assert_eq!(world.trim(), 5);
    assert_eq!(read_through(&mut subscription, 14).await.len(), 9);
}

/// Promise 3: another log, or a cursor beyond the head, is refused.
#[test]
fn places_of_no_log_are_refused() {
    let mut world = World::new(roomy());
    world.publish(&["vm.a"]);
    let log_id = world.hub_log_id();
    let unknown = SubscribeError::Unknown {
        log_id: log_id.clone(),
    };
    assert_eq!(world.try_subscribe(Some(2), None).unwrap_err(), unknown);
    let other = world.try_subscribe(Some(1), Some("another")).unwrap_err();
    assert_eq!(other, unknown);
    assert!(world.try_subscribe(Some(1), Some(&log_id)).is_ok());
}

#[test]
fn only_so_many_subscriptions_are_allowed() {
    let world = World::new(HubLimits {
        subscriptions: 2,
        ..roomy()
    });
    let first = world.subscribe("*", None);
    let second = world.subscribe("*", None);
    assert_ne!(first.id(), second.id());
    let refusal = world.try_subscribe(None, None).unwrap_err();
    let what = "subscriptions";
    assert_eq!(refusal, SubscribeError::TooMany { what, most: 2 });
    drop(first);
    assert_eq!(world.hub.subscriptions(), 1);
    assert!(world.try_subscribe(None, None).is_ok());
}

/// Filters differ in size a thousandfold; all of them together are bounded, reads that wait
/// included.
#[tokio::test]
async fn filters_are_bounded_in_bytes() {
    let most = 2 * glob("*").bytes();
    let world = World::new(HubLimits {
        filter_bytes: most,
        ..roomy()
    });
    let first = world.subscribe("*", None);
    let _second = world.subscribe("*", None);
    let refusal = world.try_subscribe(None, None).unwrap_err();
    let what = "bytes of filters";
    assert_eq!(refusal, SubscribeError::TooMany { what, most });
    let request = ReadRequest {
        filter: glob("*"),
        after: 0,
        log_id: None,
        limit: 1,
        timeout: FOR_EVER,
    };
    let refusal = world.hub.read(request.clone()).await;
    assert!(matches!(
        refusal,
        Err(ReadError::Refused(SubscribeError::TooMany { .. }))
    ));
    drop(first);
    assert!(world.hub.read(request).now_or_never().is_none());
    assert!(world.try_subscribe(None, None).is_ok());
}

impl World {
    fn hub_log_id(&self) -> String {
        self.subscribe("*", None).log_id().to_owned()
    }

    fn try_subscribe(
        &self,
        after: Option<u64>,
        log_id: Option<&str>,
    ) -> Result<(), SubscribeError> {
        let request = SubscribeRequest {
            filter: glob("*"),
            after,
            log_id: log_id.map(str::to_owned),
        };
        self.hub.subscribe(request).map(drop)
    }
}
