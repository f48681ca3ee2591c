//! What is told of a flow and its steps by everything that reads.

use serde_json::{Value, json};

use crate::played::{chain, flow, in_state, lease, played, step};
use crate::program::Home;
use crate::session::events;

#[tokio::test]
async fn a_step_is_done_when_its_flow_is() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = chain();
    let registered = manager.ok("flows.register", flow(steps)).await;
    assert_eq!(registered["response"], "accepted", "{registered}");
    let first = agent.execute("f.a").await;
    agent.complete(&first).await;
    let second = agent.execute("f.b").await;
    let record = manager.get("f.a").await;
    assert_eq!(
        (&record["state"], &record["done"]),
        (&json!("completed"), &json!(false))
    );
    let tasks = manager.ok("getRunningTasks", json!({})).await;
    let ids: Vec<&Value> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| &task["id"])
        .collect();
    assert_eq!(ids, ["f", "f.a", "f.b"]);
    assert_eq!(
        tasks[0],
        json!({"id": "f", "methodName": "flow.played", "kwargs": {}})
    );
    let wait = json!({"ids": ["f.a"], "timeoutMs": 0});
    assert_eq!(manager.ok("operations.wait", wait).await["timedOut"], true);
    let dismiss = json!({"ids": ["f.a"]});
    assert_eq!(
        manager.ok("operations.dismiss", dismiss).await["dismissed"],
        0
    );
    let running = manager.get("f").await;
    assert_eq!(
        running["operationInfo"]["stage"],
        json!({"number": 1, "total": 2})
    );
    assert_eq!(
        (&running["subsystem"], &running["weight"]),
        (&json!("flow"), &json!(0))
    );
    agent.complete(&second).await;
    let flow = manager.done("f").await;
    assert_eq!(flow["result"], Value::Null);
    let steps = manager.ok("operations.list", json!({"parent": "f"})).await;
    let done: Vec<&Value> = steps["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["done"])
        .collect();
    assert_eq!(done, [true, true]);
    let all = json!({"ids": ["f", "f.a", "f.b"]});
    assert_eq!(manager.ok("operations.dismiss", all).await["dismissed"], 3);
}

/// §3, `operations.dismiss`: a flow goes with its steps, and these never without it; then its id is
/// new again.
#[tokio::test]
async fn a_flow_is_dismissed_with_its_steps() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = chain();
    let request = flow(steps);
    manager.ok("flows.register", request.clone()).await;
    for id in ["f.a", "f.b"] {
        let lease = agent.execute(id).await;
        agent.complete(&lease).await;
    }
    let done = manager.done("f").await;
    let by = |params: Value| ("operations.dismiss", params);
    let before = json!({"finishedBefore": done["finishedAt"]});
    for (method, params) in [by(json!({"ids": ["f.a", "f.b"]})), by(before)] {
        assert_eq!(manager.ok(method, params).await["dismissed"], 0);
    }
    let again = manager.ok("flows.register", request.clone()).await;
    assert_eq!(again["existing"], true, "{again}");
    let (method, params) = by(json!({"ids": ["f"]}));
    assert_eq!(manager.ok(method, params).await["dismissed"], 3);
    let gone = manager.error("operations.get", json!({"id": "f.a"})).await;
    assert_eq!(gone["data"]["reason"], "operationNotFound");
    let new = manager.ok("flows.register", request).await;
    assert_eq!(new["existing"], false, "{new}");
    for id in ["f.a", "f.b"] {
        let lease = agent.execute(id).await;
        agent.complete(&lease).await;
    }
    manager.done("f").await;
    let all = json!({"finishedBefore": "2100-01-01T00:00:00.000Z", "states": ["completed"]});
    assert_eq!(manager.ok("operations.dismiss", all).await["dismissed"], 3);
}

/// Every change is an alert of its own: of the steps by their own names, of the flow by its.
#[tokio::test]
async fn a_flow_and_its_steps_are_told_of() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    manager.ok("alerts.subscribe", json!({"filter": "*"})).await;
    let steps = chain();
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    agent.complete(&first).await;
    let second = agent.execute("f.b").await;
    agent.fail(&second, "no").await;
    let failed = agent.revert("f.b").await;
    agent.fail(lease(&failed), "in use").await;
    in_state(&mut manager, "f", "revertFailed").await;
    manager.ok("operations.skip", json!({"id": "f.b"})).await;
    let completed = agent.revert("f.a").await;
    agent.reverted(&completed).await;
    let alerts = manager.alerts_until_event("f", "reverted").await;
    let of = |id: &str| {
        let mine = alerts.iter().filter(|alert| alert["operationId"] == id);
        mine.cloned().collect::<Vec<Value>>()
    };
    assert_eq!(
        events(&of("f.a")),
        [
            "registered",
            "started",
            "completed",
            "reverting",
            "reverted"
        ]
    );
    let step = of("f.b");
    let told = [
        "registered",
        "postponed",
        "started",
        "failed",
        "reverting",
        "revertFailed",
        "reverted",
    ];
    assert_eq!(events(&step), told);
    assert_eq!(
        (&step[0]["parent"], &step[0]["alertName"]),
        (&json!("f"), &json!("agent.task.f.b"))
    );
    let flow = of("f");
    let states: Vec<&str> = events(&flow)
        .into_iter()
        .filter(|event| *event != "progress")
        .collect();
    assert_eq!(
        states,
        [
            "registered",
            "started",
            "reverting",
            "revertFailed",
            "reverting",
            "reverted"
        ]
    );
    assert!(flow.iter().all(|alert| alert["alertName"] == "flow.task.f"));
}

/// A flow can be a child, and be waited for like any operation.
#[tokio::test]
async fn a_flow_is_registered_by_an_attempt_and_followed() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let parent = json!({"methodName": "agent.make", "id": "parent"});
    manager.ok("operations.register", parent).await;
    let held = agent.execute("parent").await;
    let mut child = flow(json!([step("a", "agent.make", &[])]));
    child["lease"] = json!(held);
    agent.session.ok("flows.register", child).await;
    let next = json!({"methodName": "agent.make", "id": "next", "after": [{"id": "f"}]});
    manager.ok("operations.register", next).await;
    let lease = agent.execute("f.a").await;
    assert_eq!(manager.get("parent").await["spawnedTasks"], json!(["f"]));
    assert_eq!(manager.get("f").await["parent"], "parent");
    agent.complete(&lease).await;
    agent.execute("next").await;
}
