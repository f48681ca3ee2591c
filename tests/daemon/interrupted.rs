//! Protocol §7, Interrupted: what becomes of attempts that a daemon took with it.

use serde_json::{Value, json};

use crate::program::Home;
use crate::session::events;

/// §7: `retry` (a new attempt…; the fifth interruption ends it)… ends as `executorLost`.
#[tokio::test]
async fn an_interrupted_operation_is_retried_and_the_fifth_time_ends_it() {
    let home = Home::new();
    let daemon = home.start();
    daemon.connect().await.hold("a", json!([])).await;
    daemon.kill();
    for attempt in 2..=5 {
        let daemon = home.start();
        let operation = daemon.connect().await.get("a").await;
        assert_eq!(
            (&operation["state"], &operation["attempt"]),
            (&json!("running"), &json!(attempt))
        );
        daemon.kill();
    }
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let ended = session.get("a").await;
    assert_eq!(
        (&ended["state"], &ended["done"]),
        (&json!("failed"), &json!(true))
    );
    assert_eq!(ended["error"]["code"], 2001);
    assert_eq!(ended["error"]["data"]["reason"], "executorLost");
    assert_eq!(ended["operationInfo"]["lastError"]["code"], 2001);
    assert_eq!(
        ended["operationInfo"]["stage"],
        json!({"number": 1, "total": 1})
    );
    let story = session.read_all("*", 0).await;
    let story: Vec<_> = events(&story)
        .into_iter()
        .filter(|event| *event != "progress")
        .collect();
    let mut expected = vec!["registered", "started"];
    for _ in 0..4 {
        expected.extend(["retrying", "started"]);
    }
    expected.push("failed");
    assert_eq!(story, expected);
}

/// §7: one that was canceling is then canceled: whatever was told to be canceling never runs
/// again.
#[tokio::test]
async fn what_was_canceling_is_canceled() {
    const COUNT: usize = 300;
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..COUNT {
        session.hold(&format!("n{index}"), json!([])).await;
    }
    let mut ids = std::collections::HashMap::new();
    for index in 0..COUNT {
        let id = format!("n{index}");
        let params = json!({"id": id}).to_string();
        ids.insert(session.send("operations.cancel", &params).await, id);
    }
    let mut canceled = Vec::new();
    for _ in 0..COUNT / 3 {
        let answer: Value = serde_json::from_str(&session.receive().await.unwrap()).unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
        canceled.push(ids[&answer["id"].as_u64().unwrap()].clone());
    }
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for id in canceled {
        let operation = session.get(&id).await;
        assert_eq!(
            (&operation["state"], &operation["attempt"]),
            (&json!("canceled"), &json!(1))
        );
        assert_eq!(operation["error"]["code"], 2005);
    }
}
