//! Ids that come again: what an earlier flow of the same id has made or resized is nothing to the
//! later one, which undoes its own work only.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Daemon, Home};
use crate::session::Session;

/// Makes the image `x` and resizes it.
fn deploy(size_bytes: u64) -> Value {
    let create = json!({"name": "create", "methodName": "storage.createImage",
        "kwargs": {"image": "x", "sizeBytes": size_bytes}});
    let grow = json!({"name": "grow", "methodName": "storage.resizeImage", "requires": ["create"],
        "kwargs": {"image": "x", "sizeBytes": 2 * size_bytes}});
    json!({"id": "deploy", "name": "deploy", "steps": [create, grow]})
}

async fn run(daemon: &Daemon, flow: Value) -> (Session, Value) {
    let mut session = daemon.connect().await;
    let registered = session.ok("flows.register", flow).await;
    assert_eq!(registered["existing"], false);
    let flow = session.done("deploy").await;
    (session, flow)
}

/// Both ends: the image is in the way of the first step, which is then reverted.
async fn fails_and_leaves_the_image(daemon: &Daemon, pool: &Path) {
    let (_, flow) = run(daemon, deploy(30)).await;
    assert_eq!(flow["state"], "reverted", "{flow}");
    assert_eq!(flow["error"]["data"]["reason"], "imageExists", "{flow}");
    assert_eq!(fs::metadata(pool.join("x")).unwrap().len(), 20);
}

#[tokio::test]
async fn an_image_of_a_dismissed_flow_of_the_same_id_stays() {
    let home = Home::new();
    let daemon = home.start();
    let (mut session, flow) = run(&daemon, deploy(10)).await;
    assert_eq!(flow["state"], "completed", "{flow}");
    let ids = json!({"ids": ["deploy", "deploy.create", "deploy.grow"]});
    let dismissed = session.ok("operations.dismiss", ids).await;
    assert_eq!(dismissed["dismissed"], 3);
    fails_and_leaves_the_image(&daemon, &home.data.join("pool")).await;
}

/// There everything has the same place in the log.
#[tokio::test]
async fn an_image_of_another_data_folder_s_flow_of_the_same_id_stays() {
    let pool = tempfile::tempdir().unwrap();
    let config = format!("[storage]\npool = {:?}\n", pool.path());
    let home = Home::with(&config);
    let daemon = home.start();
    let (_, flow) = run(&daemon, deploy(10)).await;
    assert_eq!(flow["state"], "completed", "{flow}");
    daemon.stop().await;
    let other = Home::with(&config);
    fails_and_leaves_the_image(&other.start(), pool.path()).await;
}

/// There it has the same place in the same log.
#[tokio::test]
async fn an_image_stays_that_a_flow_made_before_the_data_folder_was_put_back() {
    let pool = tempfile::tempdir().unwrap();
    let home = Home::with(&format!("[storage]\npool = {:?}\n", pool.path()));
    home.start().stop().await;
    let backup = home.folder.path().join("backup");
    copy(&home.data, &backup);
    let daemon = home.start();
    let (mut session, flow) = run(&daemon, deploy(10)).await;
    assert_eq!(flow["state"], "completed", "{flow}");
    let first = places(&mut session).await;
    daemon.stop().await;
    fs::remove_dir_all(&home.data).unwrap();
    copy(&backup, &home.data);
    let daemon = home.start();
    fails_and_leaves_the_image(&daemon, pool.path()).await;
    assert_eq!(places(&mut daemon.connect().await).await, first);
}

/// The places of what was registered.
async fn places(session: &mut Session) -> Vec<(Value, Value)> {
    let alerts = session.read_all("*", 0).await.into_iter();
    let registered = alerts.filter(|alert| alert["event"] == "registered");
    registered
        .map(|alert| (alert["operationId"].clone(), alert["cursor"].clone()))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}
