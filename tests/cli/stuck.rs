//! A flow whose revert fails: what is told of it, and the two commands that end it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opstead_client::schema::{ErrorObject, Json, MethodDeclaration, MethodKind, StepFailure, null};
use opstead_client::{AttachOptions, Attachment, Client, ClientConfig, Executor, Task};

use super::completions::{bash, eventually};
use super::support::Daemon;

const FLOW: &str = r#"{
  "name": "build",
  "id": "build-1",
  "steps": [
    {"name": "note", "methodName": "house.note"},
    {"name": "wall", "methodName": "house.wall", "requires": ["note"]},
    {"name": "roof", "methodName": "house.roof", "requires": ["wall"]},
    {"name": "paint", "methodName": "house.paint", "requires": ["roof"]}
  ]
}"#;

/// Builds walls, but no roofs; and may be unable to take a wall down again.
struct Builder {
    can_revert: Arc<AtomicBool>,
}

impl Executor for Builder {
    async fn execute(&self, task: Task, _kwargs: Json) -> Result<Json, ErrorObject> {
        match task.method_name() {
            "house.roof" => Err(error(3001, "no timber")),
            _ => Ok(null()),
        }
    }

    async fn revert(
        &self,
        task: Task,
        _kwargs: Json,
        _outcome: Result<Json, ErrorObject>,
        _failures: Vec<StepFailure>,
    ) -> Result<(), ErrorObject> {
        match task.method_name() {
            "house.wall" if !self.can_revert.load(Ordering::SeqCst) => {
                Err(error(3002, "somebody leans on it"))
            }
            _ => Ok(()),
        }
    }
}

fn error(code: i32, message: &str) -> ErrorObject {
    ErrorObject {
        code,
        message: message.to_owned(),
        data: None,
    }
}

/// A daemon with a flow that stands in `revertFailed`, and what makes its revert possible.
async fn stuck() -> (Daemon, Attachment, Arc<AtomicBool>) {
    let daemon = Daemon::start();
    let socket = daemon.folder().join("data/opstead.sock");
    let target = format!("unix:{}", socket.display()).parse().unwrap();
    let client = Client::connect(target, ClientConfig::default());
    let method = |name| MethodDeclaration::new(name, MethodKind::Operation, "Builds.");
    let revertible = |name| MethodDeclaration {
        revertible: true,
        ..method(name)
    };
    let options = AttachOptions {
        executor: "builder".to_owned(),
        methods: vec![
            method("house.note"),
            revertible("house.wall"),
            revertible("house.roof"),
            revertible("house.paint"),
        ],
        capacity: 4,
    };
    let can_revert = Arc::new(AtomicBool::new(false));
    let builder = Builder {
        can_revert: Arc::clone(&can_revert),
    };
    let attachment = client
        .await
        .unwrap()
        .attach(options, builder)
        .await
        .unwrap();
    let file = daemon.folder().join("build.json");
    std::fs::write(&file, FLOW).unwrap();
    let ran = daemon.run(&["flow", file.to_str().unwrap(), "--wait"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    has(
        &ran.lines(),
        &[
            "├─ note house.note completed",
            "├─ wall house.wall revertFailed somebody leans on it (3002)",
            "├─ roof house.roof reverted Failed: no timber (3001)",
            "└─ paint house.paint skipped",
            "Not reverted: wall: somebody leans on it (3002)",
            "opstead retry build-1",
            "opstead skip build-1",
        ],
    );
    (daemon, attachment, can_revert)
}

fn has(lines: &[String], expected: &[&str]) {
    for &expected in expected {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}: {lines:#?}"
        );
    }
}

/// Its state when nothing more happens to it.
fn ended(daemon: &Daemon) -> String {
    let waited = daemon.json(&["call", "operations.wait", "ids=build-1"]);
    waited["operations"][0]["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_flow_says_why_and_goes_on_when_it_is_retried() {
    let (daemon, _attachment, can_revert) = stuck().await;
    has(
        &daemon.run(&["show", "build-1"]).lines(),
        &[
            "State revertFailed",
            "Error: step roof: no timber (3001)",
            "Not reverted: wall: somebody leans on it (3002)",
            "opstead retry build-1",
            "opstead skip build-1",
            "├─ wall house.wall revertFailed somebody leans on it (3002)",
        ],
    );
    has(
        &daemon.run(&["tasks"]).lines(),
        &[
            "build-1.roof house.roof reverted Failed: no timber (3001) {}",
            "build-1.paint house.paint skipped {}",
        ],
    );
    has(
        &daemon.run(&["show", "build-1.wall"]).lines(),
        &[
            "State revertFailed",
            "opstead retry build-1.wall",
            "Parent build-1",
        ],
    );
    let tasks = daemon.run(&["tasks"]).lines();
    assert!(
        tasks
            .iter()
            .any(|line| line.starts_with("build-1.note house.note completed")),
        "{tasks:?}"
    );
    can_revert.store(true, Ordering::SeqCst);
    let retried = daemon.run(&["retry", "build-1"]);
    assert_eq!(retried.stdout, "Reverting: build-1\n");
    assert_eq!(ended(&daemon), "reverted");
    has(
        &daemon.run(&["show", "build-1"]).lines(),
        &[
            "State reverted",
            "Left in place, since not revertible: note",
            "├─ wall house.wall reverted",
        ],
    );
    let again = daemon.run(&["retry", "build-1"]);
    assert_eq!(again.code, 65, "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_cannot_be_reverted_is_skipped() {
    let (daemon, _attachment, _can_revert) = stuck().await;
    let data = daemon.folder().join("data");
    let line = format!("opstead retry b| --data {}", data.display());
    let offered = eventually(|| bash(&line), "build-1");
    assert_eq!(offered, ["build-1", "build-1.wall"]);
    let wrong = daemon.run(&["skip", "build-1.roof"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(
        wrong.stderr.contains("opstead list --state revertFailed"),
        "{wrong:?}"
    );
    let absent = daemon.run(&["skip", "build-2"]);
    assert_eq!(absent.code, 65, "{absent:?}");
    let step = daemon.run(&["cancel", "build-1.wall"]);
    assert!(
        step.stderr
            .contains("opstead cancel build-1 cancels its whole flow"),
        "{step:?}"
    );
    let flow = daemon.run(&["cancel", "build-1"]);
    assert!(flow.stderr.contains("it is being reverted"), "{flow:?}");
    let skipped = daemon.json(&["skip", "build-1.wall"]);
    assert_eq!(skipped["state"], "reverted");
    assert_eq!(ended(&daemon), "reverted");
}
