//! The example of an executor, against a daemon that is killed in the middle.

use std::io::Write;

use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{OperationState, to_json};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;

use crate::executor_example::attach;
use crate::program::{Home, NEVER};

/// Its attempt runs before, during and after the absence of the daemon: it is one attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_survives_its_daemon() {
    let home = Home::new();
    let daemon = home.start();
    let executor = daemon.client().await;
    let _attachment = attach(&executor).await.unwrap();
    // What it counts comes through a pipe, so the test says how far it is.
    let pipe = home.folder.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let client = daemon.client().await;
    let mut watch = client.watch("text.*").await.unwrap();
    let kwargs = to_json(&json!({"path": pipe})).unwrap();
    let request = RegisterParams::new("text.countLines", kwargs).with_id("count");
    client.register(&request).await.unwrap();
    let mut lines = tokio::task::spawn_blocking(move || {
        std::fs::OpenOptions::new().write(true).open(pipe).unwrap()
    })
    .await
    .unwrap();
    lines.write_all(b"one\ntwo\n").unwrap();
    loop {
        let alert = watch.wait_for_event(NEVER).await.unwrap();
        if alert.operation_info.stage_description == "2 lines" {
            break;
        }
    }
    daemon.kill();
    // It ends while nobody can be told.
    lines.write_all(b"three\n").unwrap();
    drop(lines);
    let _daemon = home.start();
    let operation = client.wait_for_operation("count", NEVER).await.unwrap();
    assert_eq!(operation.state, OperationState::Completed);
    assert_eq!(operation.result.unwrap().get(), r#"{"lines":3}"#);
    assert_eq!(operation.attempt, 1);
}
