//! Protocol §3, Kept: what is kept for how long, and what is said of what is not.

use std::time::Instant;

use opstead_client::{Error, SubscribeOptions};
use serde_json::json;

use crate::load::Load;
use crate::program::{Home, NEVER};

/// §5.3: Further back: `cursorExpired {oldestCursor}`, from which one can resume; §3: alerts are
/// kept shorter only when a configured size is reached.
#[tokio::test]
async fn a_cursor_further_back_than_is_kept_has_expired() {
    let home = Home::with("[retention]\nalerts_bytes = 2000\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("first").await;
    // Each of these is durable before the next, so housekeeping gets its turns.
    let deadline = Instant::now() + NEVER;
    let mut count = 0;
    let error = loop {
        session.noop(&format!("n{count}")).await;
        count += 1;
        let answer = session.call("alerts.read", json!({"after": 0})).await;
        if let Some(error) = answer.get("error") {
            break error.clone();
        }
        assert!(Instant::now() < deadline, "nothing is ever let go of");
    };
    assert_eq!(error["code"], 1006);
    assert_eq!(
        (&error["data"]["reason"], &error["data"]["cursor"]),
        (&json!("cursorExpired"), &json!(0))
    );
    let error = session.error("alerts.subscribe", json!({"after": 0})).await;
    let oldest = error["data"]["oldestCursor"].as_u64().unwrap();
    assert!(oldest > 0);
    let (status, subscribed) = loop {
        let status = session.ok("system.status", json!({})).await;
        assert!(status["oldestCursor"].as_u64() >= Some(oldest));
        let params = json!({"after": status["oldestCursor"]});
        let answer = session.call("alerts.subscribe", params).await;
        if answer.get("error").is_none() {
            break (status, answer["result"].clone());
        }
        // More is let go of meanwhile, but not for ever.
        assert_eq!(answer["error"]["data"]["reason"], "cursorExpired");
        assert!(Instant::now() < deadline, "it goes on letting go");
    };
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

/// §3, Kept, under load: what may go goes while more comes, or the disk would fill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letting_go_keeps_up_with_a_load() {
    let home = Home::with("[retention]\nalerts_bytes = 200000\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let load = Load::start(&daemon.socket, "load").await;
    let mut oldest = 0;
    let deadline = Instant::now() + NEVER;
    for _ in 0..3 {
        // It is let go of again and again while the load goes on.
        let before = oldest;
        while oldest == before {
            assert!(Instant::now() < deadline, "nothing more goes");
            let status = session.ok("system.status", json!({})).await;
            oldest = status["oldestCursor"].as_u64().unwrap();
        }
    }
    daemon.kill();
    let ledger = load.ended().await;
    let errors = std::fs::read_to_string(home.folder.path().join("stderr")).unwrap();
    assert!(!errors.contains("could not be"), "{errors}");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    ledger
        .check_found(&mut session, &ledger.acknowledged())
        .await;
}

/// §3, Kept: done operations go, with their ids, when a configured size is reached; open ones stay.
#[tokio::test]
async fn done_operations_go_when_their_size_is_reached() {
    const COUNT: usize = 2_500;
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("open", json!([])).await;
    for index in 0..COUNT {
        let params = json!({"methodName": "diagnostic.noop", "id": format!("n{index}")});
        session
            .send("operations.register", &params.to_string())
            .await;
        if index >= 100 {
            session.receive().await.unwrap();
        }
    }
    for _ in 0..100 {
        session.receive().await.unwrap();
    }
    daemon.stop().await;
    home.configure("[retention]\noperations_bytes = 1\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let mut kept = COUNT as u64;
    let deadline = Instant::now() + NEVER;
    while kept > 0 {
        assert!(Instant::now() < deadline, "{kept} are still kept");
        let status = session.ok("system.status", json!({})).await;
        kept = status["counts"]["completed"].as_u64().unwrap();
    }
    let anew = session.noop("n0").await;
    assert_eq!(anew["existing"], false, "ids go with their operation");
    assert_eq!(session.get("open").await["state"], "running");
}
