//! An attempt from its assignment to its end.

use serde_json::json;

use crate::attached::{Attached, operation, register, with};
use crate::program::Home;
use crate::session::events;

#[tokio::test]
async fn an_operation_is_assigned_reported_on_and_completed() {
    let home = Home::new();
    let daemon = home.start();
    let method = with(operation("vm.pause"), json!({"object": "VM.{vmID}"}));
    let mut executor = Attached::new(&daemon, "agent", json!([method])).await;
    assert_eq!(executor.answer["leaseMs"], 30_000);
    assert_eq!(executor.answer["accepted"], json!([]));
    let mut manager = daemon.connect().await;
    manager
        .ok("alerts.subscribe", json!({"filter": "vm.VM.best"}))
        .await;
    let text =
        r#"{"methodName":"vm.pause","id":"p","kwargs":{"z":18446744073709551615, "vmID":"best"}}"#;
    manager.call_text("operations.register", text).await;

    let assignment = executor.session.pushed_text().await;
    let kwargs = r#""kwargs":{"z":18446744073709551615, "vmID":"best"}"#;
    assert!(assignment.contains(kwargs), "{assignment}");
    let assignment: serde_json::Value = serde_json::from_str(&assignment).unwrap();
    let params = &assignment["params"];
    assert_eq!(assignment["method"], "assignment");
    assert_eq!(params["operationId"], "p");
    assert_eq!(params["methodName"], "vm.pause");
    assert_eq!(
        (&params["attempt"], &params["version"]),
        (&json!(1), &json!(1))
    );
    let lease = params["lease"].as_str().unwrap();

    let info = json!({
        "operationDescription": "Pausing", "stageDescription": "memory",
        "stage": {"number": 1, "total": 2}, "percentage": 40, "extraData": {"x": 1},
    });
    let params = json!({"lease": lease, "operationInfo": info});
    let told = executor.say("executors.update", params).await;
    let params = json!({"lease": lease, "nonFatalError": {"code": 3001, "message": "slow"}});
    executor.say("executors.update", params).await;
    let running = manager.get("p").await;
    assert_eq!(running["operationInfo"]["stageDescription"], "memory");
    assert_eq!(running["nonFatalErrors"][0]["message"], "slow");
    assert!(running["cursor"].as_u64().unwrap() > told);
    assert_eq!(running["executor"], "agent");

    let text = format!(r#"{{"lease":"{lease}","result":{{"b":1,"a":18446744073709551615}}}}"#);
    executor
        .session
        .call_text("executors.complete", &text)
        .await;
    let done = manager.call_text("operations.get", r#"{"id":"p"}"#).await;
    assert!(
        done.contains(r#""result":{"b":1,"a":18446744073709551615}"#),
        "{done}"
    );
    let alerts = manager.alerts_until_event("p", "completed").await;
    let words = ["registered", "started", "progress", "error", "completed"];
    assert_eq!(events(&alerts), words);
    assert_eq!(
        alerts[4]["operationInfo"]["operationDescription"],
        "Pausing"
    );
    assert_eq!(
        alerts[4]["operationInfo"]["stage"],
        json!({"number": 2, "total": 2})
    );
}

#[tokio::test]
async fn an_attempt_can_fail_and_its_error_is_the_result() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([operation("vm.start")])).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.start", "s").await;
    let lease = executor.execute("s").await;
    let error = json!({"code": 3007, "message": "no memory", "data": {"missing": 7}});
    let params = json!({"lease": lease, "error": error});
    executor.say("executors.fail", params).await;
    let done = manager.done("s").await;
    assert_eq!(done["state"], "failed");
    assert_eq!((&done["error"], &done["result"]), (&error, &error));
    assert_eq!(
        done["operationInfo"]["lastError"],
        json!({"code": 3007, "message": "no memory"})
    );
}

#[tokio::test]
async fn a_canceled_operation_is_canceled_once_its_executor_says_so() {
    let home = Home::new();
    let daemon = home.start();
    let stops = with(operation("vm.move"), json!({"cancelable": true}));
    let methods = json!([stops, operation("vm.start")]);
    let params = json!({"executor": "agent", "methods": methods, "capacity": 5});
    let mut executor = Attached::attach(&daemon, params).await;
    let mut manager = daemon.connect().await;
    let error = json!({"code": 2005, "message": "the guest does not answer"});
    for (id, ends, said, state) in [
        ("a", "executors.canceled", json!({}), "canceled"),
        ("b", "executors.complete", json!({}), "completed"),
        ("d", "executors.fail", json!({"error": error}), "failed"),
    ] {
        register(&mut manager, "vm.move", id).await;
        let lease = executor.execute(id).await;
        let canceling = manager.ok("operations.cancel", json!({"id": id})).await;
        assert_eq!(canceling["state"], "canceling");
        let told = executor.assigned("cancel").await;
        assert_eq!(
            (&told["operationId"], &told["lease"]),
            (&json!(id), &json!(lease))
        );
        executor
            .say(ends, with(json!({"lease": lease}), said))
            .await;
        assert_eq!(manager.done(id).await["state"], state);
    }
    register(&mut manager, "vm.start", "c").await;
    let lease = executor.execute("c").await;
    let error = manager.error("operations.cancel", json!({"id": "c"})).await;
    assert_eq!(error["data"]["reason"], "notCancelable");
    // Nobody has asked, so it has failed.
    executor
        .say("executors.canceled", json!({"lease": lease}))
        .await;
    let done = manager.done("c").await;
    assert_eq!(
        (&done["state"], &done["error"]["code"]),
        (&json!("failed"), &json!(2005))
    );
    assert_eq!(
        done["error"]["message"],
        "its executor stopped without being asked"
    );
}

/// Of a lease that is over, of another executor's, and of what is none.
#[tokio::test]
async fn what_is_wrong_with_a_lease_is_told() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([operation("vm.start")])).await;
    let mut other = Attached::new(&daemon, "other", json!([operation("vm.other")])).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.start", "a").await;
    let lease = executor.execute("a").await;
    let told = async |executor: &mut Attached, lease: &str| {
        let params = json!({"lease": lease});
        let error = executor.session.error("executors.complete", params).await;
        assert_eq!(error["data"]["reason"], "staleLease");
        assert_eq!(
            error["message"],
            "not the lease of a running attempt of this executor"
        );
    };
    told(&mut other, &lease).await;
    told(&mut executor, "none").await;
    executor.complete(&lease).await;
    told(&mut executor, &lease).await;
}

/// Protocol §7: with its lease an attempt registers children, which are listed.
#[tokio::test]
async fn an_attempt_registers_children() {
    let home = Home::new();
    let daemon = home.start();
    let parent = with(operation("vm.outer"), json!({"cancelable": true}));
    let methods = json!([parent, operation("vm.inner")]);
    let params = json!({"executor": "agent", "methods": methods, "capacity": 5});
    let mut executor = Attached::attach(&daemon, params).await;
    let mut manager = daemon.connect().await;
    register(&mut manager, "vm.outer", "outer").await;
    let lease = executor.execute("outer").await;
    let child = json!({"methodName": "vm.inner", "id": "inner", "lease": lease});
    executor
        .session
        .ok("operations.register", child.clone())
        .await;
    let inner = executor.execute("inner").await;
    assert_eq!(manager.get("outer").await["spawnedTasks"], json!(["inner"]));
    assert_eq!(manager.get("inner").await["parent"], "outer");
    let error = manager.error("operations.register", child).await;
    assert_eq!(error["data"]["reason"], "staleLease", "another's lease");
    executor.complete(&inner).await;
    manager
        .ok("operations.cancel", json!({"id": "outer"}))
        .await;
    let late = json!({"methodName": "vm.inner", "id": "late", "lease": lease});
    let error = executor.session.error("operations.register", late).await;
    assert_eq!(error["data"]["reason"], "canceled");
}

/// Protocol §5.6: the last progress is told within a second, however little it is.
#[tokio::test]
async fn progress_that_comes_too_soon_is_told_later() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([operation("vm.copy")])).await;
    let mut manager = daemon.connect().await;
    manager.ok("alerts.subscribe", json!({})).await;
    register(&mut manager, "vm.copy", "c").await;
    let lease = executor.execute("c").await;
    // All at once: what somebody says half a second after the last is told.
    let mut said = Vec::new();
    for step in 1..=9 {
        let info = json!({"percentage": 10.0 + f64::from(step) / 10.0});
        let params = json!({"lease": lease, "operationInfo": info}).to_string();
        said.push(executor.session.send("executors.update", &params).await);
    }
    for update in said {
        executor.session.answer(update).await;
    }
    let alerts = manager
        .alerts_until(|alert| alert["operationInfo"]["percentage"] == 10.9)
        .await;
    assert!(alerts.len() < 9, "{}", alerts.len());
    // What was not told before the end is part of it.
    let params = json!({"lease": lease, "operationInfo": {"extraData": {"last": 1}}});
    executor.say("executors.update", params).await;
    executor.complete(&lease).await;
    let done = manager.done("c").await;
    assert_eq!(done["operationInfo"]["extraData"], json!({"last": 1}));
}

/// Protocol §7: several executors for one method, and several versions of it.
#[tokio::test]
async fn work_goes_to_whoever_offers_the_version_and_is_free() {
    let home = Home::new();
    let daemon = home.start();
    let (old, new) = (
        operation("vm.scan"),
        with(operation("vm.scan"), json!({"version": 2})),
    );
    let mut one = Attached::new(&daemon, "one", json!([old, new])).await;
    let mut two = Attached::new(&daemon, "two", json!([new])).await;
    let mut manager = daemon.connect().await;
    let scan =
        |id: &str, version: u32| json!({"methodName": "vm.scan", "id": id, "version": version});
    manager.ok("operations.register", scan("old", 1)).await;
    let lease = one.execute("old").await;
    manager.ok("operations.register", scan("new", 2)).await;
    let other = two.execute("new").await;
    let waiting = manager.ok("operations.register", scan("waits", 1)).await;
    assert_eq!(
        waiting["reasons"],
        json!([{"cause": "executor", "detail": "busy"}])
    );
    two.complete(&other).await;
    one.complete(&lease).await;
    one.execute("waits").await;
    drop(one);
    manager.executor_away("one").await;
    let stuck = manager.ok("operations.register", scan("stuck", 1)).await;
    assert_eq!(stuck["reasons"], json!([{"cause": "version"}]));
}
