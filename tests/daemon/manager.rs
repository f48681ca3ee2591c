//! The example of a manager's loop, against a daemon that is killed in the middle.

use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{OperationState, to_json};
use serde_json::json;

use crate::following::{ENDLESS, check_copied, configure, home_with_image, until_the_middle};
use crate::manager_example::follow;

/// The manager registers, is disconnected by kill -9, reconnects, and sees the operation's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managers_loop_survives_its_daemon() {
    let (home, daemon) = home_with_image(ENDLESS).await;
    let client = daemon.client().await;
    let kwargs = to_json(&json!({"source": "a", "target": "b"})).unwrap();
    let request = RegisterParams::new("storage.copyImage", kwargs).with_id("copy");
    let manager = tokio::spawn({
        let client = client.clone();
        async move { follow(&client, &request).await }
    });
    let mut session = daemon.connect().await;
    until_the_middle(&mut session).await;
    daemon.kill();
    configure(&home, None);
    let _daemon = home.start();
    let operation = manager.await.unwrap().unwrap();
    assert_eq!(operation.state, OperationState::Completed);
    assert_eq!(operation.attempt, 2);
    assert!(operation.operation_info.stage.is_last());
    check_copied(&home);
}
