//! How many operations an executor carries out at a time.

use serde_json::{Value, json};

use crate::attached::{Attached, operation, register};
use crate::program::Home;

#[tokio::test]
async fn an_executor_takes_no_more_than_its_capacity_and_nothing_when_it_is_0() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([operation("vm.scan")])).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.scan", "a").await;
    let waiting = register(&mut manager, "vm.scan", "b").await;
    assert_eq!(
        waiting["reasons"],
        json!([{"cause": "executor", "detail": "busy"}])
    );
    let first = executor.execute("a").await;
    executor
        .say("executors.capacity", json!({"capacity": 2}))
        .await;
    let second = executor.execute("b").await;
    executor
        .say("executors.capacity", json!({"capacity": 0}))
        .await;
    executor.complete(&first).await;
    executor.complete(&second).await;
    // It leaves in order: nothing more is assigned, and another takes what is there.
    let waiting = register(&mut manager, "vm.scan", "c").await;
    assert_eq!(waiting["reasons"], json!([{"cause": "executor"}]));
    let executors = manager.ok("executors.list", json!({})).await;
    let mut known = executors["executors"].as_array().unwrap().iter();
    let agent = known.find(|known| known["executor"] == "agent").unwrap();
    assert_eq!(
        (&agent["capacity"], &agent["running"]),
        (&json!(0), &json!(0))
    );
    let mut other = Attached::new(&daemon, "other", json!([operation("vm.scan")])).await;
    let lease = other.execute("c").await;
    other.complete(&lease).await;
    executor
        .say("executors.capacity", json!({"capacity": 1}))
        .await;
    drop(other);
    manager.executor_away("other").await;
    register(&mut manager, "vm.scan", "d").await;
    executor.execute("d").await;
}

/// Protocol §7: oldest first among what may run.
#[tokio::test]
async fn what_waited_is_assigned_oldest_first() {
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([operation("vm.scan"), operation("vm.check")]);
    drop(Attached::new(&daemon, "agent", methods.clone()).await);
    let mut manager = daemon.connect().await;
    manager.executor_away("agent").await;
    let ids = ["1", "2", "3", "4"];
    for (id, method) in ids
        .iter()
        .zip(["vm.scan", "vm.check", "vm.check", "vm.scan"])
    {
        let waiting = register(&mut manager, method, id).await;
        assert_eq!(waiting["reasons"], json!([{"cause": "executor"}]));
    }
    let mut executor = Attached::new(&daemon, "agent", methods).await;
    for id in ids {
        let lease = executor.execute(id).await;
        executor.complete(&lease).await;
    }
}

/// Who unsubscribes has left when the next call of its connection is taken up, answered or not.
#[tokio::test]
async fn who_leaves_may_attach_again_at_once_over_the_same_connection() {
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([operation("vm.scan")]);
    let mut executor = Attached::new(&daemon, "agent", methods.clone()).await;
    let attach = json!({"executor": "agent", "methods": methods}).to_string();
    for _ in 0..50 {
        let leave = json!({"subscription": executor.subscription}).to_string();
        let left = executor.session.send("alerts.unsubscribe", &leave).await;
        let attached = executor.session.send("executors.attach", &attach).await;
        executor.session.answer(left).await;
        let answer = executor.session.answer(attached).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let subscription = &answer["result"]["subscription"];
        assert!(subscription.is_string(), "{answer}");
        executor.subscription = subscription.as_str().unwrap().to_owned();
    }
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.scan", "a").await;
    let lease = executor.execute("a").await;
    executor.complete(&lease).await;
}
