//! Subscriptions: the answer first, then notifications in the protocol's own shape.

use std::sync::atomic::Ordering;

use opstead::rpc::Limits;
use serde_json::{Value, json};

use crate::fixture::{Fixture, alert, bearer};
use crate::support::{post, request};

/// Protocol §5: the literal shape, and the answer before the first alert.
#[tokio::test]
async fn alerts_have_the_literal_shape_and_follow_the_answer() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    ws.send(&request(1, "push.subscribe", json!([200]))).await;
    let answer = ws.receive().await.unwrap();
    assert_eq!(answer["id"], 1, "{answer}");
    let subscription = answer["result"]["subscription"]
        .as_str()
        .unwrap()
        .to_owned();
    for cursor in 1..=200 {
        let text = ws.receiver.receive_text().await.unwrap();
        assert_eq!(text, alert(&subscription, cursor).get());
    }
    assert_eq!(
        ws.call("push.unsubscribe", json!([subscription])).await["result"],
        true
    );
    fixture.seen.over.notified().await;
    assert_eq!(
        ws.call("push.unsubscribe", json!([subscription])).await["result"],
        false
    );
}

/// Nothing of a subscription follows the answer that it has ended, however much is on its way.
#[tokio::test]
async fn nothing_follows_the_end_of_a_subscription() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    for round in 0..20 {
        let opened = ws.call("push.flood", json!([])).await;
        let subscription = opened["result"]["subscription"].clone();
        for _ in 0..50 {
            assert_eq!(ws.receive().await.unwrap()["method"], "alert");
        }
        let ended = ws.call("push.unsubscribe", json!([subscription])).await;
        assert_eq!(ended["result"], true);
        ws.send(&request(1_000 + round, "echo", json!([round])))
            .await;
        let next = ws.receive().await.unwrap();
        assert_eq!(next["id"], 1_000 + round, "round {round}: {next}");
    }
}

#[tokio::test]
async fn what_pushes_needs_a_websocket() {
    let fixture = Fixture::new();
    let body = request(3, "push.subscribe", json!([1])).to_string();
    let answer = post(fixture.address, &[bearer()], &body).await.json();
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(3), &json!(1015))
    );
    assert_eq!(answer["error"]["data"]["reason"], "needsWebSocket");
}

#[tokio::test]
async fn a_refused_subscription_is_answered_once() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    ws.send(&request(1, "push.subscribe", json!([13]))).await;
    ws.send(&request(2, "push.subscribe", json!("scalar")))
        .await;
    ws.send(&request(3, "echo", json!([3]))).await;
    let answers = [ws.receive().await.unwrap(), ws.receive().await.unwrap()];
    assert_eq!(
        (&answers[0]["id"], &answers[0]["error"]["code"]),
        (&json!(1), &json!(-32602))
    );
    assert_eq!(
        (&answers[1]["id"], &answers[1]["error"]["code"]),
        (&json!(2), &json!(-32602))
    );
    assert_eq!(ws.receive().await.unwrap()["id"], 3);
}

#[tokio::test]
async fn subscriptions_have_a_bound() {
    let fixture = Fixture::with(Limits {
        max_subscriptions: 2,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    let first = ws.call("push.subscribe", json!([0])).await["result"]["subscription"].clone();
    assert!(ws.call("push.subscribe", json!([0])).await["result"].is_object());
    let refused = ws.call("push.subscribe", json!([0])).await;
    assert_eq!(refused["error"]["code"], 1009, "{refused}");
    assert_eq!(
        ws.call("push.unsubscribe", json!([first])).await["result"],
        true
    );
    fixture.seen.over.notified().await;
    assert!(ws.call("push.subscribe", json!([0])).await["result"].is_object());
}

/// The bound comes before the work: what is still being opened counts.
#[tokio::test]
async fn a_subscription_that_is_being_opened_has_its_place() {
    let fixture = Fixture::with(Limits {
        max_subscriptions: 1,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    ws.send(&request(1_000, "push.slow", json!([]))).await;
    let refused = ws.call("push.subscribe", json!([0])).await;
    assert_eq!(refused["error"]["code"], 1009, "{refused}");
    fixture.release.add_permits(1);
    let opened = ws.receive().await.unwrap();
    assert!(opened["result"].is_object(), "{opened}");
}

#[tokio::test]
async fn a_subscription_ends_with_its_client() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    ws.call("push.subscribe", json!([1])).await;
    drop(ws);
    fixture.seen.over.notified().await;
}

/// A subscriber is never left believing that it would be told.
#[tokio::test]
async fn a_pump_that_panics_closes_the_connection() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    assert!(ws.call("push.panic", json!([])).await["result"].is_object());
    assert_eq!(ws.receive().await, None);
}

/// Protocol §5, promise 4: one that does not read for `writeTimeoutMs` is disconnected, and costs
/// no more than its bounded buffer until then.
#[tokio::test]
async fn a_subscriber_that_never_reads_is_disconnected() {
    let fixture = Fixture::with(Limits {
        write_timeout_ms: 200,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    let mut other = fixture.connect().await;
    ws.send(&request(1, "push.flood", json!([]))).await;
    fixture.seen.over.notified().await;
    let bytes = fixture.seen.made.load(Ordering::SeqCst) * alert("1.1", 1).get().len();
    // The kernel's own buffers on both sides are most of it.
    assert!(bytes < 32 << 20, "{bytes}");
    let answer: Value = other.call("echo", json!([1])).await;
    assert_eq!(answer["result"], json!([1]));
}
