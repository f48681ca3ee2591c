//! Objects that a subsystem publishes without an operation.

use serde_json::json;

use crate::attached::{Attached, operation, register, with};
use crate::program::Home;

#[tokio::test]
async fn an_object_is_published_and_stands_until_it_is_retired() {
    let home = Home::new();
    let daemon = home.start();
    let method = with(operation("vm.delete"), json!({"object": "VM.{vm}"}));
    let mut executor = Attached::new(&daemon, "agent", json!([method])).await;
    let mut manager = daemon.connect().await;
    manager
        .ok("alerts.subscribe", json!({"filter": "vm.*"}))
        .await;
    let info = json!({"operationDescription": "Running", "extraData": {"vmState": "up"}});
    let published = json!({"alertName": "vm.VM.best", "operationInfo": info});
    let cursor = executor.say("objects.publish", published.clone()).await;
    let alert = manager.alert().await;
    assert_eq!(
        (&alert["event"], &alert["cursor"]),
        (&json!("object"), &json!(cursor))
    );
    assert!(alert.get("operationId").is_none());
    let object = manager
        .ok("getOperationInfo", json!({"alertName": "vm.VM.best"}))
        .await;
    let stands = json!({
        "operationDescription": "Running", "stageDescription": "", "percentage": -1,
        "stage": {"number": 1, "total": 1}, "lastError": {"code": 0, "message": ""},
        "extraData": {"vmState": "up"},
    });
    assert_eq!(object["operationInfo"], stands);
    assert_eq!(object["cursor"], cursor);

    // An operation on it shows while it runs, and its end is the later word.
    let params = json!({"methodName": "vm.delete", "id": "d", "kwargs": {"vm": "best"}});
    manager.ok("operations.register", params).await;
    let lease = executor.execute("d").await;
    executor
        .say("objects.retire", json!({"alertName": "vm.VM.best"}))
        .await;
    let object = manager
        .ok("getOperationInfo", json!({"alertName": "vm.VM.best"}))
        .await;
    assert_eq!(object["operationId"], "d");
    executor.complete(&lease).await;
    let alerts = manager.alerts_until_event("d", "completed").await;
    assert!(alerts.iter().any(|alert| alert["event"] == "retired"));
    let error = manager
        .error("getOperationInfo", json!({"alertName": "vm.VM.best"}))
        .await;
    assert_eq!(error["data"]["reason"], "objectNotFound");
    let error = executor
        .session
        .error("objects.retire", json!({"alertName": "vm.VM.best"}))
        .await;
    assert_eq!(error["data"]["reason"], "objectNotFound");

    // It can come again, and outlives the daemon.
    let cursor = executor.say("objects.publish", published).await;
    daemon.kill();
    let daemon = home.start();
    let mut manager = daemon.connect().await;
    let objects = manager.ok("objects.list", json!({"filter": "vm.*"})).await;
    assert_eq!(objects["objects"][0]["alertName"], "vm.VM.best");
    assert_eq!(objects["objects"][0]["cursor"], cursor);
}

#[tokio::test]
async fn only_objects_of_ones_own_subsystems_are_published() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = Attached::new(&daemon, "agent", json!([operation("vm.start")])).await;
    let info = json!({"operationDescription": "Running"});
    for (name, pointer) in [
        ("storage.Image.a", "/alertName"),
        ("vmm.VM.a", "/alertName"),
        ("vm.", "/alertName"),
        ("vm", "/alertName"),
        ("vm.task.a", "/alertName"),
        ("vm.a\nb", "/alertName"),
    ] {
        let params = json!({"alertName": name, "operationInfo": info});
        let error = executor.session.error("objects.publish", params).await;
        assert_eq!(error["code"], -32602, "{name}: {error}");
        assert_eq!(error["data"]["faults"][0]["pointer"], pointer, "{error}");
    }
    let params = json!({"alertName": "storage.Image.a"});
    let error = executor.session.error("objects.retire", params).await;
    assert_eq!(error["code"], -32602);
    for (info, pointer) in [
        (json!({}), "/operationInfo/operationDescription"),
        (
            json!({"operationDescription": "Flying"}),
            "/operationInfo/operationDescription",
        ),
        (
            json!({"operationDescription": "Running", "percentage": 101}),
            "/operationInfo/percentage",
        ),
        (
            json!({"operationDescription": "Running", "stage": {"number": 2, "total": 1}}),
            "/operationInfo/stage",
        ),
    ] {
        let params = json!({"alertName": "vm.VM.a", "operationInfo": info});
        let error = executor.session.error("objects.publish", params).await;
        assert_eq!(error["data"]["faults"][0]["pointer"], pointer, "{error}");
    }
    let mut manager = daemon.connect().await;
    let objects = manager.ok("objects.list", json!({"filter": "vm.*"})).await;
    assert_eq!(objects["objects"], json!([]));
    // Speaking for nobody.
    let info = json!({"operationDescription": "Running"});
    let params = json!({"alertName": "vm.VM.a", "operationInfo": info});
    let error = manager.error("objects.publish", params).await;
    assert_eq!(error["data"]["reason"], "staleLease");
    register(&mut manager, "vm.start", "goes on").await;
    executor.execute("goes on").await;
}
