//! Protocol §5: the shape of alerts and its eight promises.

use serde_json::{Value, json};

use crate::program::Home;
use crate::session::{Session, claim, cursors, events, hold};

/// §5: the literal shape, to the byte; `alertBookmark` has a method of its own.
#[tokio::test]
async fn an_alert_has_the_literal_shape() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let params = json!({"filter": "diagnostic.*", "bookmarkMs": 0});
    let subscribed = session.ok("alerts.subscribe", params).await;
    let subscription = subscribed["subscription"].as_str().unwrap();
    let registration = session.noop("shape").await;
    for (offset, event, description, number, state, percentage) in [
        (0, "registered", "Waiting", 0, "waiting", "-1"),
        (1, "started", "Running", 0, "running", "-1"),
        (2, "completed", "Completed", 1, "completed", "100"),
    ] {
        let text = session.pushed_text().await;
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let time = parsed["params"]["time"].as_str().unwrap();
        let cursor = registration["cursor"].as_u64().unwrap() + offset;
        let expected = format!(
            r#"{{"jsonrpc":"2.0","method":"alert","params":{{"alertName":"diagnostic.task.shape","operationInfo":{{"operationDescription":"{description}","stageDescription":"","stage":{{"number":{number},"total":1}},"percentage":{percentage},"lastError":{{"code":0,"message":""}},"extraData":{{}}}},"cursor":{cursor},"time":"{time}","event":"{event}","operationId":"shape","methodName":"diagnostic.noop","state":"{state}","subscription":"{subscription}"}}}}"#
        );
        assert_eq!(text, expected);
    }
}

/// §5: the answer of `alerts.subscribe` comes before the first alert, and says where it begins.
#[tokio::test]
async fn the_answer_comes_before_the_first_alert() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..20 {
        session.noop(&format!("n{index}")).await;
        let id = session.send("alerts.subscribe", r#"{"after":0}"#).await;
        let first: Value = serde_json::from_str(&session.receive().await.unwrap()).unwrap();
        assert_eq!(first["id"], id, "{first}");
        let result = &first["result"];
        assert_eq!(
            (&result["cursor"], &result["oldestCursor"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(result["logId"].as_str().unwrap().len(), 26);
        session.alert().await;
        session = daemon.connect().await;
    }
}

/// Promise 1: "In cursor order, every matching alert after the starting cursor exactly once per
/// subscription", from anywhere, for overlapping subscriptions, and as `alerts.read` gives it.
#[tokio::test]
async fn every_matching_alert_exactly_once_in_order() {
    let home = Home::new();
    let daemon = home.start();
    let mut actor = daemon.connect().await;
    for index in 0..30 {
        actor.noop(&format!("before{index}")).await;
    }
    let head = actor.head().await;
    for (filter, after) in [("*", 0), ("*", head / 2), ("*.before1*", 7), ("*9", head)] {
        let mut session = daemon.connect().await;
        let params = json!({"filter": filter, "after": after});
        session.ok("alerts.subscribe", params).await;
        for index in 0..10 {
            let id = format!("before1{index}-{filter}{after}-9");
            actor.noop(&id).await;
            actor.done(&id).await;
        }
        let read = actor.read_all(filter, after).await;
        let last = *cursors(&read).last().unwrap();
        let pushed = session.alerts_until(|alert| alert["cursor"] == last).await;
        assert_eq!(
            without_subscription(&pushed),
            read,
            "{filter} after {after}"
        );
        assert!(cursors(&read).is_sorted_by(|a, b| a < b));
        assert!(cursors(&read)[0] > after);
    }
}

fn without_subscription(alerts: &[Value]) -> Vec<Value> {
    let without = |alert: &Value| {
        let mut alert = alert.clone();
        alert
            .as_object_mut()
            .unwrap()
            .remove("subscription")
            .unwrap();
        alert
    };
    alerts.iter().map(without).collect()
}

/// Promise 1: the starting place is "the head at the moment of the reply": what was answered before
/// is not told, what is registered afterwards is.
#[tokio::test]
async fn without_a_cursor_it_begins_at_the_head() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..50 {
        let registration = session.noop(&format!("before{index}")).await;
        let subscribed = session.ok("alerts.subscribe", json!({"filter": "*"})).await;
        assert!(subscribed["cursor"].as_u64() >= registration["cursor"].as_u64());
        let after = format!("after{index}");
        let registration = session.noop(&after).await;
        let told = session
            .alerts_until(|alert| alert["operationId"] == after)
            .await;
        assert_eq!(told.last().unwrap()["cursor"], registration["cursor"]);
        assert!(cursors(&told)[0] > subscribed["cursor"].as_u64().unwrap());
        session = daemon.connect().await;
    }
}

/// What is answered can be read: the alert of a registration is there when its answer is.
#[tokio::test]
async fn the_alert_of_an_answered_registration_can_be_read() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..300 {
        let id = format!("n{index}");
        let registration = session.noop(&id).await;
        let after = registration["cursor"].as_u64().unwrap() - 1;
        let page = session.ok("alerts.read", json!({"after": after})).await;
        assert_eq!(page["alerts"][0]["operationId"], id, "{page}");
    }
}

/// Promise 2: "An alert is sent only when it is on disk: no crash takes back what a subscriber was
/// told", and promise 3: a replay joins live delivery across a crash.
#[tokio::test]
async fn what_was_told_is_still_true_after_a_crash() {
    let home = Home::new();
    let mut told = Vec::new();
    let mut after = 0;
    for round in 0..4 {
        let daemon = home.start();
        let mut session = daemon.connect().await;
        let params = json!({"after": after});
        session.ok("alerts.subscribe", params).await;
        let mut actor = daemon.connect().await;
        for index in 0..40 {
            let params = json!({"methodName": "diagnostic.noop", "id": format!("{round}-{index}")});
            actor.send("operations.register", &params.to_string()).await;
        }
        // Killed while most of it is still under way.
        let last = format!("{round}-{}", round * 7);
        told.extend(session.alerts_until_event(&last, "registered").await);
        after = told.last().unwrap()["cursor"].as_u64().unwrap();
        daemon.kill();
    }
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let read = session.read_all("*", 0).await;
    let told = without_subscription(&told);
    assert_eq!(told, read[..told.len()]);
}

/// Promise 3: "Another log, or a cursor beyond the head: `cursorUnknown`. Never a silent jump."
/// Also a cursor of an own log that lost its folder.
#[tokio::test]
async fn a_cursor_of_another_log_is_refused() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("n").await;
    let place = session.ok("alerts.subscribe", json!({})).await;
    daemon.kill();
    let other = Home::new();
    let daemon = other.start();
    let mut session = daemon.connect().await;
    for index in 0..5 {
        session.noop(&format!("n{index}")).await;
    }
    for params in [
        json!({"after": 0, "logId": place["logId"]}),
        json!({"after": place["cursor"], "logId": place["logId"]}),
        json!({"after": 1_000}),
        json!({"after": u64::MAX}),
    ] {
        let error = session.error("alerts.subscribe", params.clone()).await;
        assert_eq!(error["data"]["reason"], "cursorUnknown", "{params}");
        assert_ne!(error["data"]["logId"], place["logId"]);
    }
}

/// Promise 4: "A slow subscriber costs the others nothing": one that reads nothing while more is
/// told than any buffer holds keeps nobody waiting, and loses nothing.
#[tokio::test]
async fn a_subscriber_that_does_not_read_keeps_nobody_waiting() {
    const COUNT: usize = 2_000;
    let home = Home::new();
    let daemon = home.start();
    let mut slow = daemon.connect().await;
    slow.ok("alerts.subscribe", json!({"after": 0})).await;
    let mut fast = daemon.connect().await;
    fast.ok("alerts.subscribe", json!({"after": 0})).await;
    let told_fast = tokio::spawn(async move {
        let mut told = Vec::new();
        while told.len() < 3 * COUNT {
            told.push(fast.alert().await);
        }
        told
    });
    let mut actor = daemon.connect().await;
    let long = "\u{1F980}".repeat(190);
    let (mut sent, mut answered) = (0, 0);
    while answered < COUNT {
        while sent < COUNT && sent - answered < 100 {
            let params = json!({"methodName": "diagnostic.noop", "id": format!("{long}{sent}")});
            actor.send("operations.register", &params.to_string()).await;
            sent += 1;
        }
        actor.receive().await.unwrap();
        answered += 1;
    }
    let params = json!({"filter": "*", "timeoutMs": 60_000});
    actor.ok("operations.wait", params).await;
    let read = actor.read_all("*", 0).await;
    assert_eq!(read.len(), 3 * COUNT);
    let head = *cursors(&read).last().unwrap();
    assert_eq!(cursors(&told_fast.await.unwrap()), cursors(&read));
    // The slow one now reads what it was sent; if it was cut off it resumes where it was.
    let mut told = Vec::new();
    let mut after = 0;
    while after < head {
        match slow.receive().await {
            Some(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                after = message["params"]["cursor"].as_u64().unwrap();
                told.push(after);
            }
            None => {
                slow = daemon.connect().await;
                slow.ok("alerts.subscribe", json!({"after": after})).await;
            }
        }
    }
    assert_eq!(told, cursors(&read));
}

/// Promise 5: "What an alert says can be read: `operations.get` and `getOperationInfo` right after
/// it show that cursor or a later one."
#[tokio::test]
async fn what_an_alert_says_can_be_read() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.ok("alerts.subscribe", json!({"filter": "*"})).await;
    let mut actor = daemon.connect().await;
    for index in 0..40 {
        let params = json!({"image": format!("i{index}"), "sizeBytes": 4096});
        actor.send("storage.createImage", &params.to_string()).await;
    }
    let mut completed = 0;
    while completed < 40 {
        let alert = session.alert().await;
        let id = alert["operationId"].as_str().unwrap();
        let operation = session.get(id).await;
        assert!(operation["cursor"].as_u64() >= alert["cursor"].as_u64());
        let name = json!({"alertName": alert["alertName"]});
        let object = session.ok("getOperationInfo", name).await;
        assert!(object["cursor"].as_u64() >= alert["cursor"].as_u64());
        completed += usize::from(alert["event"] == "completed");
    }
}

/// Promise 6: "State changes are never merged or dropped": each operation tells its whole story.
#[tokio::test]
async fn no_state_change_is_dropped() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("first", json!([claim("x", "update")])).await;
    for index in 0..30 {
        let params = json!({"methodName": "diagnostic.noop", "id": format!("w{index}"),
            "claims": [claim("x", "update")]});
        session.ok("operations.register", params).await;
    }
    session
        .ok("operations.cancel", json!({"id": "first"}))
        .await;
    session.done("w29").await;
    for index in 0..30 {
        let story = session.read_all(&format!("*.w{index}"), 0).await;
        assert_eq!(
            events(&story),
            ["registered", "postponed", "started", "completed"]
        );
        let states: Vec<_> = story
            .iter()
            .map(|alert| alert["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, ["waiting", "waiting", "running", "completed"]);
    }
}

/// Promise 7: a snapshot of each matching object "as it stands at one cursor, each bearing the
/// object's own last cursor, then `caughtUp` with that one cursor, from which to resume".
#[tokio::test]
async fn a_snapshot_and_then_what_follows() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for image in ["a", "b", "other"] {
        let params = json!({"image": image, "sizeBytes": 4096});
        let made = session.ok("storage.createImage", params).await;
        session.done(made["id"].as_str().unwrap()).await;
    }
    let mut subscriber = daemon.connect().await;
    let params = json!({"filter": "storage.Image.?", "snapshot": true});
    let subscribed = subscriber.ok("alerts.subscribe", params).await;
    for image in ["a", "b"] {
        let name = format!("storage.Image.{image}");
        let alert = subscriber.alert().await;
        let object = session
            .ok("getOperationInfo", json!({"alertName": name}))
            .await;
        assert_eq!(
            (&alert["event"], &alert["snapshot"]),
            (&json!("object"), &json!(true))
        );
        assert_eq!(alert["alertName"], name);
        assert_eq!(alert["cursor"], object["cursor"]);
        assert_eq!(alert["operationInfo"], object["operationInfo"]);
        assert_eq!(alert["subscription"], subscribed["subscription"]);
    }
    let bookmark = subscriber.pushed().await;
    assert_eq!(bookmark["method"], "alertBookmark");
    let bookmark = &bookmark["params"];
    assert_eq!(bookmark["kind"], "caughtUp");
    assert_eq!(bookmark["cursor"], subscribed["cursor"]);
    assert_eq!(bookmark["cursor"], session.head().await);
    let members: Vec<_> = bookmark.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["cursor", "kind", "subscription", "time"]);
    let params = json!({"methodName": "storage.deleteImage", "id": "d", "kwargs": {"image": "a"}});
    session.ok("operations.register", params).await;
    let live = subscriber.alerts_until_event("d", "completed").await;
    let mut resumed = daemon.connect().await;
    let params = json!({"filter": "storage.Image.?", "after": bookmark["cursor"]});
    resumed.ok("alerts.subscribe", params).await;
    let replayed = resumed.alerts_until_event("d", "completed").await;
    assert_eq!(without_subscription(&live), without_subscription(&replayed));
    assert_eq!(live[0]["event"], "registered");
}

/// Promise 8: "Every `bookmarkMs` without an alert a `heartbeat` bookmark tells how far the
/// subscription has come, so that a narrow filter can resume after any silence."
#[tokio::test]
async fn a_heartbeat_moves_a_narrow_filter_on() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let params = json!({"filter": "diagnostic.task.mine", "bookmarkMs": 20});
    let subscribed = session.ok("alerts.subscribe", params.clone()).await;
    let mut actor = daemon.connect().await;
    let mut passed = 0;
    for index in 0..20 {
        passed = actor.noop(&format!("other{index}")).await["cursor"]
            .as_u64()
            .unwrap();
    }
    let mut place = subscribed["cursor"].as_u64().unwrap();
    while place < passed {
        let bookmark = session.pushed().await;
        assert_eq!(bookmark["method"], "alertBookmark");
        assert_eq!(bookmark["params"]["kind"], "heartbeat");
        assert_eq!(
            bookmark["params"]["subscription"],
            subscribed["subscription"]
        );
        let cursor = bookmark["params"]["cursor"].as_u64().unwrap();
        assert!(cursor >= place);
        place = cursor;
    }
    drop(session);
    actor.noop("mine").await;
    let mut session = daemon.connect().await;
    let params = json!({"filter": "diagnostic.task.mine", "after": place, "bookmarkMs": 0});
    session.ok("alerts.subscribe", params).await;
    let alerts = session.alerts_until_event("mine", "completed").await;
    assert_eq!(events(&alerts), ["registered", "started", "completed"]);
}

/// §3, `alerts.read`: the same log as pushed, page by page, waiting for the first alert.
#[tokio::test]
async fn reading_is_the_same_log() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..10 {
        session.noop(&format!("n{index}")).await;
        session.done(&format!("n{index}")).await;
    }
    let all = session.read_all("*", 0).await;
    assert_eq!(all.len(), 30);
    let mut pages = Vec::new();
    let mut after = json!(0);
    loop {
        let page = session
            .ok("alerts.read", json!({"after": after, "limit": 7}))
            .await;
        pages.extend(page["alerts"].as_array().unwrap().iter().cloned());
        after = page["cursor"].clone();
        if page["more"] == false {
            break;
        }
        assert_eq!(page["alerts"].as_array().unwrap().len(), 7);
    }
    assert_eq!(pages, all);
    let mut reader = daemon.connect().await;
    let params = json!({"after": after, "filter": "*.late", "timeoutMs": 60_000});
    let read = reader.send("alerts.read", &params.to_string()).await;
    session.noop("early").await;
    session.noop("late").await;
    let answer: Value = serde_json::from_str(&reader.answer(read).await).unwrap();
    assert_eq!(answer["result"]["alerts"][0]["operationId"], "late");
    for id in ["early", "late"] {
        session.done(id).await;
    }
    let head = session.head().await;
    let none = session
        .ok("alerts.read", json!({"after": head, "timeoutMs": 1}))
        .await;
    assert_eq!(
        none,
        json!({"alerts": [], "cursor": none["cursor"], "more": false})
    );
}

/// §3, `alerts.unsubscribe`: nothing more comes; other subscriptions go on.
#[tokio::test]
async fn unsubscribing_ends_one_subscription() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let first = session.ok("alerts.subscribe", json!({})).await["subscription"].clone();
    let second = session.ok("alerts.subscribe", json!({})).await["subscription"].clone();
    assert_ne!(first, second);
    let ended = session
        .ok("alerts.unsubscribe", json!({"subscription": first}))
        .await;
    assert_eq!(ended, true);
    session.noop("n").await;
    let alerts = session.alerts_until_event("n", "completed").await;
    assert!(alerts.iter().all(|alert| alert["subscription"] == second));
    let error = session
        .error("alerts.unsubscribe", json!({"subscription": first}))
        .await;
    assert_eq!(error["code"], -32602);
}

/// The same log over the Unix socket, where no token is needed.
#[tokio::test]
async fn the_unix_socket_needs_no_token() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = Session::unix(&daemon.socket).await;
    session.ok("alerts.subscribe", json!({})).await;
    session
        .ok("operations.register", hold("h", json!([])))
        .await;
    let alerts = session.alerts_until_event("h", "started").await;
    assert_eq!(events(&alerts), ["registered", "started"]);
    let identity = session.get("h").await["registeredBy"].clone();
    assert!(identity.as_str().unwrap().starts_with("uid:"), "{identity}");
}
