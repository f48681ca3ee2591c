//! Secrets of steps: shown to nobody but their executor, also when they are reverted.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::attached::{Attached, operation, with};
use crate::played::{flow, lease};
use crate::program::Home;

const SECRET: &str = "hunter2-hunter2";

fn methods() -> Value {
    let members = json!({"revertible": true, "secrets": ["/auth/token"]});
    json!([with(operation("agent.log"), members)])
}

fn steps() -> Value {
    let kwargs = json!({"auth": {"token": SECRET}, "from": {"$result": "a"}});
    json!([
        {"name": "a", "methodName": "agent.log", "kwargs": {"auth": {"token": SECRET}}},
        {"name": "b", "methodName": "agent.log", "kwargs": kwargs},
    ])
}

#[tokio::test]
async fn only_the_executor_is_shown_a_secret() {
    let home = Home::new();
    let daemon = home.start();
    let mut agent = Attached::new(&daemon, "agent", methods()).await;
    let mut manager = daemon.connect().await;
    manager.ok("flows.register", flow(steps())).await;
    let told = agent.assigned("execute").await;
    assert_eq!(told["kwargs"], json!({"auth": {"token": SECRET}}));
    agent.complete_with(lease(&told), json!([1])).await;
    let told = agent.assigned("execute").await;
    assert_eq!(
        told["kwargs"],
        json!({"auth": {"token": SECRET}, "from": [1]})
    );
    let shown = manager.get("f.b").await;
    let hidden = json!({"auth": {"token": "***"}, "from": {"$result": "a"}});
    assert_eq!(shown["kwargs"], hidden);
    agent.fail(lease(&told), "no").await;
    let failed = agent.revert("f.b").await;
    assert_eq!(failed["kwargs"], told["kwargs"]);
    agent.reverted(&failed).await;
    let completed = agent.revert("f.a").await;
    assert_eq!(completed["kwargs"], json!({"auth": {"token": SECRET}}));
    agent.reverted(&completed).await;
    manager.done("f").await;
    // The same request answers the same flow, though its secrets are gone.
    let again = manager.ok("flows.register", flow(steps())).await;
    assert_eq!(again["existing"], true);
    daemon.stop().await;
    assert!(!holds(&home.data, SECRET.as_bytes()), "it is on disk");
}

#[tokio::test]
async fn a_secret_is_said_outright() {
    let home = Home::new();
    let daemon = home.start();
    let _agent = Attached::new(&daemon, "agent", methods()).await;
    let mut steps = steps();
    let taken = json!({"$result": "a"});
    for kwargs in [
        json!({"auth": taken}),
        json!({"auth": {"token": taken}}),
        taken.clone(),
    ] {
        steps[1]["kwargs"] = kwargs;
        let mut manager = daemon.connect().await;
        let error = manager.error("flows.register", flow(steps.clone())).await;
        let pointer = error["data"]["faults"][0]["pointer"].as_str().unwrap();
        assert!(pointer.starts_with("/steps/1/kwargs"), "{error}");
    }
}

/// Whether a file below the folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        path.is_file() && {
            let content = fs::read(&path).unwrap();
            content.windows(bytes.len()).any(|window| window == bytes)
        }
    })
}
