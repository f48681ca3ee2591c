//! Secrets: delivered to the executor, and to nobody else in any form that can be read.

use std::path::Path;

use serde_json::{Value, json};

use crate::attached::{Attached, operation, with};
use crate::program::{Daemon, Home};
use crate::session::Session;

/// What must not be found anywhere.
const SECRET: &str = "correct-horse-battery-staple";

fn login() -> Value {
    with(
        operation("vm.login"),
        json!({
            "secrets": ["password", "/auth/token"],
            "onInterrupt": "retry",
            "kwargsSchema": {"type": "object", "properties": {
                "password": {"type": "string", "pattern": "^[a-z-]+$"},
            }},
        }),
    )
}

fn request(id: &str, password: &str) -> String {
    format!(
        r#"{{"methodName":"vm.login","id":"{id}","kwargs":{{"user":"u","password":"{password}","auth":{{"token":"{SECRET}","n":1.0}}}}}}"#
    )
}

/// Every answer of the daemon that could show kwargs, as text.
async fn everything(manager: &mut Session) -> String {
    let mut all = String::new();
    for (method, params) in [
        ("getRunningTasks", "{}"),
        ("operations.list", "{}"),
        ("operations.get", r#"{"id":"a"}"#),
        ("operations.wait", r#"{"ids":["a"],"timeoutMs":1}"#),
        ("alerts.read", r#"{"after":0}"#),
        ("methods.list", "{}"),
        ("objects.list", "{}"),
    ] {
        all.push_str(&manager.call_text(method, params).await);
    }
    all
}

/// The bytes of all files below a folder, compressed as they are.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(bytes_below(&path));
        } else if path.is_file() {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

async fn attach(daemon: &Daemon) -> Attached {
    Attached::new(daemon, "agent", json!([login()])).await
}

#[tokio::test]
async fn a_secret_reaches_its_executor_and_nobody_else() {
    let home = Home::new();
    let daemon = home.start();
    let mut executor = attach(&daemon).await;
    let mut manager = daemon.connect().await;
    manager.ok("alerts.subscribe", json!({})).await;
    manager
        .call_text("operations.register", &request("a", SECRET))
        .await;
    let assignment = executor.session.pushed_text().await;
    let whole = format!(
        r#""kwargs":{{"user":"u","password":"{SECRET}","auth":{{"token":"{SECRET}","n":1.0}}}}"#
    );
    assert!(assignment.contains(&whole), "{assignment}");
    let shown = r#""kwargs":{"user":"u","password":"***","auth":{"token":"***","n":1.0}}"#;
    let all = everything(&mut manager).await;
    assert!(all.contains(shown) && !all.contains(SECRET), "{all}");

    // Over a crash it is delivered again: until the end it is kept, encrypted.
    daemon.kill();
    assert!(!contains(&bytes_below(&home.data), SECRET));
    let daemon = home.start();
    let mut executor = attach(&daemon).await;
    let assignment = executor.assigned("execute").await;
    assert_eq!(assignment["attempt"], 2);
    assert_eq!(assignment["kwargs"]["password"], SECRET);
    let lease = assignment["lease"].as_str().unwrap().to_owned();

    // The same request again is the same operation; with another secret it is not.
    let mut manager = daemon.connect().await;
    let again = manager
        .call_text("operations.register", &request("a", SECRET))
        .await;
    assert!(again.contains(r#""existing":true"#), "{again}");
    let other = manager
        .call_text("operations.register", &request("a", "different-one"))
        .await;
    assert!(
        other.contains("idReused") && !other.contains("different-one"),
        "{other}"
    );

    executor.complete(&lease).await;
    let all = everything(&mut manager).await;
    assert!(all.contains(shown) && !all.contains(SECRET), "{all}");
    let again = manager
        .call_text("operations.register", &request("a", SECRET))
        .await;
    assert!(again.contains(r#""existing":true"#), "{again}");
    daemon.stop().await;
    assert!(!contains(&bytes_below(&home.data), SECRET));
    let errors = std::fs::read_to_string(home.folder.path().join("stderr")).unwrap();
    assert!(!errors.contains(SECRET), "{errors}");
}

/// An executor declares its methods and registers one of them, without waiting for answers.
#[tokio::test]
async fn a_secret_right_behind_its_declaration_is_nowhere_on_disk() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let attach = json!({"executor": "agent", "capacity": 2, "methods": [login()]}).to_string();
    let mut asked = vec![session.send("executors.attach", &attach).await];
    for id in ["a", "b"] {
        let request = request(id, SECRET);
        asked.push(session.send("operations.register", &request).await);
    }
    let wrong = request("c", "Wrong One");
    asked.push(session.send("operations.register", &wrong).await);
    while !asked.is_empty() {
        let text = session.receive().await.expect("the daemon closed");
        let message: Value = serde_json::from_str(&text).unwrap();
        asked.retain(|id| message["id"] != *id);
        assert!(
            message.get("error").is_none() || message["id"] == 4,
            "{text}"
        );
        assert!(
            message["id"] != 4 || text.contains("/kwargs/password"),
            "{text}"
        );
    }
    let mut manager = daemon.connect().await;
    let all = everything(&mut manager).await;
    assert!(all.contains(r#""password":"***""#), "{all}");
    assert!(!all.contains(SECRET) && !all.contains("Wrong One"), "{all}");
    daemon.kill();
    assert!(!contains(&bytes_below(&home.data), SECRET));
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_said_without_it() {
    let home = Home::new();
    let daemon = home.start();
    let _executor = attach(&daemon).await;
    let mut manager = daemon.connect().await;
    let text = manager
        .call_text("operations.register", &request("a", "Wrong One"))
        .await;
    assert!(
        text.contains("/kwargs/password") && !text.contains("Wrong One"),
        "{text}"
    );
}

/// Without the key nobody reads them, and what needs them fails in plain words.
#[tokio::test]
async fn a_lost_key_ends_what_needed_it() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let daemon = home.start();
    let mut executor = attach(&daemon).await;
    let mut manager = daemon.connect().await;
    manager
        .call_text("operations.register", &request("a", SECRET))
        .await;
    executor.execute("a").await;
    daemon.kill();
    let key = home.data.join("secrets.key");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(&key, [7; 32]).unwrap();
    let daemon = home.start();
    let _executor = attach(&daemon).await;
    let failed = daemon.connect().await.done("a").await;
    assert_eq!(failed["state"], "failed");
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.contains("another key"), "{message}");
    daemon.kill();
    std::fs::write(&key, [7; 31]).unwrap();
    let ended = home.fail();
    assert!(ended.errors.contains("secrets.key"), "{}", ended.errors);
}
