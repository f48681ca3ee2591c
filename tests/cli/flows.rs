//! `flow`, `retry`, `skip`, and flows in `show`, `tasks` and `list`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use super::support::{Daemon, Ran};

/// An image, two copies of it at once, one of which grows, and a spare of the same size.
const STOCK: &str = r#"
name = "stock"
id = "stock-1"
tags = ["images"]

[[steps]]
name = "base"
methodName = "storage.createImage"
kwargs = { image = "base", sizeBytes = 1048576 }

[[steps]]
name = "left"
methodName = "storage.copyImage"
requires = ["base"]
kwargs = { source = "base", target = "left" }

[[steps]]
name = "right"
methodName = "storage.copyImage"
requires = ["base"]
kwargs = { source = "base", target = "right" }

[[steps]]
name = "grow"
methodName = "storage.resizeImage"
requires = ["left"]
kwargs = { image = "left", sizeBytes = 2097152 }

[[steps]]
name = "spare"
methodName = "storage.createImage"
kwargs = { image = "spare", sizeBytes = { "$result" = "grow#/sizeBytes" } }
"#;

/// Writes a file into the daemon's folder; returns its path.
fn write(daemon: &Daemon, name: &str, text: &str) -> String {
    let path = daemon.folder().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn has(lines: &[String], expected: &str) -> bool {
    lines.iter().any(|line| line == expected)
}

#[test]
fn a_flow_runs_and_its_steps_are_shown() {
    let daemon = Daemon::start();
    let file = write(&daemon, "stock.toml", STOCK);
    let ran = daemon.run(&["flow", &file, "--wait"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = ran.lines();
    for expected in [
        "Registered: stock-1",
        "├─ base storage.createImage completed",
        "├─ grow storage.resizeImage completed",
        "└─ spare storage.createImage completed",
        "Completed.",
    ] {
        assert!(has(&lines, expected), "{expected}: {ran:?}");
    }
    for step in ["base", "left", "right", "grow", "spare"] {
        let told = format!("{step}: completed");
        assert!(ran.stderr.lines().any(|line| line == told), "{ran:?}");
    }
    let shown = daemon.run(&["show", "stock-1"]).lines();
    assert!(has(&shown, "Method flow.stock, version 1"), "{shown:?}");
    assert!(
        has(&shown, "├─ left storage.copyImage completed"),
        "{shown:?}"
    );
    let info = daemon.json(&["call", "storage.getImageInfo", "image=spare"]);
    assert_eq!(info["sizeBytes"], 2_097_152);
}

#[test]
fn the_same_file_registers_once_and_the_command_line_says_more() {
    let daemon = Daemon::start();
    let file = write(&daemon, "stock.toml", STOCK);
    let options = ["--id", "mine", "--tag", "more", "--at", "2100-01-01T00:00Z"];
    let flow = [&["flow", &file], &options[..]].concat();
    let first = daemon.json(&flow);
    assert_eq!(first["existing"], false);
    assert_eq!(daemon.json(&flow)["existing"], true);
    let shown = daemon.json(&["show", "mine"]);
    assert_eq!(shown["tags"], json!(["images", "more"]));
    assert_eq!(shown["startAt"], "2100-01-01T00:00:00.000Z");
    let steps = daemon.json(&["list", "--parent", "mine"]);
    assert_eq!(steps.as_array().unwrap().len(), 5);
    let canceled = daemon.run(&["cancel", "mine"]);
    assert_eq!(canceled.stdout, "Canceled: mine\n");
    let ran = daemon.run(&["show", "mine"]).lines();
    assert!(has(&ran, "├─ left storage.copyImage skipped"), "{ran:?}");
}

#[test]
fn a_flow_is_read_from_standard_input_in_either_format() {
    let daemon = Daemon::start();
    let json = r#"{"name": "one", "steps": [{"name": "noop", "methodName": "diagnostic.noop"}]}"#;
    let toml = "name = \"one\"\n[[steps]]\nname = \"noop\"\nmethodName = \"diagnostic.noop\"\n";
    for (text, format) in [
        (json, None),
        (toml, None),
        (json, Some("json")),
        (toml, Some("toml")),
    ] {
        let mut command = daemon.command(&["flow", "-", "--wait", "--json"]);
        command.args(format.map(|format| format!("--format={format}")));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (said["state"].as_str(), output.status.code()),
            (Some("completed"), Some(0))
        );
    }
}

/// Line and column, all faults at once, and no daemon is asked.
#[test]
fn a_wrong_file_is_told_at_its_places() {
    let daemon = Daemon::start();
    for (text, told) in [
        (
            STOCK.replace("requires", "requiers"),
            &[":14:1: step \"left\" has no member `requiers`; did you mean `requires`?"][..],
        ),
        (
            STOCK.replace("[\"base\"]", "[\"bse\"]"),
            &[
                ":14:13: step \"left\" waits for a step \"bse\", and there is none; did you mean \"base\"?",
                ":20:13: step \"right\" waits for a step \"bse\"",
            ],
        ),
        ("name = \"stock\"\nsteps = [".to_owned(), &[":2:10: "]),
        (
            format!("name = {}", "[".repeat(100_000)),
            &[":1:88: nested deeper than 80 levels"],
        ),
    ] {
        let file = write(&daemon, "wrong.toml", &text);
        let ran = Ran::of(
            daemon
                .command(&["flow", &file])
                .env("OPSTEAD_DATA", "/nowhere"),
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        for told in told {
            let told = format!("  {file}{told}");
            assert!(ran.stderr.contains(&told), "{told}: {}", ran.stderr);
        }
        let ran = Ran::of(
            daemon
                .command(&["flow", &file, "--json"])
                .env("OPSTEAD_DATA", "/nowhere"),
        );
        assert_eq!(ran.document()["error"]["data"]["reason"], "usage");
    }
    let absent = daemon.run(&["flow", "/nowhere/at-all.toml"]);
    assert_eq!(absent.code, 2, "{absent:?}");
    assert!(absent.stderr.contains("cannot be read"), "{absent:?}");
}

/// What only the daemon knows is told in the same way.
#[test]
fn what_the_daemon_refuses_is_told_at_its_places() {
    let daemon = Daemon::start();
    for (old, new, told) in [
        (
            "sizeBytes = 1048576",
            "sizeBytes = \"1 MB\"",
            ":9:40: step \"base\", kwargs/sizeBytes: ",
        ),
        (
            "storage.resizeImage",
            "storage.resizeImgae",
            ":25:14: step \"grow\", methodName: ",
        ),
        (
            "image = \"left\", ",
            "image = { \"$result\" = \"left#/image\" }, ",
            ":27:20: step \"grow\", kwargs/image: ",
        ),
    ] {
        let file = write(&daemon, "refused.toml", &STOCK.replace(old, new));
        let ran = daemon.run(&["flow", &file]);
        assert_eq!(ran.code, 2, "{ran:?}");
        let told = format!("  {file}{told}");
        assert!(ran.stderr.contains(&told), "{told}: {}", ran.stderr);
    }
    let slip = write(
        &daemon,
        "slip.toml",
        &STOCK.replace("copyImage", "copyImgae"),
    );
    let ran = daemon.run(&["flow", &slip]);
    assert!(
        ran.stderr.contains("did you mean storage.copyImage?"),
        "{ran:?}"
    );
    let whole = write(&daemon, "whole.toml", STOCK);
    for (option, value, told) in [
        ("--before", "2020-01-01T00:00Z", "  --before: is past"),
        ("--tag", "", "  --tag: must have 1 to 200"),
    ] {
        let ran = daemon.run(&["flow", &whole, option, value]);
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        assert!(!ran.stderr.contains("whole.toml:"), "{}", ran.stderr);
    }
    assert_eq!(daemon.json(&["list", "--all"]), json!([]));
}

#[test]
fn of_a_flow_that_fails_it_is_told_why_and_what_was_reverted() {
    let daemon = Daemon::start();
    let text = STOCK.replace("image = \"left\", ", "image = \"nowhere\", ");
    let file = write(&daemon, "stock.toml", &text);
    let ran = daemon.run(&["flow", &file, "--wait"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines = ran.lines();
    assert!(
        has(&lines, "├─ base storage.createImage reverted"),
        "{ran:?}"
    );
    assert!(
        has(&lines, "└─ spare storage.createImage skipped"),
        "{ran:?}"
    );
    let why = "there is no image \"nowhere\"";
    for begins in [
        format!("Reverted: step grow: {why}"),
        format!("├─ grow storage.resizeImage reverted Failed: {why}"),
    ] {
        let is_told = lines.iter().any(|line| line.starts_with(&begins));
        assert!(is_told, "{begins}: {ran:?}");
    }
    assert_eq!(ran.stderr.lines().last(), Some("stock-1: reverted"));
    let shown = daemon.run(&["show", "stock-1"]).lines();
    let begins = format!("Error: step grow: {why}");
    assert!(
        shown.iter().any(|line| line.starts_with(&begins)),
        "{shown:?}"
    );
    let shown = daemon.run(&["show", "stock-1.grow"]).stdout;
    assert!(!shown.contains("Progress"), "{shown}");
    let states = daemon.json(&["list", "--state", "reverted", "--parent", "stock-1"]);
    assert_eq!(states.as_array().unwrap().len(), 4);
    let absent = daemon.run(&["call", "storage.getImageInfo", "image=left"]);
    assert_eq!(absent.code, 1, "{absent:?}");
}

/// A follower of a flow may start however that ended.
#[test]
fn who_follows_in_any_case_follows_a_reverted_flow() {
    let daemon = Daemon::start();
    let file = write(
        &daemon,
        "stock.toml",
        &STOCK.replace("image = \"left\", ", "image = \"nowhere\", "),
    );
    daemon.run(&["flow", &file, "--wait"]);
    let ran = daemon.run(&[
        "call",
        "diagnostic.noop",
        "--after-any",
        "stock-1",
        "--wait",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = daemon.run(&["call", "diagnostic.noop", "--after", "stock-1", "--wait"]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

/// The tree is drawn over itself, fits the terminal, and is gone in the end.
#[test]
fn on_a_terminal_the_tree_is_redrawn() {
    let daemon = Daemon::start();
    let file = write(&daemon, "stock.toml", STOCK);
    let (said, watched) = daemon.run_watched(&["flow", &file, "--wait"], 60);
    assert!(said.ends_with("Completed.\n"), "{said}");
    assert!(
        watched.contains("STEP") && watched.contains("└─ spare"),
        "{watched:?}"
    );
    assert!(watched.ends_with("\u{1b}[J"), "{watched:?}");
    let drawn = watched.replace("\u{1b}[J", "");
    for line in drawn.lines().map(|line| line.trim_start_matches('\r')) {
        let line = line
            .rsplit_once('A')
            .filter(|(up, _)| up.starts_with('\u{1b}'));
        let line = line.map_or("", |(_, line)| line);
        assert!(line.chars().count() < 60, "{line:?}");
    }
}
