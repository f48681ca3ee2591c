//! SIGTERM: an end in order, that waits for nobody and loses nothing.

use std::time::Instant;

use serde_json::json;

use crate::load::{Load, Noise};
use crate::program::{Home, NEVER};

/// Who reads that the daemon is ready may end it at once, and it ends in order.
#[tokio::test]
async fn a_daemon_that_is_ready_ends_in_order() {
    let home = Home::new();
    for _ in 0..5 {
        home.start().stop().await;
    }
}

/// "SIGTERM ends within 5 s with nothing lost", under load, with waits and subscribers connected. A
/// busy machine may take longer, but not as long as the wait would last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_ends_soon_and_loses_nothing() {
    let home = Home::new();
    let mut noise = Noise::seeded();
    for round in 0..3 {
        let daemon = home.start();
        let mut waiter = daemon.connect().await;
        waiter.hold(&format!("running{round}"), json!([])).await;
        waiter.ok("alerts.subscribe", json!({})).await;
        waiter
            .send(
                "operations.wait",
                &format!(r#"{{"ids":["running{round}"],"timeoutMs":300000}}"#),
            )
            .await;
        let load = Load::start(&daemon.socket, &format!("t{round}")).await;
        load.acknowledged(1 + noise.below(400)).await;
        let told = Instant::now();
        daemon.terminate();
        let status = daemon.wait().await;
        let took = told.elapsed();
        assert!(status.success(), "{status}");
        assert!(took < NEVER, "{took:?}");
        let ledger = load.ended().await;
        let daemon = home.start();
        let mut session = daemon.connect().await;
        ledger
            .check_found(&mut session, &ledger.acknowledged())
            .await;
        ledger.check_repeated(&mut session, 0).await;
        let running = session.get(&format!("running{round}")).await;
        assert_eq!(
            (&running["state"], &running["attempt"]),
            (&json!("running"), &json!(2))
        );
        daemon.stop().await;
    }
}
