//! What `flows.register` refuses: each with the place and what is allowed, and nothing is stored.

use serde_json::{Value, json};

use crate::attached::with;
use crate::played::{flow, played, step};
use crate::program::Home;

fn taking(kwargs: Value) -> Value {
    let steps = [
        step("a", "agent.make", &[]),
        json!({"name": "b", "methodName": "agent.make", "kwargs": kwargs}),
    ];
    flow(json!(steps))
}

/// Each request with the pointers of its faults and a word of what it is told.
fn refused() -> Vec<(Value, &'static [&'static str], &'static str)> {
    let (a, b) = (
        step("a", "agent.make", &[]),
        step("b", "agent.make", &["a"]),
    );
    let long = step(&"x".repeat(201), "agent.make", &[]);
    vec![
        (flow(json!([])), &["/steps"], "at least one step"),
        (flow(json!([a, a])), &["/steps/1/name"], "step 0"),
        (flow(json!([b])), &["/steps/0/requires/0"], "\"a\""),
        (
            flow(json!([step("a", "agent.make", &["b"]), b])),
            &["/steps/0/requires"],
            "in a circle: a",
        ),
        (
            flow(json!([step("a", "agent.make", &["a"])])),
            &["/steps/0/requires"],
            "in a circle: a",
        ),
        (
            flow(json!([step("", "agent.make", &[])])),
            &["/steps/0/name"],
            "1 to 200",
        ),
        (flow(json!([long])), &["/steps/0/name"], "1 to 200"),
        (
            flow(json!([a, step("b", "agent.nonsense", &[])])),
            &["/steps/1/methodName"],
            "agent.nonsense",
        ),
        (
            flow(json!([with(a, json!({"version": 7}))])),
            &["/steps/0/version"],
            "7",
        ),
        (
            flow(json!([{"name": "a", "methodName": "agent.sized", "kwargs": {"size": "x"}}])),
            &["/steps/0/kwargs/size"],
            "want integer",
        ),
        (
            taking(json!({"x": {"$result": "c"}})),
            &["/steps/1/kwargs/x"],
            "\"c\"",
        ),
        (
            taking(json!({"x": {"$result": 5}})),
            &["/steps/1/kwargs/x"],
            "string",
        ),
        (
            taking(json!({"x": {"$result": "a", "y": 1}})),
            &["/steps/1/kwargs/x"],
            "$result",
        ),
        (
            taking(json!({"x": [{"$result": "a#no/slash"}]})),
            &["/steps/1/kwargs/x/0"],
            "pointer",
        ),
        // Two faults of one place.
        (
            flow(json!([
                {"name": "a", "methodName": "storage.createImage", "kwargs": {"image": "a", "sizeByte": 1}},
            ])),
            &["/steps/0/kwargs", "/steps/0/kwargs"],
            "",
        ),
        // What the schema, the declaration and the flow itself have against it, at once.
        (
            flow(json!([
                {"name": "a", "methodName": "agent.sized", "kwargs": {"size": "big"}},
                step("b", "agent.nonsense", &["x"]),
            ])),
            &[
                "/steps/0/kwargs/size",
                "/steps/1/methodName",
                "/steps/1/requires/0",
            ],
            "",
        ),
        // All at once.
        (
            flow(json!([step("a", "agent.nonsense", &["x", "y"])])),
            &[
                "/steps/0/methodName",
                "/steps/0/requires/0",
                "/steps/0/requires/1",
            ],
            "",
        ),
    ]
}

#[tokio::test]
async fn bad_flows_are_refused_whole_with_every_fault() {
    let home = Home::new();
    let daemon = home.start();
    let (_agent, mut manager) = played(&daemon).await;
    let before = manager.head().await;
    for (request, pointers, told) in refused() {
        let error = manager.error("flows.register", request.clone()).await;
        let mut found: Vec<&str> = error["data"]["faults"]
            .as_array()
            .unwrap_or_else(|| panic!("{request}: {error}"))
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, pointers, "{request}: {error}");
        assert_eq!(error["code"], -32602, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(told), "{request}: {message}");
    }
    let list = manager.ok("operations.list", json!({})).await;
    assert_eq!(list["operations"], json!([]), "nothing is half stored");
    assert_eq!(manager.head().await, before);
}

#[tokio::test]
async fn too_many_steps_are_refused() {
    let home = Home::new();
    let daemon = home.start();
    let (_agent, mut manager) = played(&daemon).await;
    let steps: Vec<Value> = (0..=10_000)
        .map(|number| json!({"name": number.to_string(), "methodName": "agent.make"}))
        .collect();
    let error = manager.error("flows.register", flow(json!(steps))).await;
    assert_eq!(error["data"]["faults"][0]["pointer"], "/steps", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("10000"), "{message}");
    let status = manager.ok("system.status", json!({})).await;
    assert_eq!(status["limits"]["flowSteps"], 10_000);
}

/// What a registration can be refused for, a flow can too.
#[tokio::test]
async fn a_flow_is_a_registration() {
    let home = Home::new();
    let daemon = home.start();
    let (_agent, mut manager) = played(&daemon).await;
    let steps = json!([step("a", "agent.make", &[])]);
    let request = |members| with(flow(steps.clone()), members);
    for (members, reason) in [
        (json!({"after": [{"id": "nobody"}]}), "operationNotFound"),
        (json!({"lease": "1.1"}), "staleLease"),
        (json!({"id": ""}), "invalidParams"),
        (json!({"name": ""}), "invalidParams"),
        (json!({"id": "x".repeat(201)}), "invalidParams"),
        (json!({"tags": [""]}), "invalidParams"),
    ] {
        let error = manager
            .error("flows.register", request(members.clone()))
            .await;
        assert_eq!(error["data"]["reason"], reason, "{members}: {error}");
    }
    let steps =
        json!([{"name": "a", "methodName": "storage.deleteImage", "kwargs": {"image": "i"}}]);
    let hold = json!({"id": "holds", "methodName": "diagnostic.wait",
        "claims": [{"type": "image", "id": "i", "operation": "delete"}]});
    manager.ok("operations.register", hold).await;
    let deletes = json!({"name": "f", "steps": steps});
    let conflict = manager.error("flows.register", deletes).await;
    assert_eq!(conflict["data"]["reason"], "conflict", "{conflict}");
}
