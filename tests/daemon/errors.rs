//! Protocol §9: every error that can come about now, over the wire. Those of full disks, of expired
//! cursors and of a foreign uid are in other files.

use serde_json::{Value, json};

use crate::program::Home;
use crate::session::{Session, claim, hold, request_text};
use crate::support::{Ws, post};

async fn expect(
    session: &mut Session,
    method: &str,
    params: Value,
    code: i32,
    reason: &str,
    retryable: bool,
) -> Value {
    let error = session.error(method, params).await;
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["data"]["reason"], reason, "{error}");
    assert_eq!(error["data"]["retryable"], retryable, "{error}");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
    );
    error["data"].clone()
}

/// §9: code, reason and retryable of each, with the further members that the table names.
#[tokio::test]
async fn errors_are_as_in_the_table() {
    let home = Home::with("[limits]\nopen_operations = 3\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let s = &mut session;
    s.hold("d", json!([claim("x", "delete")])).await;
    let register = "operations.register";
    let data = expect(
        s,
        register,
        hold("r", json!([claim("x", "read")])),
        1001,
        "conflict",
        false,
    )
    .await;
    assert_eq!(data["reasons"][0]["blockedBy"], json!(["d"]));
    expect(
        s,
        "operations.get",
        json!({"id": "?"}),
        1002,
        "operationNotFound",
        false,
    )
    .await;
    s.noop("n").await;
    s.done("n").await;
    let data = expect(
        s,
        "operations.cancel",
        json!({"id": "n"}),
        1003,
        "operationEnded",
        false,
    )
    .await;
    assert_eq!(data["state"], "completed");
    let other = json!({"methodName": "diagnostic.noop", "id": "n", "kwargs": {"a": 1}});
    expect(s, register, other, 1004, "idReused", false).await;
    for (filter, filter_type) in [
        ("", "glob"),
        ("a[", "glob"),
        ("a(", "regexp"),
        ("a(?=b)", "regexp"),
    ] {
        let params = json!({"filter": filter, "filterType": filter_type});
        for method in [
            "getRunningTasks",
            "objects.list",
            "operations.list",
            "operations.wait",
            "alerts.subscribe",
            "filters.test",
        ] {
            let data = expect(s, method, params.clone(), 1005, "invalidFilter", false).await;
            assert!(data["position"].is_u64(), "{method}: {data}");
        }
    }
    let large = json!({"filter": "a".repeat(16 * 1024 + 1)});
    expect(s, "getRunningTasks", large, 1005, "invalidFilter", false).await;
    let status = s.ok("system.status", json!({})).await;
    for params in [
        json!({"after": 0, "logId": "01AAAAAAAAAAAAAAAAAAAAAAAA"}),
        json!({"after": 1_000_000}),
    ] {
        for method in ["alerts.read", "alerts.subscribe"] {
            let data = expect(s, method, params.clone(), 1007, "cursorUnknown", false).await;
            assert_eq!(data["logId"], status["logId"]);
        }
    }
    for (method, params) in [
        (
            "alerts.subscribe",
            json!({"logId": "01AAAAAAAAAAAAAAAAAAAAAAAA"}),
        ),
        (
            "operations.wait",
            json!({"until": "change", "after": 1_000_000}),
        ),
    ] {
        let data = expect(s, method, params, 1007, "cursorUnknown", false).await;
        assert_eq!(data["logId"], status["logId"]);
    }
    s.hold("h2", json!([])).await;
    s.hold("h3", json!([])).await;
    let data = expect(s, register, hold("h4", json!([])), 1009, "overloaded", true).await;
    assert!(data["retryAfterMs"].is_u64());
    let again = s.hold("h3", json!([])).await;
    assert_eq!(again["existing"], true, "a repeat is no new operation");
    expect(
        s,
        "getOperationInfo",
        json!({"alertName": "a.b"}),
        1013,
        "objectNotFound",
        false,
    )
    .await;
    expect(
        s,
        "operations.list",
        json!({"pageToken": "x"}),
        1016,
        "invalidPageToken",
        false,
    )
    .await;
    expect(
        s,
        "objects.list",
        json!({"pageToken": "x"}),
        1016,
        "invalidPageToken",
        false,
    )
    .await;
}

/// §9: JSON-RPC's own codes keep their meaning; what is malformed loses no connection.
#[tokio::test]
async fn json_rpcs_own_codes() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for (method, params, code) in [
        ("nobody.knows", json!({}), -32601),
        (
            "operations.register",
            json!({"methodName": "nobody.knows"}),
            -32601,
        ),
        (
            "operations.register",
            json!({"methodName": "diagnostic.noop", "version": 2}),
            -32601,
        ),
        ("flows.nonsense", json!({}), -32601),
        ("operations.register", json!({}), -32602),
        (
            "operations.register",
            json!({"methodName": "diagnostic.noop", "startAt": 7}),
            -32602,
        ),
        (
            "operations.register",
            json!({"methodName": "storage.getImageInfo", "kwargs": {"image": "a"}}),
            -32602,
        ),
        (
            "alerts.subscribe",
            json!({"snapshot": true, "after": 0}),
            -32602,
        ),
        (
            "alerts.unsubscribe",
            json!({"subscription": "none"}),
            -32602,
        ),
        (
            "operations.wait",
            json!({"ids": ["a"], "filter": "*"}),
            -32602,
        ),
    ] {
        let error = session.error(method, params.clone()).await;
        assert_eq!(error["code"], code, "{method} {params}: {error}");
    }
    for text in ["{\"jsonrpc\":", "nonsense"] {
        session.ws.sender.send_text(text).await.unwrap();
        let answer: Value = serde_json::from_str(&session.receive().await.unwrap()).unwrap();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&Value::Null, &json!(-32700))
        );
    }
    session.noop("still here").await;
}

/// §9, `unauthenticated`: no token or a wrong one, over HTTP, WebSocket and the Rust client.
#[tokio::test]
async fn a_wrong_token_gets_nothing() {
    use opstead_client::schema::ErrorCode;
    use opstead_client::{Client, ClientConfig, Error, Token};

    let home = Home::new();
    let daemon = home.start();
    let body = request_text(1, "system.status", json!({}));
    for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
        let answer = post(daemon.address, headers, &body).await;
        assert_eq!(answer.json()["error"]["code"], 1011, "{answer:?}");
        assert_eq!(answer.json()["error"]["data"]["reason"], "unauthenticated");
        // Either the handshake is refused, or every call is.
        if let Ok(mut ws) = Ws::connect_with(daemon.address, headers).await {
            let answer = ws.call("system.status", json!({})).await;
            assert_eq!(answer["error"]["code"], 1011, "{answer}");
        }
    }
    let config = ClientConfig {
        token: Token::Given("0".repeat(64)),
        ..ClientConfig::default()
    };
    let target = format!("ws://{}", daemon.address).parse().unwrap();
    let error = Client::connect(target, config).await.err().unwrap();
    assert_eq!(error.code(), Some(ErrorCode::Unauthenticated), "{error}");
    assert!(matches!(error, Error::Refused(_)));
    let bearer = format!("Bearer {}", daemon.token);
    let answer = post(daemon.address, &[("authorization", &bearer)], &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["result"]["limits"]["waits"], 64);
}

/// §9, `needsWebSocket`: what pushes, over HTTP.
#[tokio::test]
async fn what_pushes_needs_a_web_socket() {
    let home = Home::new();
    let daemon = home.start();
    let bearer = format!("Bearer {}", daemon.token);
    for (method, params) in [
        ("alerts.subscribe", json!({})),
        ("alerts.unsubscribe", json!({"subscription": "1.1"})),
    ] {
        let body = request_text(1, method, params);
        let answer = post(daemon.address, &[("authorization", &bearer)], &body).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["code"], &error["data"]["reason"]),
            (&json!(1015), &json!("needsWebSocket")),
            "{method}"
        );
    }
}

/// §9: an oversized message gets an error and takes nothing else along.
#[tokio::test]
async fn an_oversized_message_is_refused() {
    let home = Home::with("[limits]\nrequest_bytes = 10000\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("before").await;
    let large = json!({"methodName": "diagnostic.noop", "id": "large",
        "kwargs": {"text": "x".repeat(20_000)}});
    session
        .send("operations.register", &large.to_string())
        .await;
    let answer: Value = serde_json::from_str(&session.receive().await.unwrap()).unwrap();
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    assert_eq!(session.get("before").await["id"], "before");
    let error = session
        .error("operations.get", json!({"id": "large"}))
        .await;
    assert_eq!(error["data"]["reason"], "operationNotFound");
    let bearer = format!("Bearer {}", daemon.token);
    let body = request_text(1, "operations.register", large);
    let answer = post(daemon.address, &[("authorization", &bearer)], &body).await;
    assert_eq!(answer.status, 413);
}

/// §9, `shuttingDown`: who waits is told when the daemon ends.
#[tokio::test]
async fn who_waits_is_told_that_the_daemon_ends() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("a", json!([])).await;
    let wait = session.send("operations.wait", r#"{"ids":["a"]}"#).await;
    // Calls of a connection begin in order, so the wait has begun when this is answered.
    let probe = session
        .send("operations.wait", r#"{"ids":["a"],"timeoutMs":1}"#)
        .await;
    session.answer(probe).await;
    daemon.terminate();
    let answer: Value = serde_json::from_str(&session.answer(wait).await).unwrap();
    assert_eq!(answer["error"]["code"], 1010, "{answer}");
    assert_eq!(
        answer["error"]["data"],
        json!({"reason": "shuttingDown", "retryable": true})
    );
    assert!(daemon.wait().await.success());
}
