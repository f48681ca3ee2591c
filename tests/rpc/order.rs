//! Calls that change something take effect in the order in which one connection sent them.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{Ws, request};

/// Sends calls without waiting for answers; returns the numbers answered, in the order of answers.
async fn pipeline(ws: Ws, count: u64) -> Vec<u64> {
    let Ws {
        mut sender,
        mut receiver,
        ..
    } = ws;
    let sending = tokio::spawn(async move {
        for number in 0..count {
            // Now and then a batch: its calls stand in the same order.
            let text = if number % 10 == 9 {
                continue;
            } else if number % 10 == 8 {
                json!([
                    request(number, "order", json!([number])),
                    request(number + 1, "order", json!([number + 1]))
                ])
            } else {
                request(number, "order", json!([number]))
            };
            sender.queue_text(&text.to_string()).await.unwrap();
        }
        sender.flush().await.unwrap();
        sender
    });
    let mut answered = Vec::new();
    while answered.len() < usize::try_from(count).unwrap() {
        match receiver.receive().await.unwrap() {
            Value::Array(answers) => {
                answered.extend(
                    answers
                        .iter()
                        .map(|answer| answer["result"].as_u64().unwrap()),
                );
            }
            answer => answered.push(answer["result"].as_u64().unwrap()),
        }
    }
    sending.await.unwrap();
    answered
}

/// Protocol §3: calls that change something take effect in the order in which one connection sent
/// them, also thousands at once, more than may be in flight, and with other connections beside.
#[tokio::test]
async fn handlers_see_the_calls_of_a_connection_in_its_order() {
    const COUNT: u64 = 5_000;
    let fixture = Fixture::new();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(tokio::spawn(pipeline(fixture.connect().await, COUNT)));
    }
    for client in clients {
        let mut answered = client.await.unwrap();
        answered.sort_unstable();
        assert!(
            answered.into_iter().eq(0..COUNT),
            "every call is answered once"
        );
    }
    let order = fixture.seen.order.lock().unwrap();
    assert_eq!(order.len(), 4);
    for numbers in order.values() {
        assert!(numbers.iter().copied().eq(0..COUNT), "{numbers:?}");
    }
}

/// Protocol §9: more than 256 calls in flight on one connection wait their turn.
#[tokio::test]
async fn the_257th_call_waits_its_turn() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    for id in 0..300 {
        ws.send(&request(id, "hold", json!([]))).await;
    }
    fixture.release.add_permits(300);
    for _ in 0..300 {
        assert_eq!(ws.receive().await.unwrap()["result"], "released");
    }
    assert_eq!(fixture.seen.started.load(Ordering::SeqCst), 300);
    assert!(fixture.seen.most_running.load(Ordering::SeqCst) <= 256);
}

/// Protocol §9: waits do not count among the calls in flight and have their own bound.
#[tokio::test]
async fn the_65th_wait_is_overloaded_and_calls_go_on() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    for id in 1000..1064 {
        ws.send(&request(id, "wait", json!([]))).await;
    }
    let refused = ws.call("wait", json!([])).await;
    assert_eq!(refused["error"]["code"], 1009, "{refused}");
    assert_eq!(refused["error"]["data"]["reason"], "overloaded");
    assert_eq!(refused["error"]["data"]["retryable"], true);
    assert!(refused["error"]["data"]["retryAfterMs"].is_u64());
    assert_eq!(ws.call("echo", json!([1])).await["result"], json!([1]));
    let mut other = fixture.connect().await;
    other.send(&request(1, "wait", json!([]))).await;
    fixture.release.add_permits(65);
    for _ in 0..64 {
        assert_eq!(ws.receive().await.unwrap()["result"], "released");
    }
    assert_eq!(other.receive().await.unwrap()["result"], "released");
    fixture.release.add_permits(1);
    assert_eq!(ws.call("wait", json!([])).await["result"], "released");
}
