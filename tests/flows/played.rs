//! Flows whose steps an attached executor carries out and reverts, played by hand: what it is told,
//! in which order, and what becomes of what it answers.

use serde_json::{Value, json};

use crate::attached::{Attached, operation, with};
use crate::program::{Daemon, Home};
use crate::session::Session;

/// A step of the played executor.
pub(crate) fn step(name: &str, method: &str, requires: &[&str]) -> Value {
    json!({"name": name, "methodName": method, "kwargs": {"of": name}, "requires": requires})
}

/// Two steps, `b` behind `a`.
pub(crate) fn chain() -> Value {
    json!([
        step("a", "agent.make", &[]),
        step("b", "agent.make", &["a"])
    ])
}

/// A flow of these steps, with the id `f`.
pub(crate) fn flow(steps: Value) -> Value {
    json!({"id": "f", "name": "played", "steps": steps})
}

/// A daemon with an executor of revertible, cancelable steps, and of some that are not.
pub(crate) async fn played(daemon: &Daemon) -> (Attached, Session) {
    let revertible = json!({"revertible": true, "cancelable": true});
    let schema = json!({"properties": {"size": {"type": "integer"}}});
    let methods = json!([
        with(operation("agent.make"), revertible.clone()),
        with(operation("agent.keep"), json!({"cancelable": true})),
        with(
            with(operation("agent.sized"), revertible),
            json!({"kwargsSchema": schema})
        ),
    ]);
    let params = json!({"executor": "agent", "methods": methods, "capacity": 8});
    let agent = Attached::attach(daemon, params).await;
    (agent, daemon.connect().await)
}

impl Attached {
    /// The next assignment, which is to revert this operation.
    pub(crate) async fn revert(&mut self, id: &str) -> Value {
        let assignment = self.assigned("revert").await;
        assert_eq!(assignment["operationId"], id, "{assignment}");
        assignment
    }

    pub(crate) async fn complete_with(&mut self, lease: &str, result: Value) {
        let params = json!({"lease": lease, "result": result});
        self.say("executors.complete", params).await;
    }

    pub(crate) async fn fail(&mut self, lease: &str, message: &str) {
        let error = json!({"code": 3123, "message": message, "data": {"why": message}});
        let params = json!({"lease": lease, "error": error});
        self.say("executors.fail", params).await;
    }

    /// Says that what is assigned is reverted.
    pub(crate) async fn reverted(&mut self, assignment: &Value) {
        self.complete_with(lease(assignment), Value::Null).await;
    }
}

pub(crate) fn lease(assignment: &Value) -> &str {
    assignment["lease"].as_str().unwrap()
}

/// Waits until an operation is in this state, or until it is told that it never will be.
pub(crate) async fn in_state(session: &mut Session, id: &str, state: &str) -> Value {
    loop {
        let record = session.get(id).await;
        if record["state"] == state {
            return record;
        }
        assert_eq!(record["done"], false, "{record}");
        let change = json!({"ids": [id], "until": "change", "after": record["cursor"]});
        let answer = session.ok("operations.wait", change).await;
        assert_eq!(answer["timedOut"], false, "{answer}");
    }
}

/// §6, results: whole, by pointer, nested, numbers as they are; the record keeps what was asked.
#[tokio::test]
async fn results_become_kwargs() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let kwargs = json!({
        "path": {"$result": "a#/disk/path"},
        "whole": {"$result": "a"},
        "list": [1, {"deep": {"$result": "a#/list/1"}}],
        "as it is": {"$result": "a#/a~1b"},
    });
    let taking = json!({"name": "b", "methodName": "agent.make", "kwargs": kwargs});
    let steps = json!([step("a", "agent.make", &[]), taking]);
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    let waits = manager.get("f.b").await;
    assert_eq!(waits["reasons"][0]["cause"], "dependency", "{waits}");
    assert_eq!(waits["reasons"][0]["blockedBy"], json!(["f.a"]), "{waits}");
    let result = r#"{"disk":{"path":"/x"},"list":[0,18446744073709551615],"a/b":1.0}"#;
    let params = format!(r#"{{"lease":"{first}","result":{result}}}"#);
    agent.session.call_text("executors.complete", &params).await;
    let told = agent.session.pushed_text().await;
    let expected = format!(
        r#""kwargs":{{"as it is":1.0,"list":[1,{{"deep":18446744073709551615}}],"path":"/x","whole":{result}}}"#
    );
    assert!(told.contains(&expected), "{told}");
    let assignment: Value = serde_json::from_str(&told).unwrap();
    agent.complete(lease(&assignment["params"])).await;
    assert_eq!(manager.done("f").await["state"], "completed");
    assert_eq!(manager.get("f.b").await["kwargs"], kwargs);
}

/// §6 and §7: in reverse order, the failed one included, with all that a revert is to know.
#[tokio::test]
async fn what_ran_is_reverted_in_reverse() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = json!([
        step("a", "agent.make", &[]),
        step("b", "agent.make", &["a"]),
        step("c", "agent.make", &["b"]),
        step("never", "agent.make", &["c"]),
    ]);
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    agent.complete_with(&first, json!({"made": 1})).await;
    let second = agent.execute("f.b").await;
    agent.complete_with(&second, Value::Null).await;
    let third = agent.execute("f.c").await;
    agent.fail(&third, "no room").await;

    let failed = agent.revert("f.c").await;
    assert_eq!(failed["kwargs"], json!({"of": "c"}));
    assert_eq!(
        (&failed["methodName"], &failed["attempt"]),
        (&json!("agent.make"), &json!(2))
    );
    let error = json!({"code": 3123, "message": "no room", "data": {"why": "no room"}});
    assert_eq!(failed["error"], error);
    assert!(failed.get("result").is_none(), "{failed}");
    let failure = with(json!({"step": "c", "operationId": "f.c"}), error);
    assert_eq!(failed["failures"], json!([failure]));
    assert_ne!(lease(&failed), third, "a lease of its own");
    let stale = json!({"lease": third, "result": 1});
    let stale = agent.session.error("executors.complete", stale).await;
    assert_eq!(stale["data"]["reason"], "staleLease");
    assert_eq!(manager.get("f.never").await["state"], "skipped");
    assert_eq!(manager.get("f").await["state"], "reverting");
    agent.reverted(&failed).await;

    let completed = agent.revert("f.b").await;
    assert_eq!(completed["result"], Value::Null);
    assert!(completed.as_object().unwrap().contains_key("result"));
    assert!(completed.get("error").is_none(), "{completed}");
    agent.reverted(&completed).await;
    let first = agent.revert("f.a").await;
    assert_eq!(first["result"], json!({"made": 1}));
    assert_eq!(first["failures"], json!([failure]));
    assert_eq!(manager.get("f.b").await["done"], false);
    agent.reverted(&first).await;

    let flow = manager.done("f").await;
    assert_eq!(
        (&flow["state"], &flow["error"]["code"]),
        (&json!("reverted"), &json!(3123))
    );
    for (step, state) in [("a", "reverted"), ("c", "reverted"), ("never", "skipped")] {
        let record = manager.get(&format!("f.{step}")).await;
        assert_eq!(
            (&record["state"], &record["done"]),
            (&json!(state), &json!(true))
        );
    }
    assert_eq!(manager.get("f.a").await["result"], json!({"made": 1}));
}

/// §6: what cannot be reverted stays as it is and is named; it holds up nobody.
#[tokio::test]
async fn what_is_not_revertible_is_passed_over() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = json!([
        step("a", "agent.make", &[]),
        step("b", "agent.keep", &["a"]),
        step("c", "agent.keep", &["b"]),
    ]);
    manager.ok("flows.register", flow(steps)).await;
    for id in ["f.a", "f.b"] {
        let lease = agent.execute(id).await;
        agent.complete(&lease).await;
    }
    let last = agent.execute("f.c").await;
    agent.fail(&last, "no").await;
    let first = agent.revert("f.a").await;
    agent.reverted(&first).await;
    let flow = manager.done("f").await;
    assert_eq!(
        flow["error"]["data"]["notReverted"],
        json!(["b", "c"]),
        "{flow}"
    );
    assert_eq!(flow["error"]["data"]["why"], "no", "{flow}");
    assert_eq!(manager.get("f.b").await["state"], "completed");
    assert_eq!(manager.get("f.c").await["state"], "failed");
}

/// §6: a revert that fails is told of; somebody retries, and in the end skips it.
#[tokio::test]
async fn a_stuck_flow_is_retried_and_skipped() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = chain();
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    agent.complete(&first).await;
    let second = agent.execute("f.b").await;
    agent.fail(&second, "no room").await;
    let revert = agent.revert("f.b").await;
    agent.fail(lease(&revert), "in use").await;

    let stuck = in_state(&mut manager, "f", "revertFailed").await;
    assert_eq!(
        (&stuck["error"]["code"], &stuck["done"]),
        (&json!(3123), &json!(false))
    );
    let reverts = json!([{"step": "b", "operationId": "f.b", "code": 3123, "message": "in use"}]);
    assert_eq!(stuck["error"]["data"]["reverts"], reverts, "{stuck}");
    assert_eq!(manager.get("f.b").await["state"], "revertFailed");
    let refused = manager
        .error("operations.retry", json!({"id": "f.a"}))
        .await;
    assert_eq!(refused["data"]["faults"][0]["pointer"], "/id", "{refused}");
    assert!(
        refused["message"].as_str().unwrap().contains("completed"),
        "{refused}"
    );

    let retried = manager.ok("operations.retry", json!({"id": "f.b"})).await;
    assert_eq!(retried["id"], "f.b", "{retried}");
    assert_eq!(manager.get("f").await["state"], "reverting");
    let again = agent.revert("f.b").await;
    assert_eq!(again["attempt"], 3);
    agent.fail(lease(&again), "still in use").await;
    in_state(&mut manager, "f", "revertFailed").await;
    let skipped = manager.ok("operations.skip", json!({"id": "f"})).await;
    assert_eq!(skipped["id"], "f", "{skipped}");
    let first = agent.revert("f.a").await;
    agent.reverted(&first).await;
    let flow = manager.done("f").await;
    assert_eq!(
        (&flow["state"], &flow["error"]["message"]),
        (&json!("reverted"), &json!("no room"))
    );
    assert!(flow["error"]["data"].get("reverts").is_none(), "{flow}");
    let over = manager.error("operations.skip", json!({"id": "f"})).await;
    assert_eq!(
        (&over["data"]["reason"], &over["data"]["state"]),
        (&json!("operationEnded"), &json!("reverted"))
    );
    let unknown = manager.error("operations.retry", json!({"id": "g"})).await;
    assert_eq!(unknown["data"]["reason"], "operationNotFound");
}

/// Two at once: by the flow's id for both.
#[tokio::test]
async fn both_reverts_that_failed_are_retried_by_the_flow() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = json!([step("a", "agent.make", &[]), step("b", "agent.make", &[])]);
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    let second = agent.execute("f.b").await;
    agent.fail(&first, "one").await;
    assert_eq!(
        manager.get("f").await["state"],
        "running",
        "a sibling is let finish"
    );
    agent.fail(&second, "two").await;
    for round in 0..2 {
        for _ in 0..2 {
            let revert = agent.assigned("revert").await;
            let steps = revert["failures"].as_array().unwrap().iter();
            let steps: Vec<&Value> = steps.map(|failure| &failure["step"]).collect();
            assert_eq!(steps, ["a", "b"], "in the order in which they failed");
            match round {
                0 => agent.fail(lease(&revert), "in use").await,
                _ => agent.reverted(&revert).await,
            }
        }
        if round == 0 {
            let stuck = in_state(&mut manager, "f", "revertFailed").await;
            let reverts = stuck["error"]["data"]["reverts"].as_array().unwrap().len();
            assert_eq!(reverts, 2, "{stuck}");
            manager.ok("operations.retry", json!({"id": "f"})).await;
        }
    }
    let flow = manager.done("f").await;
    assert_eq!(
        (&flow["state"], &flow["error"]["message"]),
        (&json!("reverted"), &json!("one"))
    );
}

/// §7: of many failures and long ones a revert is told what fits into a message.
#[tokio::test]
async fn what_a_revert_is_told_of_failures_is_bounded() {
    const STEPS: usize = 103;
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([with(operation("agent.make"), json!({"revertible": true}))]);
    let params = json!({"executor": "agent", "methods": methods, "capacity": STEPS});
    let mut agent = Attached::attach(&daemon, params).await;
    let mut manager = daemon.connect().await;
    let steps: Vec<_> = (0..STEPS)
        .map(|number| step(&format!("s{number}"), "agent.make", &[]))
        .collect();
    manager.ok("flows.register", flow(json!(steps))).await;
    let mut leases = Vec::new();
    for number in 0..STEPS {
        leases.push(agent.execute(&format!("f.s{number}")).await);
    }
    let long = "é".repeat(4_000);
    // The second does not fit any more, and takes away nothing of those behind it.
    let bytes = [900_000, 200_000];
    for (number, lease) in leases.iter().enumerate() {
        let data = "x".repeat(bytes.get(number).copied().unwrap_or(10));
        let error = json!({"code": 3123, "message": long, "data": {"is": data}});
        let params = json!({"lease": lease, "error": error});
        agent.say("executors.fail", params).await;
    }
    let revert = agent.assigned("revert").await;
    assert_eq!(revert["error"]["message"], long, "its own error is whole");
    let failures = revert["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 100);
    let short = format!("{}…", "é".repeat(512));
    for (number, failure) in failures.iter().enumerate() {
        assert_eq!(failure["step"], format!("s{number}"));
        assert_eq!(failure["message"], *short);
        assert_eq!(failure.get("data").is_some(), number != 1, "{number}");
    }
}

/// §6: canceling cancels what runs and reverts what ran; not twice, and no step alone.
#[tokio::test]
async fn a_canceled_flow_is_reverted() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = json!([
        step("a", "agent.make", &[]),
        step("b", "agent.make", &["a"]),
        step("c", "agent.make", &["b"]),
    ]);
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    agent.complete(&first).await;
    let second = agent.execute("f.b").await;
    for id in ["f.a", "f.b", "f.c"] {
        let alone = manager.error("operations.cancel", json!({"id": id})).await;
        assert_eq!(alone["data"]["reason"], "notCancelable", "{id}");
    }
    let canceling = manager.ok("operations.cancel", json!({"id": "f"})).await;
    assert_eq!(canceling["state"], "canceling", "{canceling}");
    let told = agent.assigned("cancel").await;
    assert_eq!(
        (&told["operationId"], lease(&told)),
        (&json!("f.b"), &*second)
    );
    agent
        .say("executors.canceled", json!({"lease": second}))
        .await;
    let canceled = agent.revert("f.b").await;
    assert_eq!(canceled["error"]["code"], 2005, "{canceled}");
    let late = manager.error("operations.cancel", json!({"id": "f"})).await;
    assert_eq!(late["data"]["reason"], "notCancelable");
    agent.reverted(&canceled).await;
    let first = agent.revert("f.a").await;
    agent.reverted(&first).await;
    let flow = manager.done("f").await;
    assert_eq!(
        (&flow["state"], &flow["error"]["code"]),
        (&json!("reverted"), &json!(2005))
    );
    assert_eq!(flow["operationInfo"]["lastError"]["code"], 2005);
    assert_eq!(manager.get("f.c").await["state"], "skipped");
}

/// A pointer that finds nothing, and kwargs that are wrong once they are known, fail the step: it
/// did not run, so it is not reverted.
#[tokio::test]
async fn kwargs_that_come_to_nothing_fail_the_step() {
    let taking = |from: &str| {
        let kwargs = json!({"size": {"$result": from}});
        json!({"name": "b", "methodName": "agent.sized", "kwargs": kwargs})
    };
    for (from, told) in [("a#/disk/size", "/disk/size"), ("a#/text", "/size")] {
        let home = Home::new();
        let daemon = home.start();
        let (mut agent, mut manager) = played(&daemon).await;
        let steps = json!([step("a", "agent.make", &[]), taking(from)]);
        manager.ok("flows.register", flow(steps)).await;
        let first = agent.execute("f.a").await;
        agent
            .complete_with(&first, json!({"text": "no number"}))
            .await;
        let revert = agent.revert("f.a").await;
        let failure = &revert["failures"][0];
        assert_eq!(failure["step"], "b", "{revert}");
        agent.reverted(&revert).await;
        let flow = manager.done("f").await;
        assert_eq!(flow["state"], "reverted");
        let failed = manager.get("f.b").await;
        assert_eq!(
            (&failed["state"], &failed["attempt"]),
            (&json!("failed"), &json!(0))
        );
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
        assert_eq!(flow["error"]["message"], failed["error"]["message"]);
    }
}
