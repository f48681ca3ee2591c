//! Protocol §3, Kept: what is kept for how long, and what is said of what is not.

use opstead_client::{Error, SubscribeOptions};
use serde_json::json;

use crate::program::Home;

/// §5.3: "Further back: `cursorExpired {oldestCursor}`", from which one can resume; §3: alerts are
/// kept shorter "only when a configured size is reached".
#[tokio::test]
async fn a_cursor_further_back_than_is_kept_has_expired() {
    let home = Home::with("[retention]\nalerts_bytes = 2000\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("first").await;
    // Each of these is durable before the next, so housekeeping gets its turns.
    let mut count = 0;
    let error = loop {
        session.noop(&format!("n{count}")).await;
        count += 1;
        let answer = session.call("alerts.read", json!({"after": 0})).await;
        if let Some(error) = answer.get("error") {
            break error.clone();
        }
        assert!(count < 200_000, "nothing is ever let go of");
    };
    assert_eq!(error["code"], 1006);
    assert_eq!(
        (&error["data"]["reason"], &error["data"]["cursor"]),
        (&json!("cursorExpired"), &json!(0))
    );
    let error = session.error("alerts.subscribe", json!({"after": 0})).await;
    let oldest = error["data"]["oldestCursor"].as_u64().unwrap();
    assert!(oldest > 0);
    let status = session.ok("system.status", json!({})).await;
    assert!(status["oldestCursor"].as_u64() >= Some(oldest));
    let params = json!({"after": status["oldestCursor"]});
    let subscribed = session.ok("alerts.subscribe", params).await;
    assert_eq!(subscribed["oldestCursor"], status["oldestCursor"]);
    assert_eq!(
        session.get("first").await["state"],
        "completed",
        "operations are kept longer"
    );
    let client = daemon.client().await;
    let log_id = status["logId"].as_str().unwrap();
    let options = SubscribeOptions::new("*").after(0, log_id);
    let refused = client.subscribe(options).await.err().unwrap();
    assert!(matches!(refused, Error::CursorExpired { oldest_cursor } if oldest_cursor >= oldest));
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    assert_eq!(session.get("first").await["state"], "completed");
    let error = session.error("alerts.read", json!({"after": 0})).await;
    assert_eq!(
        error["data"]["reason"], "cursorExpired",
        "also after a restart"
    );
}
