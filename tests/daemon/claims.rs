//! Protocol §8 over the wire: the table, several claims, canceling.

use serde_json::{Value, json};

use crate::program::Home;
use crate::session::{claim, events, hold};

const OPERATIONS: [&str; 4] = ["create", "read", "update", "delete"];

/// The table of §8: outstanding by row, new by column.
const TABLE: [(&str, [&str; 4]); 4] = [
    ("create", ["reject", "postpone", "postpone", "postpone"]),
    ("read", ["postpone", "accept", "postpone", "postpone"]),
    ("update", ["postpone", "accept", "postpone", "postpone"]),
    ("delete", ["postpone", "reject", "reject", "reject"]),
];

/// §8: all sixteen cells; what is postponed starts by itself when what it waited for is done.
#[tokio::test]
async fn the_table_of_claims() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for (outstanding, row) in TABLE {
        for (new, verdict) in OPERATIONS.into_iter().zip(row) {
            let cell = format!("{outstanding} then {new}");
            let first = format!("{cell}: first");
            let second = format!("{cell}: second");
            session
                .hold(&first, json!([claim(&cell, outstanding)]))
                .await;
            let reasons = json!([{"cause": "resource", "resource": {"type": "thing", "id": cell},
                "operation": outstanding, "blockedBy": [first]}]);
            let params = hold(&second, json!([claim(&cell, new)]));
            if verdict == "reject" {
                let error = session.error("operations.register", params).await;
                assert_eq!(error["code"], 1001, "{cell}");
                assert_eq!(error["data"]["reasons"], reasons, "{cell}");
                continue;
            }
            let registration = session.ok("operations.register", params).await;
            if verdict == "accept" {
                assert_eq!(registration["response"], "accepted", "{cell}");
                continue;
            }
            assert_eq!(registration["response"], "postponed", "{cell}");
            assert_eq!(registration["reasons"], reasons, "{cell}");
            assert_eq!(session.get(&second).await["reasons"], reasons, "{cell}");
            session.ok("operations.cancel", json!({"id": first})).await;
            let params = json!({"ids": [second], "until": "change",
                "after": registration["cursor"].as_u64().unwrap() + 1});
            let waited = session.ok("operations.wait", params).await;
            assert_eq!(waited["operations"][0]["state"], "running", "{cell}");
        }
    }
}

/// §8: one reject rejects the whole request, else one postpone postpones it. `conflict.reasons`
/// holds only the rejecting ones, `Registration.reasons` only the postponing ones.
#[tokio::test]
async fn several_claims_are_judged_together() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("d", json!([claim("x", "delete")])).await;
    session.hold("u", json!([claim("y", "update")])).await;
    let both = json!([claim("x", "update"), claim("y", "update")]);
    let error = session.error("operations.register", hold("n", both)).await;
    let reasons = error["data"]["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{error}");
    assert_eq!(reasons[0]["resource"]["id"], "x");
    assert_eq!(
        (&error["data"]["reason"], &error["data"]["retryable"]),
        (&json!("conflict"), &json!(false))
    );
    let both = json!([
        claim("z", "update"),
        claim("y", "read"),
        claim("y", "delete")
    ]);
    let registration = session.hold("n", both).await;
    assert_eq!(registration["reasons"].as_array().unwrap().len(), 1);
    assert_eq!(registration["reasons"][0]["blockedBy"], json!(["u"]));
    let claims = session.get("n").await["claims"].clone();
    assert!(
        claims.as_array().unwrap().contains(&claim("y", "delete")),
        "the strongest counts: {claims}"
    );
}

/// §8: After `[delete, create]` an update waits for both; a second create is rejected.
#[tokio::test]
async fn only_the_last_create_or_delete_rejects() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("d", json!([claim("x", "delete")])).await;
    session.hold("c", json!([claim("x", "create")])).await;
    let update = session.hold("u", json!([claim("x", "update")])).await;
    let blockers: Vec<_> = update["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| (reason["operation"].as_str().unwrap(), &reason["blockedBy"]))
        .collect();
    assert!(blockers.contains(&("delete", &json!(["d"]))), "{update}");
    assert!(blockers.contains(&("create", &json!(["c"]))), "{update}");
    let again = hold("c2", json!([claim("x", "create")]));
    let error = session.error("operations.register", again).await;
    assert_eq!(error["data"]["reasons"][0]["blockedBy"], json!(["c"]));
    for id in ["d", "c"] {
        assert_eq!(session.get("u").await["state"], "waiting");
        session.ok("operations.cancel", json!({"id": id})).await;
        session.done(id).await;
    }
    let alerts = session.read_all("*.u", 0).await;
    assert_eq!(events(&alerts)[..2], ["registered", "postponed"]);
    let params =
        json!({"ids": ["u"], "until": "change", "after": update["cursor"].as_u64().unwrap() + 1});
    let waited = session.ok("operations.wait", params).await;
    assert_eq!(waited["operations"][0]["state"], "running");
}

/// §2, Reason: `blockedBy` holds the 16 oldest blockers in registration order, `more: true` if
/// there are others.
#[tokio::test]
async fn of_many_blockers_the_oldest_are_named() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..20 {
        session
            .hold(&format!("r{index:02}"), json!([claim("x", "read")]))
            .await;
    }
    let registration = session.hold("u", json!([claim("x", "update")])).await;
    let expected: Vec<_> = (0..16).map(|index| format!("r{index:02}")).collect();
    assert_eq!(registration["reasons"][0]["blockedBy"], json!(expected));
    assert_eq!(registration["reasons"][0]["more"], true);
}

/// §8, Cancel: a waiting one at once; repeating it answers the same; one that is done is
/// `operationEnded` with its state; nobody's id is `operationNotFound`.
#[tokio::test]
async fn canceling_and_canceling_again() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("first", json!([claim("x", "update")])).await;
    session.hold("second", json!([claim("x", "update")])).await;
    let params = json!({"id": "second"});
    let canceled = session.ok("operations.cancel", params.clone()).await;
    assert_eq!(
        (&canceled["state"], &canceled["done"]),
        (&json!("canceled"), &json!(true))
    );
    assert_eq!(canceled["attempt"], 0, "it never started");
    let again = session.ok("operations.cancel", params).await;
    assert_eq!(again, canceled);
    let params = json!({"id": "first"});
    let canceling = session.ok("operations.cancel", params.clone()).await;
    let state = canceling["state"].as_str().unwrap();
    assert!(["canceling", "canceled"].contains(&state), "{canceling}");
    let ended = session.done("first").await;
    assert_eq!(ended["state"], "canceled");
    let again = session.ok("operations.cancel", params).await;
    assert_eq!(again["state"], "canceled");
    let alerts = session.read_all("*.first", 0).await;
    let told: Vec<&str> = events(&alerts)
        .into_iter()
        .filter(|event| *event != "progress")
        .collect();
    assert_eq!(told, ["registered", "started", "canceling", "canceled"]);
    session.noop("n").await;
    session.done("n").await;
    let error = session.error("operations.cancel", json!({"id": "n"})).await;
    assert_eq!(error["code"], 1003);
    assert_eq!(
        error["data"],
        json!({"reason": "operationEnded", "retryable": false, "state": "completed"})
    );
    let error = session
        .error("operations.cancel", json!({"id": "nobody"}))
        .await;
    assert_eq!(error["data"]["reason"], "operationNotFound");
}

/// §8: A postponed operation starts by itself when all that it waited for are done, also across
/// kill -9, and a mass wake-up leaves nobody behind.
#[tokio::test]
async fn a_mass_of_waiting_ones_starts_across_a_restart() {
    const COUNT: usize = 1_500;
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("create", json!([claim("x", "create")])).await;
    for index in 0..COUNT {
        let params = json!({"methodName": "diagnostic.noop", "id": format!("r{index}"),
            "claims": [claim("x", "read")]});
        session
            .send("operations.register", &params.to_string())
            .await;
    }
    for _ in 0..COUNT {
        let answer: Value = serde_json::from_str(&session.receive().await.unwrap()).unwrap();
        assert_eq!(answer["result"]["response"], "postponed", "{answer}");
    }
    session
        .send("operations.cancel", r#"{"id":"create"}"#)
        .await;
    session.receive().await.unwrap();
    // Somewhere between the first and the last of those that wake up.
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.done("create").await;
    let params = json!({"filter": "diagnostic.task.r*", "timeoutMs": 60_000});
    assert_eq!(
        session.ok("operations.wait", params).await["timedOut"],
        false
    );
    let status = session.ok("system.status", json!({})).await;
    assert_eq!(status["counts"]["completed"], COUNT, "{}", status["counts"]);
    assert_eq!(status["counts"]["waiting"], 0);
}
