//! Flows over the end of the daemon: a revert that ran is gone on with or handed out again.

use serde_json::{Value, json};

use crate::attached::{Attached, operation, with};
use crate::played::{chain, flow, lease, played, step};
use crate::program::Home;

fn methods() -> Value {
    json!([with(operation("agent.make"), json!({"revertible": true}))])
}

/// Kills the daemon while `f.a` is reverted. Answers the assignment.
async fn killed_while_reverting(home: &Home) -> Value {
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let steps = chain();
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    agent.complete_with(&first, json!({"made": 1})).await;
    let second = agent.execute("f.b").await;
    agent.fail(&second, "no").await;
    let failed = agent.revert("f.b").await;
    agent.reverted(&failed).await;
    let revert = agent.revert("f.a").await;
    daemon.kill();
    revert
}

#[tokio::test]
async fn a_revert_is_resumed_by_its_lease() {
    let home = Home::new();
    let revert = killed_while_reverting(&home).await;
    let daemon = home.start();
    let params = json!({"executor": "agent", "methods": methods(), "resume": [lease(&revert)]});
    let mut agent = Attached::attach(&daemon, params).await;
    assert_eq!(agent.answer["accepted"], json!([lease(&revert)]));
    agent.reverted(&revert).await;
    let flow = daemon.connect().await.done("f").await;
    assert_eq!(flow["state"], "reverted");
}

#[tokio::test]
async fn a_revert_that_nobody_resumes_is_handed_out_again() {
    let home = Home::new();
    let revert = killed_while_reverting(&home).await;
    let daemon = home.start();
    let mut agent = Attached::new(&daemon, "agent", methods()).await;
    let again = agent.revert("f.a").await;
    assert_ne!(lease(&again), lease(&revert));
    for member in ["kwargs", "result", "failures"] {
        assert_eq!(again[member], revert[member], "{member}");
    }
    agent.reverted(&again).await;
    let mut manager = daemon.connect().await;
    assert_eq!(manager.done("f").await["state"], "reverted");
    let alerts = manager.read_all("agent.task.f.a", 0).await;
    assert!(alerts.iter().any(|alert| alert["event"] == "retrying"));
}

/// What a step was handed is the same after a restart, results of other steps included.
#[tokio::test]
async fn results_outlive_the_daemon() {
    let home = Home::new();
    let daemon = home.start();
    let (mut agent, mut manager) = played(&daemon).await;
    let kwargs = json!({"from": {"$result": "a#/made"}});
    let taking = json!({"name": "b", "methodName": "agent.make", "kwargs": kwargs});
    let steps = json!([
        step("a", "agent.make", &[]),
        step("c", "agent.make", &["a"]),
        taking
    ]);
    manager.ok("flows.register", flow(steps)).await;
    let first = agent.execute("f.a").await;
    // Somebody leaves, so that what comes next waits for the next daemon.
    let params = json!({"capacity": 0});
    agent.say("executors.capacity", params).await;
    agent
        .complete_with(&first, json!({"made": [1, {"x": null}]}))
        .await;
    daemon.kill();
    let daemon = home.start();
    let params = json!({"executor": "agent", "methods": methods(), "capacity": 2});
    let mut agent = Attached::attach(&daemon, params).await;
    let other = agent.execute("f.c").await;
    let bound = agent.assigned("execute").await;
    assert_eq!(bound["kwargs"], json!({"from": [1, {"x": null}]}));
    agent.complete(&other).await;
    agent.complete(lease(&bound)).await;
    let flow = daemon.connect().await.done("f").await;
    assert_eq!(flow["state"], "completed");
}
