//! What is shown on a terminal, and what is not when it is none.

use super::support::Daemon;

const RED: &str = "\u{1b}[31m";

/// A long id, an argument with what a terminal would obey, and a failed image.
fn crowd(daemon: &Daemon) {
    let id = "an-id-that-is-longer-than-a-narrow-terminal-is-wide-1";
    let nasty = "resource=a\nb\u{1b}[31mred\u{9b}m";
    daemon.json(&["call", "diagnostic.wait", nasty, "--id", id]);
    daemon.run(&["call", "storage.deleteImage", "image=absent", "--wait"]);
}

#[test]
fn a_table_fits_the_terminal_and_is_whole_elsewhere() {
    let daemon = Daemon::start();
    crowd(&daemon);
    for command in [
        &["tasks"][..],
        &["list", "--all"],
        &["objects"],
        &["methods"],
    ] {
        for columns in [60, 100] {
            let shown = daemon.run_on_terminal(command, columns, &[("NO_COLOR", "1")]);
            let widest = shown
                .lines()
                .map(|line| line.chars().count())
                .max()
                .unwrap();
            assert!(widest <= usize::from(columns), "{command:?}: {shown}");
            assert!(shown.contains('…') || columns > 60, "{command:?}: {shown}");
        }
        let piped = daemon.run(command).stdout;
        assert!(!piped.contains('…'), "{command:?}: {piped}");
    }
    let shown = daemon.run_on_terminal(&["tasks"], 60, &[("NO_COLOR", "1")]);
    let id = "an-id-that-is-longer-than-a-narrow-terminal-is-wide-1";
    assert!(shown.lines().any(|line| line.trim() == id), "{shown}");
}

/// Ids get copied; of times the beginning is what nobody needs.
#[test]
fn ids_are_whole_and_times_short_on_a_terminal() {
    let daemon = Daemon::start();
    crowd(&daemon);
    let list = daemon.json(&["list", "--all"]);
    for columns in [80, 200] {
        let shown = daemon.run_on_terminal(&["list", "--all"], columns, &[("NO_COLOR", "1")]);
        for operation in list.as_array().unwrap() {
            let started = operation["startedAt"].as_str().unwrap();
            let (seconds, _) = started.split_once('.').unwrap();
            let (_, clock) = seconds.split_once('T').unwrap();
            for part in [
                operation["id"].as_str().unwrap(),
                operation["state"].as_str().unwrap(),
            ] {
                assert!(shown.contains(part), "{columns}, {part}: {shown}");
            }
            assert!(shown.contains(&format!("{clock}Z")), "{columns}: {shown}");
            assert!(!shown.contains(started), "{columns}: {shown}");
        }
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let daemon = Daemon::start();
    crowd(&daemon);
    let list = ["list", "--state", "failed"];
    let shown = daemon.run_on_terminal(&list, 200, &[]);
    assert!(shown.contains(&format!("{RED}failed\u{1b}[0m")), "{shown}");
    for plain in [
        daemon.run_on_terminal(&list, 200, &[("NO_COLOR", "1")]),
        daemon.run_on_terminal(&list, 200, &[("TERM", "dumb")]),
        daemon.run(&list).stdout,
    ] {
        assert!(
            plain.contains("failed") && !plain.contains('\u{1b}'),
            "{plain:?}"
        );
    }
}

/// What others wrote is shown, but a terminal is not commanded by it.
#[test]
fn text_of_others_is_escaped() {
    let daemon = Daemon::start();
    let id = "id-with-\u{202e}a-mark";
    let nasty = "resource=b\u{1b}[31mred\n\u{9b}m\u{202e}";
    daemon.json(&["call", "diagnostic.wait", nasty, "--id", "one"]);
    let refused = daemon.run(&["show", id]);
    assert!(
        refused.stderr.contains(r"id-with-\u{202e}a-mark"),
        "{refused:?}"
    );
    for shown in [
        daemon.run(&["show", "one"]).stdout,
        daemon.run_on_terminal(&["show", "one"], 80, &[("NO_COLOR", "1")]),
    ] {
        assert!(
            shown.contains(r"b\u001b[31mred\n\u{9b}m\u{202e}"),
            "{shown:?}"
        );
        assert!(
            !shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
            "{shown:?}"
        );
    }
}
