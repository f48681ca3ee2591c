//! `watch` and `wait`.

use serde_json::Value;

use super::support::Daemon;

#[test]
fn watch_prints_alerts_as_they_come() {
    let daemon = Daemon::start();
    daemon.json(&[
        "call",
        "storage.createImage",
        "image=a",
        "sizeBytes=4096",
        "--wait",
    ]);
    let mut watch = daemon.spawn(&["watch", "storage.Image.*", "--after", "0", "--json"]);
    let mut alerts = watch
        .stdout()
        .map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let first = alerts.next().unwrap();
    assert_eq!(
        (&first["event"], &first["alertName"]),
        (&"registered".into(), &"storage.Image.a".into())
    );
    // The past has been read, so it is live now.
    alerts.find(|alert| alert["event"] == "completed").unwrap();
    daemon.json(&[
        "call",
        "storage.createImage",
        "image=b",
        "sizeBytes=4096",
        "--wait",
    ]);
    let live = alerts.find(|alert| alert["event"] == "completed").unwrap();
    assert_eq!(live["alertName"], "storage.Image.b");
}

#[test]
fn watch_is_readable_and_takes_a_regexp() {
    let daemon = Daemon::start();
    for image in ["a", "b", "c"] {
        let image = format!("image={image}");
        daemon.json(&[
            "call",
            "storage.createImage",
            &image,
            "sizeBytes=4096",
            "--wait",
        ]);
    }
    let filter = "storage[.]Image[.](b|c)";
    let mut watch = daemon.spawn(&["watch", filter, "--type", "regexp", "--after", "0"]);
    let mut lines = watch.stdout();
    let first = lines.next().unwrap();
    let words: Vec<&str> = first.split_whitespace().collect();
    assert_eq!(
        words[2..],
        ["registered", "storage.Image.b", "Waiting"],
        "{first}"
    );
}

/// A watch resumes by itself after a crash of the daemon.
#[test]
fn watch_goes_on_after_a_crash() {
    let mut daemon = Daemon::start();
    let mut watch = daemon.spawn(&["watch", "--after", "0", "--json"]);
    let mut alerts = watch
        .stdout()
        .map(|line| serde_json::from_str::<Value>(&line).unwrap());
    daemon.json(&["call", "diagnostic.noop", "--id", "before", "--wait"]);
    let before: Vec<Value> = alerts
        .by_ref()
        .take_while(|alert| alert["event"] != "completed")
        .collect();
    daemon.kill_and_start();
    daemon.json(&["call", "diagnostic.noop", "--id", "after", "--wait"]);
    let next = alerts.next().unwrap();
    assert_eq!(
        (&next["event"], &next["operationId"]),
        (&"registered".into(), &"after".into())
    );
    assert!(before.iter().all(|alert| alert["operationId"] == "before"));
}

#[test]
fn wait_ends_with_the_first_event() {
    let daemon = Daemon::start();
    let mut wait = daemon.spawn(&["wait", "diagnostic.*", "--timeout", "1min", "--json"]);
    // It is for events from its own beginning on, and nobody is told when that is.
    while !wait.has_ended() {
        daemon.json(&["call", "diagnostic.noop"]);
    }
    let ran = wait.end();
    assert_eq!(ran.code, 0);
    let name = ran.document()["alertName"].clone();
    assert!(
        name.as_str().unwrap().starts_with("diagnostic.task."),
        "{name}"
    );
}

#[test]
fn wait_times_out_with_75() {
    let daemon = Daemon::start();
    let ran = daemon.run(&["wait", "nothing.*", "--timeout", "50ms"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (75, ""));
    assert!(
        ran.stderr.starts_with("opstead: no event within 50ms."),
        "{ran:?}"
    );
}
