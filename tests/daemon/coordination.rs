//! Protocol §8 over the wire: weight, dependencies, start times, retries, and what is refused.

use serde_json::{Value, json};

use crate::program::Home;
use crate::session::{Session, events};

async fn register(session: &mut Session, id: &str, more: Value) -> Value {
    let mut params = json!({"methodName": "diagnostic.wait", "id": id});
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    session.ok("operations.register", params).await
}

/// §8: what runs together stays within the capacity, which is told and kept as it is configured.
#[tokio::test]
async fn weight_is_kept_within_the_capacity() {
    let home = Home::with("[limits]\ncapacity = 5\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let status = session.ok("system.status", json!({})).await;
    assert_eq!(status["limits"]["capacity"], 5);
    register(&mut session, "first", json!({"weight": 3})).await;
    let heavy = register(&mut session, "heavy", json!({"weight": 4})).await;
    assert_eq!(heavy["response"], "postponed");
    let reason = json!({"cause": "capacity", "blockedBy": ["first"]});
    assert_eq!(heavy["reasons"], json!([reason]));
    let params = json!({"methodName": "diagnostic.wait", "weight": 6});
    let error = session.error("operations.register", params).await;
    assert_eq!(error["code"], 1018);
    assert_eq!(error["data"]["reason"], "weightTooLarge");
    session
        .ok("operations.cancel", json!({"id": "first"}))
        .await;
    session.done("first").await;
    let record = session.get("heavy").await;
    assert_eq!(
        (&record["state"], &record["weight"]),
        (&json!("running"), &json!(4))
    );
}

/// §8: a dependent starts after, or is skipped, and says why.
#[tokio::test]
async fn dependents_start_or_are_skipped() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    register(&mut session, "first", json!({})).await;
    let after = json!({"after": [{"id": "first", "states": ["canceled"]}]});
    let cleanup = register(&mut session, "cleanup", after.clone()).await;
    let reason = json!({"cause": "dependency", "blockedBy": ["first"]});
    assert_eq!(cleanup["reasons"], json!([reason]));
    register(&mut session, "next", json!({"after": [{"id": "first"}]})).await;
    session
        .ok("operations.cancel", json!({"id": "first"}))
        .await;
    let next = session.done("next").await;
    assert_eq!(
        (&next["state"], &next["done"]),
        (&json!("skipped"), &json!(true))
    );
    assert_eq!(next["error"]["code"], 2004);
    assert_eq!(next["error"]["data"]["operationId"], "first");
    assert_eq!(
        next["after"],
        json!([{"id": "first", "states": ["completed"]}])
    );
    let alerts = session.read_all("diagnostic.task.next", 0).await;
    assert_eq!(events(&alerts), ["registered", "postponed", "skipped"]);
    assert_eq!(session.get("cleanup").await["state"], "running");
    let late = register(&mut session, "late", json!({"after": [{"id": "first"}]})).await;
    assert_eq!(late["state"], "skipped");
    for (after, code) in [
        (json!([{"id": "nobody"}]), 1002),
        (json!([{"id": "cleanup", "states": ["running"]}]), -32602),
        (json!([{"id": "cleanup", "when": "done"}]), -32602),
    ] {
        let params = json!({"methodName": "diagnostic.noop", "after": after});
        let error = session.error("operations.register", params).await;
        assert_eq!(error["code"], code, "{error}");
    }
}

/// §8: a start time holds over a kill, and what was waited for is told as before.
#[tokio::test]
async fn schedules_and_reasons_outlast_a_kill() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    register(&mut session, "first", json!({})).await;
    let far =
        json!({"startAt": "2100-01-01T00:00:00.000Z", "startBefore": "2100-01-02T00:00:00.000Z"});
    let scheduled = register(&mut session, "scheduled", far).await;
    assert_eq!(scheduled["state"], "scheduled");
    assert_eq!(scheduled["reasons"], json!([{"cause": "startTime"}]));
    register(
        &mut session,
        "next",
        json!({"after": [{"id": "scheduled"}, {"id": "first"}]}),
    )
    .await;
    let before = (session.get("scheduled").await, session.get("next").await);
    assert_eq!(
        before.1["reasons"][0]["blockedBy"],
        json!(["first", "scheduled"])
    );
    assert_eq!(before.0["startAt"], "2100-01-01T00:00:00.000Z");
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let again = (session.get("scheduled").await, session.get("next").await);
    assert_eq!(again, before);
    let canceled = session
        .ok("operations.cancel", json!({"id": "scheduled"}))
        .await;
    assert_eq!(canceled["state"], "canceled");
    assert_eq!(session.done("next").await["state"], "skipped");
    for (params, pointer) in [
        (
            json!({"startBefore": "2020-01-01T00:00:00.000Z"}),
            "/startBefore",
        ),
        (
            json!({"startAt": "2100-01-02T00:00:00.000Z", "startBefore": "2100-01-01T00:00:00.000Z"}),
            "/startBefore",
        ),
        (
            json!({"retry": {"maxAttempts": 0, "initialMs": 1, "factor": 1, "maxMs": 1}}),
            "/retry/maxAttempts",
        ),
    ] {
        let mut params = params;
        params["methodName"] = "diagnostic.noop".into();
        let error = session.error("operations.register", params).await;
        assert_eq!(error["data"]["faults"][0]["pointer"], pointer, "{error}");
    }
    let params = json!({"methodName": "diagnostic.noop", "lease": "1.1"});
    let error = session.error("operations.register", params).await;
    assert_eq!(error["data"]["reason"], "staleLease");
}

/// §8: an error that is not retryable ends it, however many attempts there may be.
#[tokio::test]
async fn an_error_that_repeating_does_not_help_ends_at_once() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let retry = json!({"maxAttempts": 2, "initialMs": 1, "factor": 2, "maxMs": 5});
    let params = json!({
        "methodName": "storage.deleteImage", "id": "a", "retry": retry,
        "kwargs": {"image": "nobody"},
    });
    session.ok("operations.register", params).await;
    let record = session.done("a").await;
    assert_eq!(record["state"], "failed");
    assert_eq!(record["maxAttempts"], 2);
    assert_eq!(record["attempt"], 1, "{record}");
}
