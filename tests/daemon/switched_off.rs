//! A subsystem that is switched off: what it declared before stays known.

use serde_json::json;

use crate::program::Home;

/// Its methods can be registered by either way, are checked as ever, and wait for an executor.
#[tokio::test]
async fn methods_of_a_subsystem_that_is_off_are_checked_and_wait() {
    let home = Home::new();
    home.start().stop().await;
    std::fs::write(home.config(), "").unwrap();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let by_register = |kwargs| json!({"methodName": "diagnostic.wait", "kwargs": kwargs});
    let wrong = json!({"seconds": "soon"});
    let errors = [
        session.error("diagnostic.wait", wrong.clone()).await,
        session
            .error("operations.register", by_register(wrong))
            .await,
    ];
    for error in errors {
        assert_eq!(error["code"], -32602, "{error}");
        let pointer = error["data"]["faults"][0]["pointer"].as_str().unwrap();
        assert!(pointer.ends_with("/seconds"), "{error}");
    }
    let right = json!({"seconds": 0});
    let registrations = [
        session.ok("diagnostic.wait", right.clone()).await,
        session.ok("operations.register", by_register(right)).await,
    ];
    for registration in &registrations {
        assert_eq!(registration["response"], "postponed", "{registration}");
        assert_eq!(registration["reasons"][0]["cause"], "executor");
    }
    assert_eq!(
        session.error("diagnostic.nap", json!({})).await["code"],
        -32601
    );
    daemon.stop().await;
    home.configure("");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for registration in registrations {
        let done = session.done(registration["id"].as_str().unwrap()).await;
        assert_eq!(done["state"], "completed", "{done}");
    }
}
