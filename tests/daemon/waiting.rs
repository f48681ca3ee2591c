//! Protocol §3, `operations.wait`.

use serde_json::{Value, json};

use crate::program::Home;

async fn parse(session: &mut crate::session::Session, id: u64) -> Value {
    let answer: Value = serde_json::from_str(&session.answer(id).await).unwrap();
    answer["result"].clone()
}

/// §3: mode any or all, until done; a time-out is no error.
#[tokio::test]
async fn waiting_for_any_or_all_to_be_done() {
    let home = Home::new();
    let daemon = home.start();
    let mut waiter = daemon.connect().await;
    let mut actor = daemon.connect().await;
    for id in ["a", "b"] {
        actor.hold(id, json!([])).await;
    }
    for (mode, timed_out) in [("any", true), ("all", true)] {
        let params = json!({"ids": ["a", "b"], "mode": mode, "timeoutMs": 1});
        let answer = waiter.ok("operations.wait", params).await;
        assert_eq!(answer["timedOut"], timed_out);
        assert_eq!(answer["operations"].as_array().unwrap().len(), 2);
    }
    let any = waiter
        .send("operations.wait", r#"{"ids":["a","b"],"mode":"any"}"#)
        .await;
    actor.ok("operations.cancel", json!({"id": "a"})).await;
    let answer = parse(&mut waiter, any).await;
    assert_eq!(
        (&answer["timedOut"], &answer["operations"][0]["done"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(answer["operations"][1]["done"], false);
    let all = waiter
        .send("operations.wait", r#"{"ids":["a","b"],"mode":"all"}"#)
        .await;
    actor.ok("operations.cancel", json!({"id": "b"})).await;
    let answer = parse(&mut waiter, all).await;
    assert_eq!(answer["operations"][1]["state"], "canceled");
    assert!(answer["cursor"].as_u64() >= answer["operations"][1]["cursor"].as_u64());
    let error = waiter
        .error("operations.wait", json!({"ids": ["a", "nobody"]}))
        .await;
    assert_eq!(error["data"]["reason"], "operationNotFound");
}

/// §3: until change, after a cursor: what changed since then answers at once, else the next change.
#[tokio::test]
async fn waiting_for_a_change() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let registration = session.hold("a", json!([])).await;
    let registered = registration["cursor"].as_u64().unwrap();
    let params = json!({"ids": ["a"], "until": "change", "after": registered});
    let answer = session.ok("operations.wait", params).await;
    assert_eq!(answer["timedOut"], false, "it has started since");
    // It says once that it runs, and nothing more until it is canceled.
    let params = json!({"ids": ["a"], "until": "change", "after": registered + 1});
    let answer = session.ok("operations.wait", params).await;
    assert_eq!(answer["timedOut"], false, "it says that it runs");
    let cursor = session.head().await;
    let params = json!({"ids": ["a"], "until": "change", "after": cursor, "timeoutMs": 1});
    assert_eq!(
        session.ok("operations.wait", params).await["timedOut"],
        true
    );
    let mut waiter = daemon.connect().await;
    let params = format!(r#"{{"ids":["a"],"until":"change","after":{cursor}}}"#);
    let wait = waiter.send("operations.wait", &params).await;
    session.ok("operations.cancel", json!({"id": "a"})).await;
    let answer = parse(&mut waiter, wait).await;
    assert!(
        answer["operations"][0]["cursor"].as_u64() > Some(cursor),
        "{answer}"
    );
}

/// §3: everywhere `filter="*"`, so without ids it is for all that are not done; never by both.
#[tokio::test]
async fn waiting_for_everything() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let nothing = session.ok("operations.wait", json!({})).await;
    assert_eq!(
        (&nothing["operations"], &nothing["timedOut"]),
        (&json!([]), &json!(false))
    );
    session.hold("a", json!([])).await;
    let one = session.ok("operations.wait", json!({"timeoutMs": 1})).await;
    assert_eq!(
        (&one["operations"][0]["id"], &one["timedOut"]),
        (&json!("a"), &json!(true))
    );
    let both = json!({"ids": ["a"], "filter": "*"});
    assert_eq!(session.error("operations.wait", both).await["code"], -32602);
}

/// §3: who ended before the cursor does not change any more; any other one is enough for `any`.
#[tokio::test]
async fn waiting_for_a_change_of_what_has_ended() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("ended").await;
    session.done("ended").await;
    session.hold("open", json!([])).await;
    let after = session.head().await;
    session.ok("operations.cancel", json!({"id": "open"})).await;
    session.done("open").await;
    for (mode, after, timed_out) in [
        ("any", after, false),
        ("all", after, true),
        ("all", 0, false),
        ("any", session.head().await, true),
    ] {
        let params = json!({"ids": ["ended", "open"], "until": "change", "mode": mode,
            "after": after, "timeoutMs": 1});
        let answer = session.ok("operations.wait", params).await;
        assert_eq!(answer["timedOut"], timed_out, "{mode} after {after}");
        assert_eq!(answer["operations"].as_array().unwrap().len(), 2);
    }
}

/// §3: By filter: those not done at the call; none: answers at once.
#[tokio::test]
async fn waiting_by_filter() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("done").await;
    session.done("done").await;
    let params = json!({"filter": "diagnostic.*"});
    let none = session.ok("operations.wait", params.clone()).await;
    assert_eq!(
        (&none["operations"], &none["timedOut"]),
        (&json!([]), &json!(false))
    );
    session.hold("open", json!([])).await;
    let mut waiter = daemon.connect().await;
    let wait = waiter.send("operations.wait", &params.to_string()).await;
    // A second wait on the same connection that answers shows that the first one has begun.
    let probe = json!({"filter": "diagnostic.*", "timeoutMs": 1}).to_string();
    let probe = waiter.send("operations.wait", &probe).await;
    assert_eq!(parse(&mut waiter, probe).await["timedOut"], true);
    session.ok("operations.cancel", json!({"id": "open"})).await;
    let answer = parse(&mut waiter, wait).await;
    assert_eq!(answer["operations"].as_array().unwrap().len(), 1);
    assert_eq!(answer["operations"][0]["id"], "open");
}

/// §9: waits have their own bound of 64 a connection (`overloaded`) and keep no other call waiting.
#[tokio::test]
async fn waits_have_their_own_bound() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("a", json!([])).await;
    for _ in 0..64 {
        session.send("operations.wait", r#"{"ids":["a"]}"#).await;
    }
    let last = session.send("operations.wait", r#"{"ids":["a"]}"#).await;
    let answer: Value = serde_json::from_str(&session.answer(last).await).unwrap();
    assert_eq!(answer["error"]["data"]["reason"], "overloaded");
    assert!(answer["error"]["data"]["retryAfterMs"].is_u64());
    session.get("a").await;
    session.ok("operations.cancel", json!({"id": "a"})).await;
    for _ in 0..64 {
        let answer: Value = serde_json::from_str(&session.receive().await.unwrap()).unwrap();
        assert_eq!(answer["result"]["timedOut"], false, "{answer}");
    }
}
