//! Protocol §3, Registration: durable when answered, ids, repeats, versions, order.

use serde_json::{Value, json};

use crate::program::Home;
use crate::session::{claim, hold};

/// §3: It is answered only when the operation is on disk; kill -9 right after each answer.
#[tokio::test]
async fn what_is_answered_is_on_disk() {
    let home = Home::new();
    for round in 0..3 {
        let daemon = home.start();
        let mut session = daemon.connect().await;
        let id = format!("round {round}");
        let kwargs = json!({"round": round, "text": "é\u{1F980}"});
        let params = json!({"methodName": "diagnostic.noop", "id": id, "kwargs": kwargs});
        let registration = session.ok("operations.register", params).await;
        daemon.kill();
        let daemon = home.start();
        let operation = daemon.connect().await.get(&id).await;
        assert_eq!(operation["kwargs"], kwargs);
        assert!(operation["cursor"].as_u64() >= registration["cursor"].as_u64());
    }
}

/// §3: the members of a Registration; `accepted` exactly when `reasons` is empty; `cursor` is that
/// of the `registered` alert; without a chosen id the daemon makes one from the alert name.
#[tokio::test]
async fn a_registration_says_what_became_of_the_request() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let status = session.ok("system.status", json!({})).await;
    let held = session.hold("holder", json!([claim("x", "update")])).await;
    assert_eq!(
        held,
        json!({"id": "holder", "response": "accepted", "reasons": [], "state": "running",
            "alertName": "diagnostic.task.holder", "existing": false,
            "cursor": held["cursor"], "logId": status["logId"]})
    );
    let queued = session.hold("queued", json!([claim("x", "update")])).await;
    assert_eq!(
        (&queued["response"], &queued["state"]),
        (&json!("postponed"), &json!("waiting"))
    );
    assert_eq!(
        queued["reasons"],
        json!([{"cause": "resource", "resource": {"type": "thing", "id": "x"},
            "operation": "update", "blockedBy": ["holder"]}])
    );
    let alerts = session.read_all("*", 0).await;
    for registration in [&held, &queued] {
        let registered = alerts
            .iter()
            .find(|alert| alert["cursor"] == registration["cursor"])
            .unwrap();
        assert_eq!(registered["event"], "registered");
        assert_eq!(registered["operationId"], registration["id"]);
    }
    // Without kwargs, by name and by position.
    session.ok("diagnostic.noop", json!([])).await;
    let made = session.ok("diagnostic.noop", json!({})).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["alertName"], id, "an operation on no object");
    assert_eq!(id.len(), "diagnostic.task.".len() + 26, "{id}");
    let image = json!({"image": "a", "sizeBytes": 4096});
    let made = session.ok("storage.createImage", image).await;
    assert_eq!(made["alertName"], "storage.Image.a");
    let id = made["id"].as_str().unwrap();
    assert!(
        id.starts_with("storage.Image.a.") && id.len() == 16 + 26,
        "{id}"
    );
}

/// §3: The same id with the same method, version (if given) and kwargs (key order aside) answers
/// the first registration with `existing: true`, running or done; with others: `idReused`.
#[tokio::test]
async fn a_repeat_is_the_first_registration_again() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let text =
        r#"{"methodName":"diagnostic.noop","id":"one","kwargs":{"a":1,"b":{"c":[1,2],"d":null}}}"#;
    let first: Value =
        serde_json::from_str(&session.call_text("operations.register", text).await).unwrap();
    assert_eq!(first["result"]["existing"], false);
    session.done("one").await;
    let reordered = r#"{"kwargs":{"b":{"d":null,"c":[1,2]},"a":1},"id":"one","version":1,"methodName":"diagnostic.noop"}"#;
    for text in [text, reordered] {
        let again: Value =
            serde_json::from_str(&session.call_text("operations.register", text).await).unwrap();
        let again = &again["result"];
        assert_eq!(again["existing"], true, "{again}");
        assert_eq!(again["cursor"], first["result"]["cursor"]);
        assert_eq!(again["state"], "completed");
        assert_eq!(
            (&again["response"], &again["reasons"]),
            (&json!("accepted"), &json!([]))
        );
    }
    for other in [
        json!({"methodName": "diagnostic.noop", "id": "one", "kwargs": {"a": 1}}),
        json!({"methodName": "diagnostic.noop", "id": "one",
            "kwargs": {"a": 1, "b": {"c": [2, 1], "d": null}}}),
        json!({"methodName": "diagnostic.wait", "id": "one", "kwargs": {}}),
    ] {
        let error = session.error("operations.register", other).await;
        assert_eq!(
            (&error["code"], &error["data"]["reason"]),
            (&json!(1004), &json!("idReused"))
        );
    }
    session.hold("running", json!([])).await;
    let again = session.hold("running", json!([])).await;
    assert_eq!(
        (&again["existing"], &again["state"]),
        (&json!(true), &json!("running"))
    );
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for id in ["one", "running"] {
        let request = match id {
            "one" => serde_json::from_str(text).unwrap(),
            _ => hold(id, json!([])),
        };
        let again = session.ok("operations.register", request).await;
        assert_eq!(again["existing"], true, "after a restart: {again}");
    }
    let dismissed = session
        .ok("operations.dismiss", json!({"ids": ["one"]}))
        .await;
    assert_eq!(dismissed, json!({"dismissed": 1}));
    let anew = session.noop("one").await;
    assert_eq!(
        anew["existing"], false,
        "ids are new once their operation is gone"
    );
}

/// §3: Calls that change something take effect in the order in which one connection sent them.
#[tokio::test]
async fn changing_calls_of_a_connection_keep_their_order() {
    const COUNT: usize = 200;
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..COUNT {
        let id = format!("n{index:03}");
        let params = hold(&id, json!([claim("x", "read")])).to_string();
        session.send("operations.register", &params).await;
        let params = json!({"id": id}).to_string();
        session.send("operations.cancel", &params).await;
    }
    for _ in 0..2 * COUNT {
        let answer: Value = serde_json::from_str(&session.receive().await.unwrap()).unwrap();
        assert!(
            answer.get("error").is_none(),
            "canceled before registered: {answer}"
        );
    }
    let alerts = session.read_all("*", 0).await;
    let registered: Vec<_> = alerts
        .iter()
        .filter(|alert| alert["event"] == "registered")
        .map(|alert| alert["operationId"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<_> = (0..COUNT).map(|index| format!("n{index:03}")).collect();
    assert_eq!(registered, expected);
}

/// §3: A request that cannot be queued behind what is outstanding is refused with `conflict`, and
/// nothing of it is stored; §3: kwargs against the schema -32602 with all faults and their pointers.
#[tokio::test]
async fn what_is_refused_leaves_no_trace() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("delete", json!([claim("x", "delete")])).await;
    let head = session.head().await;
    let refused = hold("late", json!([claim("x", "read"), claim("y", "create")]));
    let error = session.error("operations.register", refused).await;
    assert_eq!(error["data"]["reason"], "conflict");
    let faulty = json!({"methodName": "storage.createImage", "id": "late",
        "kwargs": {"image": "../x", "sizeBytes": -1, "colour": "red"}});
    let error = session.error("operations.register", faulty).await;
    assert_eq!(error["code"], -32602);
    let mut pointers: Vec<_> = error["data"]["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert!(
        pointers.contains(&"/kwargs/image") && pointers.contains(&"/kwargs/sizeBytes"),
        "{error}"
    );
    assert!(error.to_string().contains("colour"), "{error}");
    // Called by its own name, the kwargs are the params.
    for (method, kwargs, pointer) in [
        (
            "storage.createImage",
            json!({"image": "../x", "sizeBytes": 1}),
            "/image",
        ),
        (
            "storage.createImage",
            json!({"image": "x", "sizeBytes": -1}),
            "/sizeBytes",
        ),
        ("storage.getImageInfo", json!({"image": "../x"}), "/image"),
    ] {
        let error = session.error(method, kwargs).await;
        assert_eq!(error["data"]["faults"][0]["pointer"], pointer, "{error}");
        assert!(
            error["message"].as_str().unwrap().starts_with(pointer),
            "{error}"
        );
    }
    let error = session.error("operations.get", json!({"id": "late"})).await;
    assert_eq!(error["data"]["reason"], "operationNotFound");
    // The one that runs may tell how far it is meanwhile; of the refused ones there is nothing.
    let since = session.ok("alerts.read", json!({"after": head})).await;
    for alert in since["alerts"].as_array().unwrap() {
        assert_eq!(alert["operationId"], "delete", "{alert}");
    }
    let late = session.hold("late", json!([claim("z", "read")])).await;
    assert_eq!(late["existing"], false, "the id was not used up");
}

/// §3: ids are 1 to 200 printable characters.
#[tokio::test]
async fn ids_are_printable_and_of_bounded_length() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for id in ["x".to_owned(), "é".repeat(200), "a.b/c d\"\\*".to_owned()] {
        assert_eq!(session.hold(&id, json!([])).await["id"], id);
        assert_eq!(session.get(&id).await["id"], id);
        let name = format!("diagnostic.task.{id}");
        let info = session
            .ok("getOperationInfo", json!({"alertName": name}))
            .await;
        assert_eq!(info["operationId"], id);
    }
    for id in [
        String::new(),
        "x".repeat(201),
        "a\nb".to_owned(),
        "\u{7f}".to_owned(),
    ] {
        let params = json!({"methodName": "diagnostic.noop", "id": id});
        let error = session.error("operations.register", params).await;
        assert_eq!(error["code"], -32602, "{id:?}");
        assert_eq!(error["data"]["faults"][0]["pointer"], "/id", "{error}");
    }
}
