//! What goes wrong: the exit code, one sentence, a hint, and the same as JSON.

use super::support::{Daemon, Ran, program};

fn refused(ran: &Ran, code: i32, says: &str) {
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{ran:?}");
    assert!(ran.stderr.contains(says), "{says}: {ran:?}");
}

#[test]
fn nobody_there_is_69() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut status = program();
    status.arg("status").arg("--data").arg(folder.path());
    let ran = Ran::of(&mut status);
    refused(&ran, 69, "opstead.sock");
    assert!(
        ran.stderr
            .contains("Hint: start a daemon with opstead serve"),
        "{ran:?}"
    );

    let ran = Ran::of(status.arg("--json"));
    assert_eq!(ran.code, 69);
    assert_eq!(ran.document()["error"]["data"]["reason"], "unreachable");
}

#[test]
fn a_wrong_token_is_77() {
    let daemon = Daemon::start();
    let over_tcp = ["status", "--connect", &daemon.url];
    refused(&daemon.run(&over_tcp), 77, "--token-file");

    let wrong = daemon.folder().join("wrong.token");
    std::fs::write(&wrong, "0123456789abcdef0123456789abcdef").unwrap();
    let with = |path: &str| [&over_tcp[..], &["--token-file", path]].concat().join(" ");
    let run = |line: String| daemon.run(&line.split(' ').collect::<Vec<_>>());
    refused(&run(with(wrong.to_str().unwrap())), 77, "--token-file");
    refused(&run(with("/nonexistent/token")), 77, "/nonexistent/token");

    let right = daemon.folder().join("data/admin.token");
    assert_eq!(run(with(right.to_str().unwrap())).code, 0);
    let mut by_environment = daemon.command(&["status"]);
    by_environment
        .env("OPSTEAD_CONNECT", &daemon.url)
        .env("OPSTEAD_TOKEN_FILE", right);
    assert_eq!(Ran::of(&mut by_environment).code, 0);
}

#[test]
fn a_bad_filter_is_2_with_its_place() {
    let daemon = Daemon::start();
    for command in ["tasks", "list", "objects", "methods", "watch", "wait"] {
        refused(&daemon.run(&[command, "a[b"]), 2, "at character 1");
        refused(
            &daemon.run(&[command, "a(b", "--type", "regexp"]),
            2,
            "invalidFilter",
        );
    }
}

#[test]
fn usage_is_2() {
    let daemon = Daemon::start();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["show"],
        &["status", "--frobnicate"],
        &["watch", "--type", "perl"],
        &["tasks", "--resource", "image"],
        &["tasks", "--limit", "5"],
        &["list", "--state", "open"],
        &["list", "--state", "failed", "--all"],
        &["list", "--limit", "0"],
        &["methods", "diagnostic.nothing"],
        &["completions", "csh"],
        &["wait", "*", "--timeout", "soon"],
        &["status", "--connect", "http://localhost:1"],
        &["call", "diagnostic.noop", "novalue"],
        &["call", "diagnostic.wait", "seconds=soon"],
        &["call", "diagnostic.nothing"],
        &["call", "alerts.subscribe"],
        &["call", "system.status", "--wait"],
        &["call", "operations.get", "frobnicate=1"],
    ] {
        let ran = daemon.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(daemon.json(&["tasks"]), serde_json::json!([]));
}

/// Kwargs against the schema: every fault with its pointer.
#[test]
fn faults_are_told_with_their_places() {
    let daemon = Daemon::start();
    let ran = daemon.run(&["call", "storage.createImage", "image=../x", "sizeBytes=0"]);
    refused(&ran, 2, "\n  image: ");
    assert!(ran.stderr.contains("\n  sizeBytes: "), "{ran:?}");
    // A program is told where it is in what was sent.
    let ran = daemon.run(&["call", "storage.createImage", "image=../x", "--json"]);
    let faults = &ran.document()["error"]["data"]["faults"];
    assert_eq!(faults[1]["pointer"], "/kwargs/image", "{ran:?}");
}

#[test]
fn what_is_understood_but_cannot_be_is_65() {
    let daemon = Daemon::start();
    daemon.json(&[
        "call",
        "diagnostic.wait",
        "seconds=0",
        "--id",
        "one",
        "--wait",
    ]);
    refused(
        &daemon.run(&["call", "diagnostic.noop", "--id", "one"]),
        65,
        "idReused",
    );
    refused(&daemon.run(&["show", "absent"]), 65, "operationNotFound");
    refused(&daemon.run(&["cancel", "one"]), 65, "it is completed");
    refused(
        &daemon.run(&["watch", "--after", "1000000"]),
        65,
        "cursorUnknown",
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let daemon = Daemon::start();
    let mut watch = daemon.spawn(&["watch", "--after", "0"]);
    drop(watch.stdout());
    daemon.json(&["call", "diagnostic.noop", "--wait"]);
    let ran = watch.end();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
