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

/// Errors of the program itself are written as the daemon's are; their code is the exit code.
#[test]
fn errors_as_json_have_a_code_and_a_reason() {
    let daemon = Daemon::start();
    let empty = tempfile::TempDir::new().unwrap();
    let empty = empty.path().to_str().unwrap();
    for (arguments, code, reason) in [
        (&["status", "--frobnicate"][..], 2, "usage"),
        (&["call", "alerts.subscribe"], 2, "usage"),
        (&["status", "--data", empty], 69, "unreachable"),
        (&["journal", empty], 2, "noJournal"),
        (&["wait", "no.*", "--timeout", "10ms"], 75, "noEvent"),
        (
            &["status", "--connect", &daemon.url, "--data", empty],
            77,
            "noToken",
        ),
    ] {
        let ran = daemon.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        let document = ran.document();
        let error = document["error"].as_object().unwrap();
        assert_eq!(
            error.keys().collect::<Vec<_>>(),
            ["code", "data", "message"]
        );
        assert_eq!(error["code"], code, "{ran:?}");
        assert_eq!(error["data"]["reason"], reason, "{ran:?}");
        assert!(error["data"]["retryable"].is_boolean(), "{ran:?}");
        assert!(!ran.stderr.is_empty(), "{ran:?}");
    }
    let refused = daemon.run(&["show", "absent", "--json"]).document();
    assert_eq!(refused["error"]["code"], 1002);
    assert_eq!(refused["error"]["data"]["reason"], "operationNotFound");
}

/// The command line comes before the environment.
#[test]
fn the_token_is_found_where_it_is_named_first() {
    let daemon = Daemon::start();
    let data = daemon.folder().join("data");
    let right = data.join("admin.token");
    let token = std::fs::read_to_string(&right).unwrap();
    let wrong = daemon.folder().join("wrong.token");
    std::fs::write(&wrong, "0123456789abcdef0123456789abcdef").unwrap();
    let (data, right) = (data.to_str().unwrap(), right.to_str().unwrap());
    let wrong = wrong.to_str().unwrap();
    let both = [
        ("OPSTEAD_TOKEN", token.trim()),
        ("OPSTEAD_TOKEN_FILE", wrong),
    ];
    for (arguments, environment, code) in [
        (&[][..], &[][..], 77),
        (&["--data", data], &[], 0),
        (&["--data", data], &[("OPSTEAD_TOKEN", "wrong")], 0),
        (&["--data", data, "--token-file", wrong], &[], 77),
        (&["--data", "/nonexistent", "--token-file", right], &[], 0),
        (&["--token-file", wrong], &both, 77),
        (&[], &both, 0),
        (&[], &both[1..], 77),
        (&[], &[("OPSTEAD_TOKEN_FILE", right)], 0),
    ] {
        let mut command = daemon.command(&["status", "--connect", &daemon.url]);
        command.args(arguments).envs(environment.iter().copied());
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, code, "{arguments:?} {environment:?}: {ran:?}");
    }
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
    let mut blank = daemon.command(&over_tcp);
    let blank = Ran::of(blank.env("OPSTEAD_TOKEN", " "));
    refused(&blank, 77, "cannot read the token from OPSTEAD_TOKEN (");
    // An empty variable is none; the socket needs none, and TCP says that it does.
    for (arguments, code) in [(&["status"][..], 0), (&over_tcp, 77)] {
        let mut empty = daemon.command(arguments);
        let empty = empty.env("OPSTEAD_TOKEN", "").env("OPSTEAD_TOKEN_FILE", "");
        assert_eq!(Ran::of(empty).code, code);
    }

    let right = daemon.folder().join("data/admin.token");
    assert_eq!(run(with(right.to_str().unwrap())).code, 0);
    let mut by_environment = daemon.command(&["status"]);
    by_environment
        .env("OPSTEAD_CONNECT", &daemon.url)
        .env("OPSTEAD_TOKEN_FILE", right);
    assert_eq!(Ran::of(&mut by_environment).code, 0);
}

/// Another way to write 127.0.0.1, which the daemon does not go by.
#[test]
fn a_foreign_host_is_77_and_says_where_hosts_are_named() {
    let daemon = Daemon::start();
    let port = daemon.url.rsplit(':').next().unwrap();
    let foreign = format!("ws://127.1:{}", port.trim_end_matches('/'));
    let data = daemon.folder().join("data");
    let data = data.to_str().unwrap();
    let ran = daemon.run(&["status", "--connect", &foreign, "--data", data]);
    refused(&ran, 77, "hosts of [listen]");
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

/// What is written wrongly is told with what is allowed, and what may have been meant.
#[test]
fn a_slip_is_told_with_what_was_meant() {
    let daemon = Daemon::start();
    for (arguments, says) in [
        (
            &["call", "storage.copyImag"][..],
            "Hint: did you mean storage.copyImage?",
        ),
        (
            &["methods", "storage.copyImag"],
            "Hint: did you mean storage.copyImage?",
        ),
        (
            &["call", "system.stats"],
            "Hint: did you mean system.status?",
        ),
        (&["call", "vm.start"], "Hint: opstead methods "),
        (
            &["methods", "operations.cancel"],
            "Hint: opstead call operations.cancel id=…",
        ),
        (&["list", "--limit", "0"], "expected a number from 1 on"),
        (&["serve", "--listen", "localhost:0"], "expected IP:PORT"),
        (
            &["call", "operations.dismiss", "ids=[a"],
            "expected an array like",
        ),
    ] {
        refused(&daemon.run(arguments), 2, says);
    }
    let unknown = daemon
        .run(&["call", "storage.copyImag", "--json"])
        .document();
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
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
    refused(
        &daemon.run(&["show", "absent"]),
        65,
        "Hint: opstead list --all ",
    );
    refused(&daemon.run(&["cancel", "one"]), 65, "it is completed");
    refused(&daemon.run(&["cancel", "one"]), 65, "Hint: opstead show ");
    refused(
        &daemon.run(&["watch", "--after", "1000000"]),
        65,
        "cursorUnknown",
    );
}

/// As with `| head`; it is noticed also when there is nothing more to write.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let daemon = Daemon::start();
    daemon.json(&["call", "diagnostic.noop", "--wait"]);
    let mut watch = daemon.spawn(&["watch", "--after", "0"]);
    assert!(watch.stdout().any(|line| line.contains("completed")));
    let ran = watch.end();
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stderr.lines().count(), 1, "where it begins: {ran:?}");
}
