//! Protocol §9: the fences around the JSON-RPC library.

use opstead::rpc::Limits;
use serde_json::{Value, json};

use crate::fixture::{Fixture, bearer};
use crate::support::{exchange, post, request};

#[tokio::test]
async fn a_panic_is_answered_with_its_id_and_nobody_else_notices() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    for method in ["panic.now", "panic.later"] {
        let answer = ws.call(method, json!([])).await;
        assert_eq!(answer["error"]["code"], -32603, "{answer}");
        let body = request(5, method, json!([])).to_string();
        let answer = post(fixture.address, &[bearer()], &body).await.json();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(5), &json!(-32603))
        );
    }
    let batch = json!([
        request(1, "panic.now", json!([])),
        request(2, "echo", json!(["b"]))
    ]);
    ws.send(&batch).await;
    let answer = ws.receive().await.unwrap();
    assert_eq!(answer[0]["error"]["code"], -32603);
    assert_eq!(answer[1]["result"], json!(["b"]));
}

#[tokio::test]
async fn what_wants_no_answer_gets_no_body() {
    let fixture = Fixture::new();
    let one = r#"{"jsonrpc":"2.0","method":"echo","params":[1]}"#;
    for body in [one.to_owned(), format!("[{one},{one}]")] {
        let answer = post(fixture.address, &[bearer()], &body).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (204, ""),
            "{}",
            answer.head
        );
        let mut ws = fixture.connect().await;
        ws.sender.send_text(&body).await.unwrap();
        ws.send(&request(3, "echo", json!([3]))).await;
        assert_eq!(ws.receive().await.unwrap()["id"], 3, "the first that comes");
    }
}

#[tokio::test]
async fn batches_have_rules() {
    let fixture = Fixture::with(Limits {
        max_batch_length: 3,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    let subscribing = json!([
        request(1, "push.subscribe", json!([1])),
        request(2, "echo", json!([2])),
        {"jsonrpc": "2.0", "id": 4, "nothing": 1}
    ]);
    ws.send(&subscribing).await;
    let answer = ws.receive().await.unwrap();
    assert_eq!(answer.as_array().unwrap().len(), 3);
    assert_eq!(
        (&answer[0]["id"], &answer[0]["error"]["code"]),
        (&json!(1), &json!(-32600))
    );
    assert_eq!(answer[1]["result"], json!([2]));
    assert_eq!(
        (&answer[2]["id"], &answer[2]["error"]["code"]),
        (&json!(4), &json!(-32600))
    );

    ws.send(&json!([])).await;
    assert_eq!(ws.receive().await.unwrap()["error"]["code"], -32600);
    let four: Vec<Value> = (0..4).map(|id| request(id, "echo", json!([id]))).collect();
    ws.send(&json!(four)).await;
    let answer = ws.receive().await.unwrap();
    assert!(
        answer["error"]["code"].is_i64(),
        "the whole batch is refused: {answer}"
    );
    assert_eq!(ws.call("echo", json!([9])).await["result"], json!([9]));
}

#[tokio::test]
async fn scalar_params_are_refused() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    for params in [json!(5), json!("text"), json!(true)] {
        let answer = ws.call("echo", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    assert_eq!(
        ws.call("echo", json!({"a": 1})).await["result"],
        json!({"a": 1})
    );
    ws.sender
        .send_text(r#"{"jsonrpc":"2.0","id":77,"method":"echo"}"#)
        .await
        .unwrap();
    assert_eq!(
        ws.receive().await.unwrap(),
        json!({"jsonrpc": "2.0", "id": 77, "result": null})
    );
}

#[tokio::test]
async fn names_outside_the_table_go_to_the_fallback() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    assert_eq!(
        ws.call("storage.copyImage", json!({})).await["result"],
        "copyImage"
    );
    let answer = ws.call("no.such", json!([])).await;
    assert_eq!(answer["error"]["code"], -32601);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no.such"),
        "{answer}"
    );
}

#[tokio::test]
async fn too_large_an_answer_names_the_paged_method() {
    let fixture = Fixture::with(Limits {
        max_answer_bytes: 1_000,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    assert_eq!(
        ws.call("big", json!([998])).await["result"]
            .as_str()
            .unwrap()
            .len(),
        998
    );
    let answer = ws.call("big", json!([999])).await;
    assert_eq!(answer["error"]["code"], 1020, "{answer}");
    assert_eq!(answer["error"]["data"]["reason"], "answerTooLarge");
    assert_eq!(answer["error"]["data"]["use"], "big.paged");
    let raw = ws.call("echo", json!(["x".repeat(1_000)])).await;
    assert_eq!(
        raw["error"]["code"], 1020,
        "also JSON that was there before"
    );
    ws.send(&json!([
        request(1, "big", json!([700])),
        request(2, "big", json!([700]))
    ]))
    .await;
    let answer = ws.receive().await.unwrap();
    assert!(answer[0]["result"].is_string());
    assert_eq!(
        (&answer[1]["id"], &answer[1]["error"]["code"]),
        (&json!(2), &json!(1020))
    );
}

#[tokio::test]
async fn malformed_and_oversized_requests_are_refused_and_the_connection_goes_on() {
    let fixture = Fixture::with(Limits {
        max_request_bytes: 10_000,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    for text in ["{\"jsonrpc\":\"2.0\",", "nonsense", "", "[1", "{} {}"] {
        ws.sender.send_text(text).await.unwrap();
        let answer = ws.receive().await.unwrap();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&Value::Null, &json!(-32700))
        );
        let answer = post(fixture.address, &[bearer()], text).await;
        assert_eq!(answer.json()["error"]["code"], -32700, "{text}");
    }
    let large = request(1, "echo", json!(["x".repeat(20_000)]));
    ws.send(&large).await;
    let answer = ws.receive().await.unwrap();
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    assert_eq!(ws.call("echo", json!([1])).await["result"], json!([1]));
    let answer = post(fixture.address, &[bearer()], &large.to_string()).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn http_is_post_of_json() {
    let fixture = Fixture::new();
    let answer = exchange(
        fixture.address,
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(answer.await.status, 405);
    let answer = post(
        fixture.address,
        &[bearer(), ("content-type", "text/plain")],
        "{}",
    )
    .await;
    assert_eq!(answer.status, 415);
}
