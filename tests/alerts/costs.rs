//! What subscribers cost: who is woken, what is written, read and kept, and how often.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use futures_util::FutureExt;
use futures_util::future::join_all;
use opstead::alerts::HubLimits;
use opstead_core::{EventBody, Subject};

use crate::world::{World, copy, glob, next, read_through, roomy, told};

#[tokio::test]
async fn nothing_is_written_when_nobody_listens() {
    let mut world = World::new(roomy());
    let _other = world.waiting("image.*");
    world.publish(&["vm.a", "vm.b"]);
    assert_eq!(world.encoded.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_alert_is_written_once_for_everybody() {
    let mut world = World::new(roomy());
    let mut live: Vec<_> = (0..50).map(|_| world.waiting("vm.*")).collect();
    world.publish(&["vm.a", "image.a", "vm.b"]);
    for subscription in &mut live {
        assert_eq!(next(subscription).await.len(), 2);
    }
    for _ in 0..10 {
        let mut late = world.subscribe("vm.*", Some(0));
        assert_eq!(next(&mut late).await.len(), 2);
    }
    assert_eq!(world.encoded.load(Ordering::SeqCst), 2);
    assert_eq!(world.disk.reads.load(Ordering::SeqCst), 0);
}

/// When many resume together after a restart, the log is read and written as text for all of them
/// together, not for each.
#[tokio::test]
async fn those_who_resume_together_share_the_work() {
    let mut world = World::new(roomy());
    for _ in 0..200 {
        world.publish(&["vm.a", "vm.b"]);
    }
    let limits = HubLimits {
        page_bytes: 1,
        ..roomy()
    };
    world.restart(limits.clone());
    let readers = (0..100).map(|_| {
        let mut subscription = world.subscribe("*", Some(0));
        async move { read_through(&mut subscription, 400).await }
    });
    for all in join_all(readers).await {
        assert_eq!(all, world.expected(&glob("*"), 0));
    }
    assert_eq!(world.encoded.load(Ordering::SeqCst), 400);
    // A page is a block here, and at most as many as may read at a time read the same one.
    let reads = world.disk.reads.load(Ordering::SeqCst);
    assert!(reads <= 200 * limits.replays, "{reads} reads");
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_block_wakes_once_whom_it_concerns_and_nobody_else() {
    let mut world = World::new(roomy());
    let mut concerned = world.waiting("vm.*");
    let mut idle = world.waiting("image.*");
    let (woken, left) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let wakers = (Waker::from(woken.clone()), Waker::from(left.clone()));
    let mut next = pin!(concerned.next_batch());
    let mut other = pin!(idle.next_batch());
    assert!(
        next.poll_unpin(&mut Context::from_waker(&wakers.0))
            .is_pending()
    );
    assert!(
        other
            .poll_unpin(&mut Context::from_waker(&wakers.1))
            .is_pending()
    );
    world.publish(&["vm.a"; 100]);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(left.0.load(Ordering::SeqCst), 0);
}

/// Promise 4: one that does not read keeps nobody else from being told at once, holds no more
/// than its queue, and is served from the log when it reads again.
#[tokio::test]
async fn one_that_does_not_read_costs_its_queue() {
    let limits = HubLimits {
        tail_bytes: 64 << 10,
        queue_alerts: 100,
        ..roomy()
    };
    let mut world = World::new(limits.clone());
    let mut frozen = world.waiting("*");
    let mut quick = world.waiting("*");
    let mut published: Vec<Weak<Subject>> = Vec::new();
    let mut all = Vec::new();
    for _ in 0..1_000 {
        let block = copy(&world.append(&["vm.a", "vm.b", "vm.c"]));
        let subjects = block.events.iter().filter_map(|event| match &event.body {
            EventBody::Operation(operation) => Some(Arc::downgrade(&operation.subject)),
            _ => None,
        });
        published.extend(subjects);
        world.publish_block(&block);
        let next = quick.next_batch().now_or_never();
        all.extend(told(&next.expect("it is told at once").unwrap()));
    }
    assert_eq!(all, world.expected(&glob("*"), 0));
    assert_eq!(world.disk.reads.load(Ordering::SeqCst), 0);
    let held = published
        .iter()
        .filter(|subject| subject.strong_count() > 0);
    // An event is estimated at no less than 640 bytes.
    assert!(held.count() <= limits.queue_alerts + limits.tail_bytes / 640);
    assert_eq!(frozen.place(), 0);
    assert_eq!(read_through(&mut frozen, 3_000).await, all);
}
