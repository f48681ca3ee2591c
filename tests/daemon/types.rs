//! Protocol §2: foreign JSON as it came, the stage rules, results.

use serde_json::{Value, json};

use crate::program::Home;

/// §2: kwargs are stored and returned exactly, 64-bit numbers and key order included, also after
/// a restart, and whether the operation is open or done.
#[tokio::test]
async fn kwargs_come_back_as_they_went() {
    const KWARGS: &str = r#"{"z":18446744073709551615,"a":-9223372036854775808,"m":{"y":1.10,"x":1E-7,"b":[ 1 ,2]},"":"\u0041\/é"}"#;
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let params = format!(r#"{{"methodName":"diagnostic.noop","id":"k","kwargs":{KWARGS}}}"#);
    session.call_text("operations.register", &params).await;
    session.done("k").await;
    let member = format!(r#""kwargs":{KWARGS}"#);
    let text = session.call_text("operations.get", r#"{"id":"k"}"#).await;
    assert!(text.contains(&member), "{text}");
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let text = session.call_text("operations.get", r#"{"id":"k"}"#).await;
    assert!(text.contains(&member), "after a restart: {text}");
    let text = session.call_text("operations.list", "{}").await;
    assert!(text.contains(&member), "in a list: {text}");
}

/// §2: `TaskInfo` is exactly `{id, methodName, kwargs}`, its kwargs as given.
#[tokio::test]
async fn a_task_is_exactly_id_method_and_kwargs() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let params =
        r#"{"methodName":"diagnostic.wait","id":"t","kwargs":{"seconds":3600.0,"resource":"r"}}"#;
    session.call_text("operations.register", params).await;
    let text = session.call_text("getRunningTasks", "{}").await;
    let tasks = r#""result":[{"id":"t","methodName":"diagnostic.wait","kwargs":{"seconds":3600.0,"resource":"r"}}]"#;
    assert!(text.contains(tasks), "{text}");
}

/// §2: the result is present, also when null, once an operation is completed; optional fields are
/// left out when there is nothing to say.
#[tokio::test]
async fn the_result_is_there_once_completed_also_when_null() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("n").await;
    let done = session.done("n").await;
    assert_eq!(done.get("result"), Some(&Value::Null));
    assert_eq!(
        (&done["state"], &done["done"]),
        (&json!("completed"), &json!(true))
    );
    assert_eq!(
        (&done["attempt"], &done["maxAttempts"]),
        (&json!(1), &json!(1))
    );
    for absent in ["error", "parent", "startAt", "startBefore"] {
        assert!(done.get(absent).is_none(), "{absent}: {done}");
    }
    for empty in [
        "reasons",
        "claims",
        "tags",
        "nonFatalErrors",
        "spawnedTasks",
        "after",
    ] {
        assert_eq!(done[empty], json!([]), "{empty}");
    }
    session.hold("h", json!([])).await;
    let running = session.get("h").await;
    for absent in ["result", "error", "finishedAt"] {
        assert!(running.get(absent).is_none(), "{absent}: {running}");
    }
    assert_eq!(running["done"], false);
    for time in ["registeredAt", "startedAt"] {
        let text = running[time].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{time}: {text}");
    }
}

/// §2: after a fatal error `result` *is* the error and `error` holds the same, typed; a canceled
/// operation has ended, so number == total.
#[tokio::test]
async fn an_error_is_also_the_result() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let params = json!({"methodName": "storage.resizeImage", "id": "f",
        "kwargs": {"image": "missing", "sizeBytes": 4096}});
    session.ok("operations.register", params).await;
    let failed = session.done("f").await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["result"], failed["error"]);
    assert!(failed["error"]["code"].as_i64() >= Some(3000), "{failed}");
    assert_eq!(failed["operationInfo"]["operationDescription"], "Failed");
    assert_eq!(
        failed["operationInfo"]["lastError"],
        json!({"code": failed["error"]["code"], "message": failed["error"]["message"]})
    );
    assert_eq!(
        failed["operationInfo"]["stage"],
        json!({"number": 1, "total": 1})
    );
    session.hold("c", json!([])).await;
    session.ok("operations.cancel", json!({"id": "c"})).await;
    let canceled = session.done("c").await;
    assert_eq!(canceled["state"], "canceled");
    assert_eq!(canceled["error"]["code"], 2005);
    assert_eq!(canceled["operationInfo"]["lastError"]["code"], 2005);
    assert_eq!(
        canceled["operationInfo"]["operationDescription"],
        "Canceled"
    );
    assert_eq!(
        canceled["operationInfo"]["stage"],
        json!({"number": 1, "total": 1})
    );
}

/// §2: An operation that has ended, however it ended, has `number == total`; a running one never
/// has, in every alert of the log.
#[tokio::test]
async fn the_stage_is_complete_exactly_at_the_end() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let image = json!({"image": "a", "sizeBytes": 1 << 20});
    session.ok("storage.createImage", image).await;
    let params = json!({"methodName": "storage.copyImage", "id": "copy",
        "kwargs": {"source": "a", "target": "b"}});
    session.ok("operations.register", params).await;
    session.done("copy").await;
    session.noop("n").await;
    session.done("n").await;
    let alerts = session.read_all("*", 0).await;
    assert!(alerts.len() >= 9, "{}", alerts.len());
    for alert in alerts {
        let stage = &alert["operationInfo"]["stage"];
        let ended = ["completed", "failed", "canceled"].contains(&alert["state"].as_str().unwrap());
        assert_eq!(stage["number"] == stage["total"], ended, "{alert}");
    }
}

/// §2: unknown params are refused; positional params are taken in the order given.
#[tokio::test]
async fn params_by_name_and_by_position() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let params = json!(["diagnostic.noop", {"a": 1}, "p"]);
    assert_eq!(session.ok("operations.register", params).await["id"], "p");
    assert_eq!(session.ok("operations.get", json!(["p"])).await["id"], "p");
    for (method, params) in [
        (
            "operations.register",
            json!({"methodName": "diagnostic.noop", "heaviness": 1}),
        ),
        ("operations.get", json!({"id": "p", "verbose": true})),
        ("getRunningTasks", json!({"pageSize": 3})),
        ("diagnostic.wait", json!({"minutes": 3})),
    ] {
        let error = session.error(method, params).await;
        assert_eq!(error["code"], -32602, "{method}: {error}");
        assert_eq!(
            error["data"]["faults"].as_array().unwrap().len(),
            1,
            "{error}"
        );
    }
}
