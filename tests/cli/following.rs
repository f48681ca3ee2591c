//! `call --wait` when something comes in between.

use super::support::Daemon;

/// Ctrl-C ends the waiting, not the operation.
#[test]
fn ctrl_c_leaves_the_operation_running() {
    let daemon = Daemon::start();
    let id = "the operator's [long] one";
    let mut call = daemon.spawn(&["call", "diagnostic.wait", "--id", id, "--wait"]);
    // It shows progress, so it follows by now.
    let mut stderr = call.stderr();
    assert!(stderr.any(|line| line.starts_with("Running")));
    call.interrupt();
    let rest: Vec<String> = stderr.collect();
    let ran = call.end();
    assert_eq!(ran.code, 130, "{rest:?}");
    // What it says can be typed as it stands.
    let hint = rest.last().unwrap();
    let (told, commands) = hint.split_once(" goes on: ").unwrap();
    assert_eq!(told, format!("Hint: {id}"));
    let commands: Vec<_> = commands.split(", ").map(shlex::split).collect();
    let command = |name: &str, word: &str| {
        let words = ["opstead", name, word];
        Some(words.map(str::to_owned).to_vec())
    };
    assert_eq!(
        commands,
        [
            command("show", id),
            command("cancel", id),
            command("watch", r"diagnostic.task.the operator's \[long\] one"),
        ]
    );
    assert_eq!(daemon.json(&["show", id])["state"], "running");
}

/// The daemon is killed and started again while somebody waits.
#[test]
fn waiting_outlasts_a_crash_of_the_daemon() {
    let mut daemon = Daemon::start();
    let mut call = daemon.spawn(&["call", "diagnostic.wait", "--id", "long", "--wait"]);
    let mut stderr = call.stderr();
    assert!(stderr.any(|line| line.starts_with("Running")));
    daemon.kill_and_start();
    assert_eq!(daemon.json(&["show", "long"])["done"], false);
    daemon.json(&["cancel", "long"]);
    let ran = call.end();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("\nCanceled: "), "{ran:?}");
}
