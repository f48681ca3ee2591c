//! Images whose daemon is killed or ended in the middle of the work on them. The work is done by the
//! real `qemu-img`; without it these tests say that they are skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::load::Noise;
use crate::program::{Daemon, Home};
use crate::session::Session;
use crate::working::{Working, working_in};

/// So little that what is copied comes to a stop in the middle.
const SLOW: &str = "[storage]\ncopy_bytes_per_second = 4000\n";

const MIB: usize = 1 << 20;

/// A home with a pool that holds the raw image `a`, 24 MiB of noise; nothing without the tools.
fn home() -> Option<Home> {
    let there = ["qemu-img", "qemu-io"].iter().all(|program| {
        let mut command = Command::new(program);
        let command = command.arg("--version").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if !there {
        println!("skipped: qemu-img or qemu-io is missing; they are in the package qemu-utils");
        return None;
    }
    let home = Home::new();
    fs::create_dir_all(pool(&home)).unwrap();
    let mut noise = Noise(7);
    let content: Vec<u8> = (0..3 * MIB)
        .flat_map(|_| noise.next().to_le_bytes())
        .collect();
    fs::write(pool(&home).join("a"), content).unwrap();
    Some(home)
}

fn pool(home: &Home) -> PathBuf {
    home.data.join("pool")
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) {
    let mut command = Command::new(program);
    let output = command.args(arguments).args(paths).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
}

/// What a guest sees of a qcow2 image.
fn content(home: &Home, image: &str) -> Vec<u8> {
    let whole = home.folder.path().join("content");
    let image = pool(home).join(".qcow2").join(image);
    let convert = ["convert", "-f", "qcow2", "-O", "raw"];
    run("qemu-img", &convert, &[&image, &whole]);
    fs::read(whole).unwrap()
}

/// Registers, and waits until some bytes are done and no more come. Returns who works on it.
async fn until_the_middle(home: &Home, session: &mut Session, request: Value) -> Vec<Working> {
    session
        .ok("alerts.subscribe", json!({"filter": "storage.*"}))
        .await;
    session.ok("operations.register", request).await;
    let is_under_way = |alert: &Value| {
        let done = &alert["operationInfo"]["extraData"]["bytesDone"];
        done.as_u64() > Some(0)
    };
    session.alerts_until(is_under_way).await;
    let working = working_in(&pool(home));
    assert!(working.iter().any(|process| process.name == "qemu-img"));
    working
}

fn nothing_is_left(home: &Home, working: Vec<Working>) {
    working.into_iter().for_each(Working::gone);
    assert!(working_in(&pool(home)).is_empty());
}

async fn restart_at_full_speed(home: &Home) -> (Daemon, Session) {
    home.configure("");
    let daemon = home.start();
    let session = daemon.connect().await;
    (daemon, session)
}

fn convert() -> Value {
    json!({
        "methodName": "storage.copyImage",
        "kwargs": {"source": "a", "target": "b", "format": "qcow2"},
        "id": "copy",
    })
}

async fn is_converted(home: &Home, session: &mut Session) {
    let copied = session.done("copy").await;
    assert_eq!(
        (&copied["state"], &copied["attempt"]),
        (&json!("completed"), &json!(2)),
        "{copied}"
    );
    assert!(content(home, "b") == fs::read(pool(home).join("a")).unwrap());
    assert!(
        fs::read_dir(pool(home).join(".partial"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[tokio::test]
async fn a_conversion_survives_kill_9_and_leaves_no_process() {
    let Some(home) = home() else { return };
    home.configure(SLOW);
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let working = until_the_middle(&home, &mut session, convert()).await;
    let info = session
        .ok("storage.getImageInfo", json!({"image": "b"}))
        .await;
    assert_eq!(
        (&info["format"], &info["imageState"]),
        (&json!("qcow2"), &json!("creating"))
    );
    daemon.kill();
    // Also before there is another daemon.
    nothing_is_left(&home, working);
    let (daemon, mut session) = restart_at_full_speed(&home).await;
    is_converted(&home, &mut session).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_conversion_goes_on_after_the_whole_service_was_ended() {
    let Some(home) = home() else { return };
    home.configure(SLOW);
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let working = until_the_middle(&home, &mut session, convert()).await;
    // As systemd does it, everybody is told; here the daemon is the last to hear of it.
    working.iter().for_each(Working::terminate);
    nothing_is_left(&home, working);
    daemon.stop().await;
    let (daemon, mut session) = restart_at_full_speed(&home).await;
    is_converted(&home, &mut session).await;
    daemon.stop().await;
}

/// Makes an overlay on `a` with 24 MiB of its own; returns what a guest sees of it.
async fn overlay(home: &Home) -> Vec<u8> {
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let request = json!({
        "methodName": "storage.createOverlay",
        "kwargs": {"image": "top", "backingImage": "a"},
        "id": "overlay",
    });
    session.ok("operations.register", request).await;
    assert_eq!(session.done("overlay").await["state"], "completed");
    daemon.stop().await;
    let top = pool(home).join(".qcow2/top");
    run(
        "qemu-io",
        &["-f", "qcow2", "-c", "write -q -P 9 0 24M"],
        &[&top],
    );
    content(home, "top")
}

fn merge(id: &str) -> Value {
    json!({
        "methodName": "storage.mergeImage",
        "kwargs": {"image": "top", "backingImage": "a"},
        "id": id,
    })
}

/// Nothing is lost by kill -9 in the middle of a merge: it is told, and merging again mends it.
#[tokio::test]
async fn a_merge_that_kill_9_cut_short_is_told_and_mended() {
    let Some(home) = home() else { return };
    let expected = overlay(&home).await;
    home.configure(SLOW);
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let working = until_the_middle(&home, &mut session, merge("merge")).await;
    let info = session
        .ok("storage.getImageInfo", json!({"image": "a"}))
        .await;
    assert_eq!(info["imageState"], "merging");
    daemon.kill();
    nothing_is_left(&home, working);

    let (daemon, mut session) = restart_at_full_speed(&home).await;
    let ended = session.done("merge").await;
    assert_eq!(ended["state"], "failed");
    let error = &ended["error"];
    assert_eq!(
        (&error["code"], &error["data"]["reason"]),
        (&json!(3012), &json!("mergeUnfinished"))
    );
    assert_eq!(error["data"]["imageState"], "degraded");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("merge \"top\" into it again"), "{message}");
    let object = session
        .ok("getOperationInfo", json!({"alertName": "storage.Image.a"}))
        .await;
    assert_eq!(
        object["operationInfo"]["extraData"]["imageState"],
        "degraded"
    );
    let info = session
        .ok("storage.getImageInfo", json!({"image": "a"}))
        .await;
    assert_eq!(info["imageState"], "degraded");
    assert!(
        fs::read(pool(&home).join("a")).unwrap() != expected,
        "it was done already"
    );
    assert!(content(&home, "top") == expected);

    session
        .ok("operations.register", merge("merge-again"))
        .await;
    let merged = session.done("merge-again").await;
    assert_eq!(merged["state"], "completed", "{merged}");
    assert!(fs::read(pool(&home).join("a")).unwrap() == expected);
    let info = session
        .ok("storage.getImageInfo", json!({"image": "a"}))
        .await;
    assert_eq!(info["imageState"], "ok");
    daemon.stop().await;
}
