//! `watch` and `wait`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::fs::{OFlags, fcntl_setfl};
use serde_json::Value;

use super::support::{Daemon, Running, program};

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
    let place = alerts.next().unwrap();
    assert_eq!(place["cursor"], 0, "{place}");
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
        .skip(1)
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
fn watch_says_that_the_daemon_is_away_and_that_it_is_back() {
    let mut daemon = Daemon::start();
    let mut watch = daemon.spawn(&["watch"]);
    let mut notes = watch.stderr();
    assert!(notes.next().unwrap().starts_with("Watching"));
    daemon.kill();
    assert_eq!(notes.next().unwrap(), "The daemon is away; waiting for it.");
    daemon.start_again();
    assert_eq!(notes.next().unwrap(), "The daemon is back.");
}

/// The daemon answers the subscription, and is gone for good.
#[test]
fn wait_for_a_daemon_that_goes_away_ends_with_69() {
    let daemon = Daemon::start();
    let socket = daemon.folder().join("between");
    let between = UnixListener::bind(&socket).unwrap();
    let target = format!("unix:{}", socket.display());
    let wait = daemon.spawn(&["wait", "*", "--timeout", "3s", "--connect", &target]);
    let (client, _) = between.accept().unwrap();
    // Who comes again finds nobody.
    drop(between);
    let real = UnixStream::connect(daemon.folder().join("data/opstead.sock")).unwrap();
    let (mut calls, mut called) = (client.try_clone().unwrap(), real.try_clone().unwrap());
    let calling = std::thread::spawn(move || std::io::copy(&mut calls, &mut called));
    until_subscribed(&real, &client);
    // It may still write: a pong that cannot be written ends a connection before its last answer
    // is read.
    client.shutdown(Shutdown::Write).unwrap();
    real.shutdown(Shutdown::Both).unwrap();
    // It ends, well or not.
    let _ended = calling.join().unwrap();
    let ran = wait.end();
    assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{ran:?}");
    assert!(ran.stderr.contains("the daemon is away"), "{ran:?}");
}

/// Hands on what the daemon says, up to its answer to a subscription.
fn until_subscribed(mut daemon: &UnixStream, mut client: &UnixStream) {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    let is_said = |said: &[u8]| said.windows(15).any(|word| word == b"\"subscription\":");
    while !is_said(&said) {
        let length = daemon.read(&mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&said));
        client.write_all(&piece[..length]).unwrap();
        said.extend(&piece[..length]);
    }
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

/// Ctrl-C is how a watch ends; it says from where to go on, and from there nothing is missing.
#[test]
fn ctrl_c_ends_a_watch_in_order_and_it_can_be_resumed() {
    let daemon = Daemon::start();
    daemon.json(&["call", "diagnostic.noop", "--id", "first", "--wait"]);
    let mut watch = daemon.spawn(&["watch", "diagnostic.*", "--after", "0"]);
    let mut lines = watch.stdout();
    assert!(lines.any(|line| line.contains("completed")));
    watch.interrupt();
    let ran = watch.end();
    assert_eq!(ran.code, 130, "{ran:?}");
    let log = daemon.json(&["status"])["logId"]
        .as_str()
        .unwrap()
        .to_owned();
    let told: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(told[0], format!("Watching log {log} after cursor 0"));
    let arguments = told[1].strip_prefix("Go on with ").unwrap();
    assert!(arguments.ends_with(&format!(" --log {log}")), "{ran:?}");

    daemon.json(&["call", "diagnostic.noop", "--id", "second", "--wait"]);
    let resumed: Vec<&str> = arguments.split(' ').collect();
    let mut watch = daemon.spawn(&[&["watch", "--json"][..], &resumed].concat());
    let mut alerts = watch
        .stdout()
        .map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let place = alerts.next().unwrap();
    assert_eq!(place["logId"], log.as_str());
    let next = alerts.next().unwrap();
    assert_eq!(
        (&next["operationId"], &next["event"]),
        (&"second".into(), &"registered".into())
    );
}

/// Nobody reads what it writes, so it is stuck in the middle of that.
#[test]
fn ctrl_c_ends_a_watch_that_is_stuck() {
    let daemon = Daemon::start();
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'\n'; 512]).is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    let mut command = daemon.command(&["watch", "--after", "0"]);
    let mut watch = Running::into(&mut command, writer);
    assert!(watch.stderr().any(|line| line.starts_with("Watching")));
    watch.interrupt();
    assert_eq!(watch.end().code, 130);
    drop(reader);
}

#[test]
fn ctrl_c_ends_a_wait_in_order() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = folder.path().join("silent");
    let silent = UnixListener::bind(&socket).unwrap();
    let mut command = program();
    let target = format!("unix:{}", socket.display());
    command.args([
        "wait",
        "*",
        "--timeout",
        "1h",
        "--json",
        "--connect",
        &target,
    ]);
    let wait = Running::of(&mut command);
    // It listens for Ctrl-C before it connects.
    let _connected = silent.accept().unwrap();
    wait.interrupt();
    let ran = wait.end();
    assert_eq!(ran.code, 130, "{ran:?}");
    assert_eq!(ran.document()["error"]["data"]["reason"], "interrupted");
}

#[test]
fn a_wrong_log_is_told_as_such() {
    let daemon = Daemon::start();
    let present = daemon.json(&["status"])["logId"]
        .as_str()
        .unwrap()
        .to_owned();
    let ran = daemon.run(&["watch", "--after", "1", "--log", "another", "--json"]);
    assert_eq!(ran.code, 65, "{ran:?}");
    let told = format!("opstead: that is another log: the daemon's is {present}, not another.");
    assert!(ran.stderr.starts_with(&told), "{ran:?}");
    let error = &ran.document()["error"];
    assert_eq!(
        (&error["code"], &error["data"]["logId"]),
        (&1007.into(), &present.into())
    );
    assert_eq!(
        daemon.run(&["watch", "--log", "another"]).code,
        2,
        "of no use alone"
    );
}
