//! Copying: what arrives, what is told meanwhile, and stopping in the middle.

use std::fs;
use std::sync::{Arc, Mutex, mpsc};

use opstead::engine::executor::{Executor, TaskContext};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Attempt, MIB, Site, allocated_bytes, is, json_text, refusal, write_sparse};

const COPY: &str = "storage.copyImage";

fn a_to_b() -> Value {
    json!({"source": "a", "target": "b"})
}

/// An attempt to copy that cancels itself when so many bytes are copied.
fn canceled_at(bytes: u64) -> Arc<Attempt> {
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    let mut attempt = Attempt::of(COPY).on_progress(move |extra_data| {
        if extra_data["bytesDone"]
            .as_u64()
            .is_some_and(|done| done >= bytes)
        {
            trigger.cancel();
        }
    });
    attempt.cancel = cancel;
    Arc::new(attempt)
}

#[tokio::test]
async fn a_copy_is_equal_and_stays_sparse() {
    let site = Site::new();
    write_sparse(&site.path("a")).expect("write");
    let attempt = Arc::new(Attempt::of(COPY));
    let result = attempt.run(&*site.storage, a_to_b()).await;
    assert_eq!(
        result.expect("copied"),
        json!({"image": "b", "sizeBytes": 64 * MIB})
    );
    assert!(
        fs::read(site.path("a")).expect("source") == fs::read(site.path("b")).expect("target"),
        "the copy differs"
    );
    let allocated = allocated_bytes(&site.path("b"));
    assert!(
        (12 * MIB..13 * MIB).contains(&allocated),
        "{allocated} allocated"
    );
    assert_eq!(site.files(), ["a", "b"]);
}

#[tokio::test]
async fn progress_grows_by_bytes_and_ends_at_the_total() {
    let site = Site::new();
    write_sparse(&site.path("a")).expect("write");
    let attempt = Arc::new(Attempt::of(COPY));
    attempt.run(&*site.storage, a_to_b()).await.expect("copied");
    let percentages: Vec<f64> = attempt
        .updates()
        .iter()
        .map(|update| update.percentage.expect("percentage"))
        .collect();
    assert!(percentages.is_sorted(), "{percentages:?}");
    assert!(
        percentages.iter().any(|part| (1.0..99.0).contains(part)),
        "{percentages:?}"
    );
    assert_eq!(percentages.last(), Some(&100.0));
    let told: Vec<Value> = attempt.extra_data();
    let done: Vec<u64> = told
        .iter()
        .filter_map(|data| data["bytesDone"].as_u64())
        .collect();
    assert!(done.is_sorted(), "{done:?}");
    let end = json!({"imageState": "ok", "bytesDone": 12 * MIB, "bytesTotal": 12 * MIB});
    assert_eq!(told.last(), Some(&end));
    let (last, before) = told.split_last().expect("reports");
    assert_eq!(last["imageState"], "ok");
    assert!(before.iter().all(|data| data["imageState"] == "creating"));
}

#[tokio::test]
async fn an_image_of_holes_copies_at_once_and_is_whole() {
    let site = Site::new();
    let create = json!({"image": "a", "sizeBytes": 1_u64 << 30});
    site.run("storage.createImage", create)
        .await
        .expect("created");
    let attempt = Arc::new(Attempt::of(COPY));
    attempt.run(&*site.storage, a_to_b()).await.expect("copied");
    assert_eq!(fs::metadata(site.path("b")).expect("copy").len(), 1 << 30);
    let end = json!({"imageState": "ok", "bytesDone": 0, "bytesTotal": 0});
    assert_eq!(attempt.extra_data().last(), Some(&end));
}

/// A target appears under its name only when it is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_has_no_name_before_it_is_whole() {
    let site = Site::new();
    write_sparse(&site.path("a")).expect("write");
    let middle = CancellationToken::new();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let signal = middle.clone();
    let attempt = Attempt::of(COPY).on_progress(move |extra_data| {
        if extra_data["bytesDone"] == 4 * MIB {
            signal.cancel();
            may_go_on.lock().expect("lock").recv().expect("signal");
        }
    });
    let storage = site.storage.clone();
    let attempt = Arc::new(attempt);
    let copy = tokio::spawn(async move { attempt.run(&*storage, a_to_b()).await });
    middle.cancelled().await;
    assert_eq!(site.files(), [".partial/1.b", "a"]);
    let info = site.info("b").await.expect("info");
    assert_eq!(
        (&info["imageState"], &info["sizeBytes"]),
        (&json!("creating"), &json!(64 * MIB))
    );
    go_on.send(()).expect("waiting");
    copy.await.expect("no panic").expect("copied");
    assert_eq!(site.files(), ["a", "b"]);
    assert_eq!(site.info("b").await.expect("info")["imageState"], "ok");
}

#[tokio::test]
async fn a_copy_canceled_in_the_middle_leaves_nothing() {
    let site = Site::new();
    write_sparse(&site.path("a")).expect("write");
    let attempt = canceled_at(4 * MIB);
    let outcome = attempt.run(&*site.storage, a_to_b()).await;
    assert_eq!(refusal(outcome), is(2005, "canceled"));
    assert_eq!(site.files(), ["a"]);
    assert_eq!(attempt.last_image_state(), "deleted");
    let last = attempt.updates().pop().expect("a report");
    assert_eq!(
        (last.description, last.percentage),
        (None, None),
        "how far it had come stays"
    );
    let done = attempt
        .extra_data()
        .iter()
        .filter_map(|data| data["bytesDone"].as_u64())
        .max();
    assert_eq!(done, Some(4 * MIB), "it went on after the cancellation");
    assert_eq!(refusal(site.info("b").await), is(3001, "imageNotFound"));
    site.run(COPY, a_to_b()).await.expect("the name is free");
}

#[tokio::test]
async fn a_copy_canceled_after_its_last_byte_leaves_nothing() {
    let site = Site::new();
    write_sparse(&site.path("a")).expect("write");
    let outcome = canceled_at(12 * MIB).run(&*site.storage, a_to_b()).await;
    assert_eq!(refusal(outcome), is(2005, "canceled"));
    assert_eq!(site.files(), ["a"]);
}

/// One byte a second: had the throttle slept blindly, this test would take half a day.
#[tokio::test]
async fn a_throttled_copy_waits_for_its_turn_and_stops_while_it_waits() {
    let site = Site::with(|config| config.copy_bytes_per_second = Some(1));
    write_sparse(&site.path("a")).expect("write");
    let attempt = Arc::new(Attempt::of(COPY));
    let cancel_when_it_waits = async {
        attempt.awaited.cancelled().await;
        attempt.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(attempt.run(&*site.storage, a_to_b()), cancel_when_it_waits);
    assert_eq!(refusal(outcome), is(2005, "canceled"));
    assert_eq!(site.files(), ["a"]);
    let done: Vec<u64> = attempt
        .extra_data()
        .iter()
        .filter_map(|data| data["bytesDone"].as_u64())
        .collect();
    assert_eq!(done, [0, 4096], "one turn, then a long wait");
}

#[tokio::test]
async fn an_attempt_that_nobody_waits_for_any_more_stops_and_leaves_nothing() {
    let site = Site::with(|config| config.copy_bytes_per_second = Some(1));
    write_sparse(&site.path("a")).expect("write");
    // Dropped with the attempt, when the last of its work is over.
    let over = CancellationToken::new();
    let guard = Mutex::new(over.clone().drop_guard());
    let attempt = Attempt::of(COPY).on_progress(move |_| drop(guard.lock().expect("lock")));
    let waits = attempt.awaited.clone();
    let attempt = Arc::new(attempt);
    let copy = site
        .storage
        .execute(TaskContext::new(attempt), json_text(&a_to_b()));
    tokio::select! {
        outcome = copy => panic!("ended: {outcome:?}"),
        () = waits.cancelled() => {}
    }
    over.cancelled().await;
    assert_eq!(site.files(), ["a"]);
}
