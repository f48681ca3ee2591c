//! Queries: answered by an attached executor, and never stored.

use serde_json::{Value, json};

use crate::attached::{Attached, operation};
use crate::program::Home;

fn query(name: &str) -> Value {
    json!({
        "name": name, "kind": "query", "summary": "Answers.",
        "kwargsSchema": {"type": "object", "properties": {"x": {"type": "integer"}}},
    })
}

#[tokio::test]
async fn a_query_is_answered_by_its_executor() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([query("vm.ask")])).await;
    let mut manager = daemon.connect().await;
    let before = manager.head().await;

    let call = manager
        .send("vm.ask", r#"{"x":18446744073709551615}"#)
        .await;
    let asked = executor.assigned("query").await;
    assert_eq!(
        (&asked["methodName"], &asked["version"]),
        (&json!("vm.ask"), &json!(1))
    );
    assert_eq!(
        asked["kwargs"],
        json!({"x": 18_446_744_073_709_551_615_u64})
    );
    let params = json!({"queryId": asked["queryId"], "result": [1, null]});
    executor
        .session
        .ok("executors.answer", params.clone())
        .await;
    let answer: Value = serde_json::from_str(&manager.answer(call).await).unwrap();
    assert_eq!(answer["result"], json!([1, null]));
    let error = executor.session.error("executors.answer", params).await;
    assert_eq!(
        error["data"]["reason"], "staleLease",
        "it was answered before"
    );

    let call = manager.send("vm.ask", "{}").await;
    let asked = executor.assigned("query").await;
    let error = json!({"code": 3100, "message": "unknown", "data": {"y": 2}});
    let both = json!({"queryId": asked["queryId"], "result": 1, "error": error});
    let refused = executor.session.error("executors.answer", both).await;
    assert_eq!(refused["code"], -32602);
    let params = json!({"queryId": asked["queryId"], "error": error});
    executor.session.ok("executors.answer", params).await;
    let answer: Value = serde_json::from_str(&manager.answer(call).await).unwrap();
    assert_eq!(answer["error"], error);
    assert_eq!(manager.head().await, before, "nothing was stored");
}

#[tokio::test]
async fn a_query_that_nobody_can_answer_says_so() {
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([query("vm.ask"), operation("vm.start")]);
    let mut executor = Attached::new(&daemon, "agent", methods).await;
    let mut manager = daemon.connect().await;
    let faulty = manager.error("vm.ask", json!({"x": "no"})).await;
    assert_eq!(faulty["data"]["faults"][0]["pointer"], "/x");
    let registered = json!({"methodName": "vm.ask"});
    let error = manager.error("operations.register", registered).await;
    assert_eq!(error["code"], -32602);

    let call = manager.send("vm.ask", "{}").await;
    let asked = executor.assigned("query").await;
    let mut other = Attached::new(&daemon, "other", json!([operation("vm.other")])).await;
    let params = json!({"queryId": asked["queryId"], "result": 1});
    let error = other.session.error("executors.answer", params).await;
    assert_eq!(
        error["data"]["reason"], "staleLease",
        "it was another's query"
    );
    let params = json!({"queryId": "none", "result": 1});
    let malformed = other.session.error("executors.answer", params).await;
    assert_eq!(malformed["message"], error["message"]);
    // It leaves without an answer.
    drop(executor);
    let answer: Value = serde_json::from_str(&manager.answer(call).await).unwrap();
    assert_eq!(answer["error"]["data"]["reason"], "executorUnavailable");
    let error = manager.error("vm.ask", json!({})).await;
    assert_eq!(error["data"]["reason"], "executorUnavailable");
}
