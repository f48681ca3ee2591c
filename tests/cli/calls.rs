//! `call`: registering, waiting, asking, and what the answers say in words.

use serde_json::json;

use super::support::{Daemon, words_of};

#[test]
fn a_call_registers_and_says_the_id() {
    let daemon = Daemon::start();
    let ran = daemon.run(&["call", "diagnostic.noop", "--id", "one"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "Registered: one\n"));

    let again = daemon.json(&["call", "diagnostic.noop", "--id", "one"]);
    assert_eq!(again["id"], "one");
    assert_eq!(again["existing"], true);
}

#[test]
fn values_have_the_types_of_the_methods_schema() {
    let daemon = Daemon::start();
    let arguments = [
        "image=7",
        "sizeBytes=4096",
        "--wait",
        "--tag",
        "a",
        "--tag",
        "b",
    ];
    let operation = daemon.json(&[&["call", "storage.createImage"][..], &arguments].concat());
    assert_eq!(
        operation["kwargs"],
        json!({"image": "7", "sizeBytes": 4096})
    );
    assert_eq!(operation["tags"], json!(["a", "b"]));
    assert_eq!(operation["state"], "completed");
    // Without a type in the schema: JSON if it is JSON, else a string.
    let noop = [
        "call",
        "diagnostic.noop",
        "a=7",
        "b=x y",
        "c:=\"7\"",
        "--wait",
    ];
    assert_eq!(
        daemon.json(&noop)["kwargs"],
        json!({"a": 7, "b": "x y", "c": "7"})
    );
}

#[test]
fn waiting_ends_with_the_result() {
    let daemon = Daemon::start();
    let create = [
        "call",
        "storage.createImage",
        "image=a",
        "sizeBytes=4096",
        "--wait",
    ];
    let ran = daemon.run(&create);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = ran.lines();
    assert!(
        lines[0].starts_with("Registered: storage.Image.a."),
        "{ran:?}"
    );
    assert_eq!(lines[1], "Completed.");
    assert!(lines.contains(&"\"sizeBytes\": 4096".to_owned()), "{ran:?}");
    // Not on a terminal: no bar, nothing that moves.
    assert!(!ran.stderr.contains(['\r', '\u{1b}']), "{ran:?}");
}

#[test]
fn waiting_ends_with_the_error() {
    let daemon = Daemon::start();
    let delete = ["call", "storage.deleteImage", "image=absent", "--wait"];
    let ran = daemon.run(&delete);
    assert_eq!(ran.code, 1, "{ran:?}");
    let last = ran.lines().pop().unwrap();
    assert!(
        last.starts_with("Failed: ") && last.ends_with("(imageNotFound, 3001)"),
        "{ran:?}"
    );

    let ran = daemon.run(&[&delete[..], &["--json"]].concat());
    assert_eq!(ran.code, 1);
    assert_eq!(ran.document()["state"], "failed");
}

/// What ended long ago is told at once.
#[test]
fn waiting_for_what_is_done_ends_at_once() {
    let daemon = Daemon::start();
    let call = ["call", "diagnostic.noop", "--id", "one", "--wait"];
    assert_eq!(daemon.run(&call).code, 0);
    let ran = daemon.run(&call);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.lines(),
        ["Registered before: one is completed.", "Completed."]
    );
}

#[test]
fn a_query_prints_its_answer() {
    let daemon = Daemon::start();
    daemon.json(&[
        "call",
        "storage.createImage",
        "image=a",
        "sizeBytes=4096",
        "--wait",
    ]);
    let query = ["call", "storage.getImageInfo", "image=a"];
    let answer = daemon.json(&query);
    assert_eq!(answer["sizeBytes"], 4096);
    assert!(answer["operationInfo"].is_object(), "{answer}");
    let ran = daemon.run(&query);
    assert!(ran.stdout.contains("\n  \"sizeBytes\": 4096"), "{ran:?}");

    // One that fails says why, in the subsystem's own words.
    let absent = ["call", "storage.getImageInfo", "image=absent"];
    let ran = daemon.run(&absent);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (
            1,
            "",
            "opstead: there is no image \"absent\" in the pool (imageNotFound, 3001).\n"
        )
    );
    let ran = daemon.run(&[&absent[..], &["--json"]].concat());
    assert_eq!(ran.code, 1);
    assert_eq!(ran.document()["error"]["data"]["reason"], "imageNotFound");
}

#[test]
fn the_daemons_own_methods_can_be_called() {
    let daemon = Daemon::start();
    daemon.json(&["call", "diagnostic.noop", "--id", "123", "--wait"]);
    // An id is a string, although it looks like a number.
    let operation = daemon.json(&["call", "operations.get", "id=123"]);
    assert_eq!(operation["methodName"], "diagnostic.noop");
    let page = daemon.json(&["call", "operations.list", "states:=[\"completed\"]"]);
    assert_eq!(page["operations"][0]["id"], "123");
    let read = daemon.json(&["call", "alerts.read", "after=0", "limit=1"]);
    assert_eq!(read["alerts"][0]["event"], "registered");
    assert_eq!(read["more"], true);
}

/// A postponed call says so in words, with a `Resource:` and an `Operation:` line, and by whom.
#[test]
fn a_postponed_call_says_why() {
    let daemon = Daemon::start();
    daemon.json(&[
        "call",
        "storage.createImage",
        "image=a",
        "sizeBytes=4096",
        "--wait",
    ]);
    daemon.hold("reader", "a", "read");
    let ran = daemon.run(&["call", "storage.deleteImage", "image=a", "--id", "gone"]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.lines(),
        [
            "Registered: gone",
            "Postponed: it starts by itself when what it waits for is done.",
            "Blocked by: reader, whose claim is",
            "Resource: image a",
            "Operation: read",
        ]
    );

    daemon.run(&["cancel", "reader"]);
    let ran = daemon.run(&[
        "call",
        "storage.deleteImage",
        "image=a",
        "--id",
        "gone",
        "--wait",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// A rejected call says so in words, exits with 65, and nothing of it is stored.
#[test]
fn a_rejected_call_says_why() {
    let daemon = Daemon::start();
    daemon.hold("remover", "a", "delete");
    let resize = [
        "call",
        "storage.resizeImage",
        "image=a",
        "sizeBytes=1",
        "--id",
        "no",
    ];
    let ran = daemon.run(&resize);
    assert_eq!((ran.code, ran.stdout.as_str()), (65, ""));
    let lines = words_of(&ran.stderr);
    assert!(lines[0].starts_with("Rejected: "), "{ran:?}");
    assert_eq!(
        lines[1..4],
        [
            "Blocked by: remover, whose claim is",
            "Resource: image a",
            "Operation: delete",
        ]
    );
    assert_eq!(daemon.run(&["show", "no"]).code, 65);

    let ran = daemon.run(&[&resize[..], &["--json"]].concat());
    assert_eq!(ran.code, 65);
    let error = &ran.document()["error"];
    assert_eq!(error["data"]["reason"], "conflict");
    assert_eq!(error["data"]["reasons"][0]["blockedBy"], json!(["remover"]));
}
