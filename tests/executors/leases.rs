//! Leases: who may speak for an attempt, and what becomes of it when its executor is lost.

use serde_json::{Value, json};

use crate::attached::{Attached, operation, register, with};
use crate::program::Home;
use crate::session::Session;

fn again(name: &str) -> Value {
    with(
        operation(name),
        json!({"onInterrupt": "retry", "cancelable": true}),
    )
}

async fn assert_stale(session: &mut Session, lease: &str) {
    let calls = [
        ("executors.complete", json!({"lease": lease})),
        ("executors.canceled", json!({"lease": lease})),
        (
            "executors.fail",
            json!({"lease": lease, "error": {"code": 3000, "message": "x"}}),
        ),
        (
            "executors.update",
            json!({"lease": lease, "operationInfo": {"percentage": 1}}),
        ),
        (
            "executors.update",
            json!({"lease": lease, "nonFatalError": {"code": 1, "message": ""}}),
        ),
    ];
    for (method, params) in calls {
        let error = session.error(method, params).await;
        assert_eq!(error["data"]["reason"], "staleLease", "{method}");
    }
}

#[tokio::test]
async fn only_the_present_executor_speaks_for_an_attempt_and_only_until_its_end() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "one", json!([operation("vm.start")])).await;
    let mut other = Attached::new(&daemon, "two", json!([operation("vm.other")])).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.start", "s").await;
    let lease = executor.execute("s").await;
    let before = manager.get("s").await;
    assert_stale(&mut other.session, &lease).await;
    assert_stale(&mut manager, &lease).await;
    for wrong in ["", "nonsense", "1.1.1", "999999.1"] {
        assert_stale(&mut executor.session, wrong).await;
    }
    assert_eq!(manager.get("s").await, before, "nothing has changed");
    executor.complete(&lease).await;
    let done = manager.get("s").await;
    assert_stale(&mut executor.session, &lease).await;
    assert_eq!(manager.get("s").await, done);
}

#[tokio::test]
async fn an_executor_that_comes_back_goes_on_with_what_it_names() {
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([again("vm.again"), operation("vm.once")]);
    let params = json!({"executor": "agent", "methods": methods, "capacity": 3});
    let mut executor = Attached::attach(&daemon, params.clone()).await;
    let mut manager = daemon.connect().await;
    for (method, id) in [
        ("vm.again", "kept"),
        ("vm.again", "again"),
        ("vm.once", "once"),
    ] {
        register(&mut manager, method, id).await;
    }
    let kept = executor.execute("kept").await;
    let lost = executor.execute("again").await;
    let once = executor.execute("once").await;
    drop(executor);
    // Named twice, each is answered once.
    let resume = json!({"resume": [kept, "77.1", kept, "77.1"]});
    let mut executor = Attached::attach(&daemon, with(params, resume)).await;
    assert_eq!(executor.answer["accepted"], json!([kept]));
    assert_eq!(executor.answer["refused"], json!(["77.1"]));
    let failed = manager.done("once").await;
    assert_eq!(
        (&failed["state"], &failed["error"]["code"]),
        (&json!("failed"), &json!(2001))
    );
    let next = executor.execute("again").await;
    assert_ne!(next, lost);
    assert_stale(&mut executor.session, &lost).await;
    assert_stale(&mut executor.session, &once).await;
    executor.complete(&next).await;
    executor.complete(&kept).await;
    let done = manager.done("kept").await;
    assert_eq!(
        (&done["attempt"], &done["result"]["by"]),
        (&json!(1), &json!(kept))
    );
    assert_eq!(manager.done("again").await["attempt"], 2);
}

#[tokio::test]
async fn what_nobody_comes_back_for_is_interrupted_when_the_lease_is_over() {
    let home = Home::with("[limits]\nlease_ms = 50\n");
    let daemon = home.start();
    let methods = json!([again("vm.again"), operation("vm.once")]);
    let params = json!({"executor": "agent", "methods": methods, "capacity": 3});
    let mut executor = Attached::attach(&daemon, params.clone()).await;
    assert_eq!(executor.answer["leaseMs"], 50);
    let mut manager = daemon.connect().await;
    manager.ok("alerts.subscribe", json!({})).await;
    for (method, id) in [
        ("vm.again", "again"),
        ("vm.again", "canceling"),
        ("vm.once", "once"),
    ] {
        register(&mut manager, method, id).await;
        executor.execute(id).await;
    }
    manager
        .ok("operations.cancel", json!({"id": "canceling"}))
        .await;
    drop(executor);
    let failed = manager.done("once").await;
    assert_eq!(failed["error"]["data"]["reason"], "executorLost");
    assert_eq!(manager.done("canceling").await["state"], "canceled");
    manager.alerts_until_event("again", "retrying").await;
    let waiting = manager.get("again").await;
    assert_eq!(waiting["reasons"], json!([{"cause": "executor"}]));
    let mut executor = Attached::attach(&daemon, params).await;
    executor.execute("again").await;
}

/// Protocol §7: the fifth interruption ends it.
#[tokio::test]
async fn the_fifth_interruption_is_the_last() {
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([again("vm.again")]);
    let mut manager = daemon.connect().await;
    let mut executor = Attached::new(&daemon, "agent", methods.clone()).await;
    register(&mut manager, "vm.again", "a").await;
    for attempt in 1..=5 {
        let assignment = executor.assigned("execute").await;
        assert_eq!(assignment["attempt"], attempt);
        executor = Attached::new(&daemon, "agent", methods.clone()).await;
    }
    let failed = manager.done("a").await;
    assert_eq!(failed["error"]["data"]["reason"], "executorLost");
}

/// Protocol §7: who comes under the same name takes the place, and the first is closed.
#[tokio::test]
async fn a_second_connection_takes_the_place_of_the_first() {
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([again("vm.again")]);
    let mut first = Attached::new(&daemon, "agent", methods.clone()).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.again", "a").await;
    let lease = first.execute("a").await;
    let params = json!({"executor": "agent", "methods": methods, "resume": [lease]});
    let mut second = Attached::attach(&daemon, params).await;
    assert_eq!(second.answer["accepted"], json!([lease]));
    assert!(
        first.session.ws.receiver.receive_text().await.is_none(),
        "it is closed"
    );
    second.complete(&lease).await;
    let executors = manager.ok("executors.list", json!({})).await;
    let agents = executors["executors"].as_array().unwrap().iter();
    let agents: Vec<_> = agents
        .filter(|known| known["executor"] == "agent")
        .collect();
    assert_eq!(agents.len(), 1);
    assert_eq!(
        agents[0]["attached"], true,
        "the first one's leaving is not the second's"
    );
}

#[tokio::test]
async fn one_that_was_canceled_while_its_executor_was_away_is_told_when_it_is_back() {
    let home = Home::new();
    let daemon = home.start();
    let methods = json!([again("vm.again")]);
    let mut executor = Attached::new(&daemon, "agent", methods.clone()).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.again", "a").await;
    let lease = executor.execute("a").await;
    drop(executor);
    manager.executor_away("agent").await;
    let canceling = manager.ok("operations.cancel", json!({"id": "a"})).await;
    assert_eq!(canceling["state"], "canceling");
    let params = json!({"executor": "agent", "methods": methods, "resume": [lease]});
    let mut executor = Attached::attach(&daemon, params).await;
    let told = executor.assigned("cancel").await;
    assert_eq!(told["lease"], *lease);
    executor
        .say("executors.canceled", json!({"lease": lease}))
        .await;
    assert_eq!(manager.done("a").await["state"], "canceled");
}

/// Protocol §7: attempts outlive the daemon as they outlive the connection.
#[tokio::test]
async fn attempts_go_on_over_a_crash_of_the_daemon() {
    let home = Home::new();
    let daemon = home.start();
    let params = json!({
        "executor": "agent", "capacity": 2,
        "methods": [operation("vm.once"), operation("vm.twice")],
    });
    let mut executor = Attached::attach(&daemon, params.clone()).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.once", "kept").await;
    register(&mut manager, "vm.twice", "lost").await;
    let lease = executor.execute("kept").await;
    executor.execute("lost").await;
    daemon.kill();
    let daemon = home.start();
    let mut manager = daemon.connect().await;
    assert_eq!(manager.get("kept").await["state"], "running");
    // The method is known while its executor is away.
    let waiting = register(&mut manager, "vm.once", "waits").await;
    assert_eq!(waiting["reasons"][0]["cause"], "executor");
    let resume = json!({"resume": [lease]});
    let mut executor = Attached::attach(&daemon, with(params, resume)).await;
    assert_eq!(executor.answer["accepted"], json!([lease]));
    assert_eq!(manager.done("lost").await["error"]["code"], 2001);
    executor.execute("waits").await;
    let info = json!({"operationDescription": "Copying"});
    executor
        .say(
            "executors.update",
            json!({"lease": lease, "operationInfo": info}),
        )
        .await;
    executor.complete(&lease).await;
    let done = manager.done("kept").await;
    assert_eq!(
        (&done["attempt"], &done["state"]),
        (&json!(1), &json!("completed"))
    );
}

#[tokio::test]
async fn after_a_crash_nobody_is_waited_for_longer_than_the_lease() {
    let home = Home::with("[limits]\nlease_ms = 50\n");
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([operation("vm.once")])).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.once", "a").await;
    executor.execute("a").await;
    daemon.kill();
    let daemon = home.start();
    let failed = daemon.connect().await.done("a").await;
    assert_eq!(failed["error"]["data"]["reason"], "executorLost");
}

/// Protocol §2: an attempt that takes too long ends; its executor is told to stop.
#[tokio::test]
async fn an_attempt_that_took_too_long_is_told_to_stop() {
    let home = Home::new();
    let daemon = home.start();
    let method = with(operation("vm.slow"), json!({"attemptTimeoutMs": 50}));
    let mut executor = Attached::new(&daemon, "agent", json!([method])).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.slow", "a").await;
    let lease = executor.execute("a").await;
    let told = executor.assigned("cancel").await;
    assert_eq!(told["lease"], *lease);
    assert_stale(&mut executor.session, &lease).await;
    assert_eq!(
        manager.done("a").await["error"]["data"]["reason"],
        "attemptTimedOut"
    );
}
