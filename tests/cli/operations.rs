//! `tasks`, `show`, `cancel`, `status`.

use serde_json::json;

use super::support::Daemon;

#[test]
fn tasks_are_those_that_are_not_done() {
    let daemon = Daemon::start();
    assert_eq!(daemon.run(&["tasks"]).stdout, "Nothing is outstanding.\n");
    assert_eq!(daemon.json(&["tasks"]), json!([]));

    daemon.json(&["call", "diagnostic.noop", "--id", "done", "--wait"]);
    daemon.hold("a1", "x", "delete");
    daemon.hold("b1", "y", "read");
    let ran = daemon.run(&["tasks"]);
    let lines = ran.lines();
    assert_eq!(lines[0], "ID METHOD STATE PROGRESS ARGUMENTS");
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert_eq!(lines[1], "a1 diagnostic.wait running Running {}");

    let tasks = daemon.json(&["tasks", "b*"]);
    assert_eq!(
        tasks,
        json!([{"id": "b1", "methodName": "diagnostic.wait", "kwargs": {}}])
    );
    assert_eq!(
        daemon.json(&["tasks", "(a|b)1", "--type", "regexp"])[1]["id"],
        "b1"
    );
}

#[test]
fn show_has_the_whole_record() {
    let daemon = Daemon::start();
    daemon.hold("reader", "a", "read");
    daemon.json(&[
        "call",
        "storage.deleteImage",
        "image=a",
        "--id",
        "gone",
        "--tag",
        "t",
    ]);
    let ran = daemon.run(&["show", "gone"]);
    let lines = ran.lines();
    for expected in [
        "Id gone",
        "Method storage.deleteImage, version 1",
        "Arguments {\"image\":\"a\"}",
        "Alert name storage.Image.a",
        "State waiting",
        "Claims image a (delete)",
        "Tags t",
        "Blocked by: reader, whose claim is",
        "Resource: image a",
        "Operation: read",
    ] {
        assert!(lines.contains(&expected.to_owned()), "{expected}: {ran:?}");
    }
    let operation = daemon.json(&["show", "gone"]);
    assert_eq!(operation["state"], "waiting");
    assert_eq!(operation["reasons"][0]["blockedBy"], json!(["reader"]));
}

#[test]
fn show_says_how_it_went() {
    let daemon = Daemon::start();
    let create = ["call", "storage.createImage", "image=a", "sizeBytes=4096"];
    daemon.json(&[&create[..], &["--id", "made", "--wait"]].concat());
    daemon.run(&[&create[..], &["--id", "failed", "--wait"]].concat());
    let made = daemon.run(&["show", "made"]).lines();
    for expected in [
        "State completed",
        "Done [####################] 100 %",
        "Attempt 1 of 1",
        "Result:",
        "\"sizeBytes\": 4096",
    ] {
        assert!(made.contains(&expected.to_owned()), "{expected}: {made:?}");
    }
    let failed = daemon.run(&["show", "failed"]).lines();
    for expected in [
        "State failed",
        "Error: there is an image \"a\" in the pool already (imageExists, 3002)",
    ] {
        assert!(
            failed.contains(&expected.to_owned()),
            "{expected}: {failed:?}"
        );
    }
}

#[test]
fn cancel_cancels() {
    let daemon = Daemon::start();
    daemon.hold("reader", "a", "read");
    daemon.json(&["call", "storage.deleteImage", "image=a", "--id", "gone"]);
    assert_eq!(daemon.run(&["cancel", "gone"]).stdout, "Canceled: gone\n");

    let running = daemon.json(&["cancel", "reader"]);
    assert_eq!(running["id"], "reader");
    let wait = ["call", "operations.wait", "ids:=[\"reader\"]"];
    assert_eq!(daemon.json(&wait)["operations"][0]["state"], "canceled");
}

#[test]
fn status_tells_of_log_operations_and_executors() {
    let daemon = Daemon::start();
    daemon.json(&["call", "diagnostic.noop", "--wait"]);
    daemon.hold("h", "x", "read");
    let status = daemon.json(&["status"]);
    let ran = daemon.run(&["status"]);
    let lines = ran.lines();
    assert!(
        lines[2].contains(status["logId"].as_str().unwrap()),
        "{ran:?}"
    );
    assert_eq!(lines[3], "Operations 1 running, 1 completed");
    let storage = "Executor storage: 0 of 4 running".to_owned();
    assert!(lines.contains(&storage), "{ran:?}");
}
