//! Methods whose executor keeps start times itself.

use serde_json::json;

use crate::attached::{Attached, operation, with};
use crate::program::Home;

#[tokio::test]
async fn a_scheduled_operation_is_handed_out_at_once_where_its_executor_holds_the_schedule() {
    let home = Home::new();
    let daemon = home.start();
    let holds = with(operation("vm.nightly"), json!({"holdsSchedule": true}));
    let params = json!({
        "executor": "agent", "methods": [holds, operation("vm.daily")], "capacity": 3,
    });
    let mut executor = Attached::attach(&daemon, params).await;
    let mut manager = daemon.connect().await;
    let (at, before) = ("2199-01-01T00:00:00.000Z", "2199-01-02T00:00:00.000Z");
    let later = |method: &str| json!({"methodName": method, "id": method, "startAt": at, "startBefore": before});
    let daily = manager.ok("operations.register", later("vm.daily")).await;
    assert_eq!(daily["state"], "scheduled");
    manager.ok("operations.register", later("vm.nightly")).await;
    let assignment = executor.assigned("execute").await;
    assert_eq!(assignment["operationId"], "vm.nightly");
    assert_eq!(
        (&assignment["startAt"], &assignment["startBefore"]),
        (&json!(at), &json!(before))
    );
    let lease = assignment["lease"].as_str().unwrap();
    executor.complete(lease).await;
    assert_eq!(manager.done("vm.nightly").await["state"], "completed");
}
