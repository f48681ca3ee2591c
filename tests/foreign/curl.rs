//! `curl`, over HTTP on TCP and on the Unix socket: what a person or a shell script sees.

use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Daemon, Home};
use crate::script::{finished, have};

const JSON: &str = "Content-Type: application/json";
const TASKS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getRunningTasks"}"#;

/// What came back: the HTTP status and the body.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap()
    }
}

/// Runs curl with these arguments.
fn curl(arguments: &[&str]) -> Answer {
    let mut command = Command::new("curl");
    // Whoever runs this may have a proxy, or a configuration.
    command
        .args(["--disable", "--silent", "--show-error", "--noproxy", "*"])
        // What it may not send is not sent before the answer, however busy the machine is.
        .args(["--expect100-timeout", "60"])
        .args(["--write-out", "\n%{http_code}"])
        .args(arguments);
    let output = finished(&mut command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    Answer {
        status: status.parse().unwrap(),
        body: body.to_owned(),
    }
}

/// Posts a body over TCP, with the token and further arguments.
fn post(daemon: &Daemon, body: &str, more: &[&str]) -> Answer {
    let token = format!("Authorization: Bearer {}", daemon.token);
    let arguments = ["--header", &token, "--header", JSON, "--data", body];
    let url = format!("http://{}", daemon.address);
    curl(&[&arguments, more, &[url.as_str()]].concat())
}

/// A call by name.
fn request(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

#[test]
fn calls_over_tcp_and_the_unix_socket() {
    if !have("curl") {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    let held = json!({"methodName": "diagnostic.wait", "id": "held",
        "claims": [{"type": "thing", "id": "a", "operation": "delete"}]});
    let registered = post(&daemon, &request("operations.register", held), &[]);
    assert_eq!(registered.status, 200);
    assert_eq!(registered.json()["result"]["response"], "accepted");

    let socket = daemon.socket.to_str().unwrap();
    let unix = ["--unix-socket", socket, "--header", JSON, "--data", TASKS];
    let tasks = curl(&[&unix[..], &["http://localhost/"]].concat());
    let held = json!({"id": "held", "methodName": "diagnostic.wait", "kwargs": {}});
    assert_eq!(
        tasks.json(),
        json!({"jsonrpc": "2.0", "id": 1, "result": [held]})
    );

    let clash = json!({"methodName": "diagnostic.noop",
        "claims": [{"type": "thing", "id": "a", "operation": "update"}]});
    let refused = post(&daemon, &request("operations.register", clash), &[]);
    assert_eq!((refused.status, refused.code()), (200, 1001));
    let reason = &refused.json()["error"]["data"]["reasons"][0];
    assert_eq!(reason["blockedBy"], json!(["held"]));

    let unknown = post(&daemon, &request("operations.nonsense", json!({})), &[]);
    assert_eq!(unknown.code(), -32601);
    let kwargs = json!({"methodName": "diagnostic.wait", "kwargs": {"seconds": "5"}});
    let refused = post(&daemon, &request("operations.register", kwargs), &[]);
    assert_eq!(refused.code(), -32602);
    let fault = &refused.json()["error"]["data"]["faults"][0];
    assert_eq!(fault["pointer"], "/kwargs/seconds");
}

#[test]
fn alerts_are_read_and_not_pushed() {
    if !have("curl") {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    let refused = post(&daemon, &request("alerts.subscribe", json!({})), &[]);
    assert_eq!((refused.status, refused.code()), (200, 1015));

    let noop = json!({"methodName": "diagnostic.noop", "id": "n"});
    post(&daemon, &request("operations.register", noop), &[]);
    post(
        &daemon,
        &request("operations.wait", json!({"ids": ["n"]})),
        &[],
    );
    let place = json!({"filter": "diagnostic.task.n", "after": 0});
    let page = post(&daemon, &request("alerts.read", place), &[]).json();
    let alerts = page["result"]["alerts"].as_array().unwrap();
    let events: Vec<&str> = alerts
        .iter()
        .map(|alert| alert["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["registered", "started", "completed"]);
    let place = json!({"filter": "diagnostic.task.n", "after": page["result"]["cursor"]});
    let rest = post(&daemon, &request("alerts.read", place), &[]).json();
    assert_eq!(rest["result"]["alerts"], json!([]));
}

#[test]
fn a_batch_is_answered_in_its_order_and_a_notification_not_at_all() {
    if !have("curl") {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    let notification = r#"{"jsonrpc":"2.0","method":"getRunningTasks"}"#;
    let nonsense = r#"{"jsonrpc":"2.0","id":"b","method":"nonsense"}"#;
    let batch = post(
        &daemon,
        &format!("[{nonsense},{notification},{TASKS}]"),
        &[],
    );
    assert_eq!(batch.status, 200);
    let answers = batch.json();
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!(answers[0]["id"], "b");
    assert_eq!(answers[0]["error"]["code"], -32601);
    assert_eq!(answers[1], json!({"jsonrpc": "2.0", "id": 1, "result": []}));

    for body in [notification, &format!("[{notification},{notification}]")] {
        let answer = post(&daemon, body, &[]);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{body}");
    }
}

#[test]
fn strangers_are_refused() {
    if !have("curl") {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    let url = format!("http://{}", daemon.address);
    for header in ["Accept: */*", "Authorization: Bearer wrong"] {
        let answer = curl(&["--header", header, "--header", JSON, "--data", TASKS, &url]);
        assert_eq!((answer.status, answer.code()), (200, 1011), "{header}");
        let data = &answer.json()["error"]["data"];
        assert_eq!(data["reason"], "unauthenticated");
    }
    for header in [
        "Host: elsewhere.example",
        "Origin: https://elsewhere.example",
    ] {
        let answer = post(&daemon, TASKS, &["--header", header]);
        assert_eq!(answer.status, 403, "{header}: {answer:?}");
        assert_eq!(answer.body.lines().count(), 1, "{header}: {answer:?}");
    }
}

#[test]
fn what_is_no_request_of_the_protocol_is_refused_by_http() {
    if !have("curl") {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    let body = home.folder.path().join("body");
    std::fs::write(&body, " ".repeat((4 << 20) + 1)).unwrap();
    let answer = post(&daemon, &format!("@{}", body.display()), &[]);
    assert_eq!((answer.status, answer.code()), (413, -32007));

    let url = format!("http://{}", daemon.address);
    assert_eq!(curl(&[&url]).status, 405);
    assert_eq!(curl(&["--request", "OPTIONS", &url]).status, 405);
    // What curl says of a body unless told otherwise.
    let form = curl(&["--data", TASKS, &url]);
    assert_eq!(form.status, 415, "{form:?}");
    let torn = post(&daemon, "{", &[]);
    assert_eq!((torn.status, torn.code()), (200, -32700));
}
