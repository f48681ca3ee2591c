//! Executors that attach: what the terminal says of their methods, and of them when they are away.

use opstead_client::schema::{ErrorObject, Json, MethodDeclaration, MethodKind};
use opstead_client::{AttachOptions, Client, ClientConfig, Executor, Task};
use serde_json::json;

use super::support::Daemon;

/// Carries everything out until it is told to stop.
struct Patient;

impl Executor for Patient {
    async fn execute(&self, task: Task, _kwargs: Json) -> Result<Json, ErrorObject> {
        task.canceled().await;
        Err(Task::stopped())
    }
}

fn method(version: u32) -> MethodDeclaration {
    let schema =
        json!({"type": "object", "required": ["vm"], "properties": {"vm": {"type": "string"}}});
    MethodDeclaration {
        version,
        kwargs_schema: Some(serde_json::from_value(schema).unwrap()),
        secrets: vec!["password".to_owned(), "/auth/token".to_owned()],
        ..MethodDeclaration::new("vm.login", MethodKind::Operation, "Logs in.")
    }
}

async fn connect(daemon: &Daemon) -> Client {
    let socket = daemon.folder().join("data/opstead.sock");
    let target = format!("unix:{}", socket.display()).parse().unwrap();
    Client::connect(target, ClientConfig::default())
        .await
        .unwrap()
}

fn options(methods: Vec<MethodDeclaration>) -> AttachOptions {
    AttachOptions {
        executor: "agent".to_owned(),
        methods,
        capacity: 2,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_can_be_called() {
    let daemon = Daemon::start();
    let client = connect(&daemon).await;
    let attached = client.attach(options(vec![method(1), method(3)]), Patient);
    let _attachment = attached.await.unwrap();
    let lines = daemon.run(&["methods", "vm.login"]).lines();
    for told in [
        "opstead call vm.login vm=VM --version 1",
        "opstead call vm.login vm=VM",
        "Secrets password, /auth/token",
    ] {
        assert!(lines.contains(&told.to_owned()), "{told}: {lines:#?}");
    }
    let version = |options: &[&str]| {
        let call = [&["call", "vm.login", "vm=a"][..], options].concat();
        let id = daemon.json(&call)["id"].as_str().unwrap().to_owned();
        daemon.json(&["show", &id])["version"].clone()
    };
    assert_eq!(version(&["--version", "1"]), 1);
    assert_eq!(version(&[]), 3);
    let ran = daemon.run(&["call", "vm.login", "vm=a", "--version", "2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("its versions are 1, 3"), "{ran:?}");
    let query = ["call", "storage.getImageInfo", "image=a", "--version", "1"];
    assert_eq!(daemon.run(&query).code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_that_is_away_is_told() {
    let mut daemon = Daemon::start();
    let client = connect(&daemon).await;
    let attachment = client.attach(options(vec![method(1)]), Patient);
    let attachment = attachment.await.unwrap();
    let mut alerts = daemon.spawn(&["watch", "vm.*", "--after", "0"]);
    daemon.json(&["call", "vm.login", "vm=a", "--id", "login"]);
    assert!(alerts.stdout().any(|line| line.contains("started")));
    let away = "Its executor agent is away; the attempt is kept until its lease ends.".to_owned();
    assert!(!daemon.run(&["show", "login"]).lines().contains(&away));
    drop((attachment, client));
    daemon.kill_and_start();
    let shown = daemon.run(&["show", "login"]).lines();
    assert!(shown.contains(&away), "{shown:#?}");
    let tasks = daemon.run(&["tasks", "login"]).lines();
    assert_eq!(
        tasks[1],
        r#"login vm.login running Its executor is away {"vm":"a"}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_tells_who_attaches() {
    let daemon = Daemon::start();
    let client = connect(&daemon).await;
    let attached = client.attach(options(vec![method(1)]), Patient);
    let _attachment = attached.await.unwrap();
    let log = std::fs::read_to_string(daemon.folder().join("daemon.log")).unwrap();
    assert!(
        log.contains("an executor attached executor=\"agent\""),
        "{log}"
    );
}
