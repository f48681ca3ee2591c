//! Executors that attach: what they say when the daemon refuses it, or cannot be reached.

use std::pin::Pin;
use std::sync::Arc;

use opstead_client::schema::params::{InfoUpdate, RegisterParams};
use opstead_client::schema::{ErrorObject, Json, StepFailure, empty_object, to_json};
use opstead_client::{AttachOptions, Attachment, Client, Executor, Task};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::fake::{Connection, Daemon, config};

type Work = Pin<Box<dyn Future<Output = Result<Json, ErrorObject>> + Send>>;

/// Carries out every method in the same way.
struct Does<F>(F);

impl<F: Fn(Task) -> Work + Send + Sync + 'static> Executor for Does<F> {
    async fn execute(&self, task: Task, _: Json) -> Result<Json, ErrorObject> {
        (self.0)(task).await
    }
}

/// One attached executor and the daemon's end of its connection.
async fn attached(daemon: &Daemon, executor: impl Executor) -> (Attachment, Client, Connection) {
    let (client, mut connection) = daemon.client(config()).await;
    let options = AttachOptions {
        executor: "test".to_owned(),
        methods: Vec::new(),
        capacity: 1,
    };
    let (attachment, params) = tokio::join!(client.attach(options, executor), connection.seat(&[]));
    assert_eq!(params["executor"], "test");
    (attachment.expect("attached"), client, connection)
}

fn execute() -> Value {
    json!({
        "action": "execute", "operationId": "o", "lease": "7.1", "attempt": 1,
        "methodName": "t.do", "version": 1, "kwargs": {},
    })
}

fn error(code: i32, message: &str) -> ErrorObject {
    ErrorObject {
        code,
        message: message.to_owned(),
        data: None,
    }
}

fn known(running: u32) -> Value {
    json!({"executors": [
        {"executor": "test", "attached": true, "capacity": 0, "running": running, "methods": []},
    ]})
}

#[tokio::test]
async fn a_failure_that_is_refused_is_told_as_another() {
    let daemon = Daemon::start().await;
    let long = "x".repeat(5_000);
    let fails = Does(move |_| {
        let error = error(0, &long);
        Box::pin(async { Err(error) }) as Work
    });
    let (_attachment, _client, mut connection) = attached(&daemon, fails).await;
    connection.assign(execute()).await;
    let first = connection.request("executors.fail").await;
    assert_eq!(first.params["error"]["code"], 0);
    connection.refuse(&first, -32602, json!({})).await;
    let second = connection.request("executors.fail").await;
    assert_eq!(second.params["lease"], "7.1");
    let told = &second.params["error"];
    assert_eq!(told["code"], 2006);
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("the error 0, xxx"), "{message}");
    assert!(
        message.ends_with("x, was refused: refused (-32602)"),
        "{message}"
    );
    assert!(message.len() < 2_000, "what may have been too long is cut");
    // Another attempt is not forbidden: the failure did not say so.
    assert_eq!(told.get("data"), None);
}

#[tokio::test]
async fn a_result_that_is_refused_is_a_failure() {
    let daemon = Daemon::start().await;
    let returns = Does(|_| Box::pin(async { Ok(to_json("too long").unwrap()) }) as Work);
    let (_attachment, _client, mut connection) = attached(&daemon, returns).await;
    connection.assign(execute()).await;
    let first = connection.request("executors.complete").await;
    connection.refuse(&first, -32602, json!({})).await;
    let second = connection.request("executors.fail").await;
    let told = &second.params["error"];
    assert_eq!(told["code"], 2006);
    assert_eq!(
        told["message"],
        "the result of 10 bytes was refused: refused (-32602)"
    );
    // It would come to the same again.
    assert_eq!(told["data"]["retryable"], false);
}

/// What is right is not lost with what is wrong, and what is wrong is told otherwise.
#[tokio::test]
async fn an_error_beside_refused_progress_is_recorded() {
    let daemon = Daemon::start().await;
    let reports = Does(|task: Task| {
        task.progress(InfoUpdate {
            percentage: Some(101.0),
            ..InfoUpdate::default()
        });
        task.non_fatal_error(error(3001, "one"));
        task.non_fatal_error(error(0, "two"));
        Box::pin(async { Ok(empty_object()) }) as Work
    });
    let (_attachment, _client, mut connection) = attached(&daemon, reports).await;
    connection.assign(execute()).await;
    let progress = connection.request("executors.update").await;
    assert_eq!(
        progress.params,
        json!({"lease": "7.1", "operationInfo": {"percentage": 101.0}})
    );
    connection.refuse(&progress, -32602, json!({})).await;
    let one = connection.request("executors.update").await;
    assert_eq!(
        one.params,
        json!({"lease": "7.1", "nonFatalError": {"code": 3001, "message": "one"}})
    );
    connection.answer(&one, json!({"cursor": 1})).await;
    let two = connection.request("executors.update").await;
    assert_eq!(two.params["nonFatalError"]["code"], 0);
    connection.refuse(&two, -32602, json!({})).await;
    let instead = connection.request("executors.update").await;
    assert_eq!(
        instead.params["nonFatalError"],
        json!({"code": 2006, "message": "the error 0, two, was refused: refused (-32602)"})
    );
    // That is refused too: it goes on.
    connection.refuse(&instead, -32602, json!({})).await;
    connection.request("executors.complete").await;
}

/// Protocol §3: with an id the same request can be sent again.
#[tokio::test]
async fn a_child_without_an_id_is_registered_once() {
    let daemon = Daemon::start().await;
    let registers = Does(|task: Task| {
        Box::pin(async move {
            let params = RegisterParams::new("t.child", empty_object());
            let registration = task.register(params).await;
            Ok(to_json(&registration.unwrap().id).unwrap())
        }) as Work
    });
    let (_attachment, _client, mut connection) = attached(&daemon, registers).await;
    connection.assign(execute()).await;
    let first = connection.request("operations.register").await;
    drop(connection);
    let mut connection = daemon.accept().await;
    let request = connection.request("executors.list").await;
    connection.answer(&request, json!({"executors": []})).await;
    let params = connection.seat(&["7.1"]).await;
    assert_eq!(params["resume"], json!(["7.1"]));
    let again = connection.request("operations.register").await;
    assert_eq!(first.params, again.params);
    let id = again.params["id"].as_str().unwrap();
    assert!(
        id.starts_with("t.child.") && id.len() == "t.child.".len() + 32,
        "{id}"
    );
    let registration = json!({
        "id": id, "response": "accepted", "reasons": [], "state": "waiting",
        "alertName": "t.task.x", "existing": true, "cursor": 5, "logId": "log-1",
    });
    connection.answer(&again, registration).await;
    let ended = connection.request("executors.complete").await;
    assert_eq!(ended.params["result"], id);
}

/// What was assigned before the daemon heard that nothing more is wanted is carried out.
#[tokio::test]
async fn draining_waits_for_what_is_on_its_way() {
    let daemon = Daemon::start().await;
    let returns = Does(|_| Box::pin(async { Ok(empty_object()) }) as Work);
    let (attachment, _client, mut connection) = attached(&daemon, returns).await;
    let serve = async {
        let (mut running, mut is_assigned, mut ended) = (1, false, 0);
        while let Some(request) = connection.try_request().await {
            match request.method.as_str() {
                "executors.capacity" => assert_eq!(request.params["capacity"], 0),
                "executors.list" => {
                    connection.answer(&request, known(running)).await;
                    if !std::mem::replace(&mut is_assigned, true) {
                        connection.assign(execute()).await;
                    }
                    continue;
                }
                "executors.complete" => {
                    running = 0;
                    ended += 1;
                }
                "alerts.unsubscribe" => return ended,
                other => panic!("{other}"),
            }
            connection.answer(&request, json!({"cursor": 1})).await;
        }
        ended
    };
    let ((), ended) = tokio::join!(attachment.drain(), serve);
    assert_eq!(ended, 1, "it left before that");
}

#[tokio::test]
async fn draining_without_a_connection_leaves() {
    let daemon = Daemon::start().await;
    let returns = Does(|_| Box::pin(async { Ok(empty_object()) }) as Work);
    let (attachment, client, connection) = attached(&daemon, returns).await;
    drop(connection);
    client.wait_for_disconnect().await;
    attachment.drain().await;
}

struct Reverts;

impl Executor for Reverts {
    async fn execute(&self, _: Task, _: Json) -> Result<Json, ErrorObject> {
        Err(error(3000, "this carries it out"))
    }

    /// Says what it was told.
    async fn revert(
        &self,
        task: Task,
        kwargs: Json,
        outcome: Result<Json, ErrorObject>,
        failures: Vec<StepFailure>,
    ) -> Result<(), ErrorObject> {
        let told = (
            task.operation_id(),
            kwargs,
            outcome.map_err(|error| error.code),
            &failures,
        );
        let told = to_json(&told).expect("it is JSON");
        task.non_fatal_error(error(3001, told.get()));
        match failures.is_empty() {
            true => Ok(()),
            false => Err(error(3002, "cannot be undone")),
        }
    }
}

fn revert(members: Value) -> Value {
    let mut assignment = execute();
    assignment["action"] = json!("revert");
    for (name, member) in members.as_object().expect("an object") {
        assignment[name] = member.clone();
    }
    assignment
}

/// Expects what [`Reverts`] was told.
async fn told(connection: &mut Connection) -> Value {
    let request = connection.request("executors.update").await;
    connection.answer(&request, json!({"cursor": 1})).await;
    let message = &request.params["nonFatalError"]["message"];
    serde_json::from_str(message.as_str().expect("a text")).expect("it is JSON")
}

/// Protocol §7: a revert is given the kwargs, its result or error, and all failures.
#[tokio::test]
async fn a_revert_is_told_what_its_operation_came_to() {
    let daemon = Daemon::start().await;
    let (_attachment, _client, mut connection) = attached(&daemon, Reverts).await;
    connection
        .assign(revert(json!({"kwargs": {"a": 1}, "result": null})))
        .await;
    let first = told(&mut connection).await;
    assert_eq!(first, json!(["o", {"a": 1}, {"Ok": null}, []]));
    let done = connection.request("executors.complete").await;
    assert_eq!(done.params, json!({"lease": "7.1", "result": null}));
    connection.answer(&done, json!({"cursor": 2})).await;

    let failure = json!({"step": "s", "operationId": "f.s", "code": 3009, "message": "no"});
    let error = json!({"code": 3009, "message": "no"});
    connection
        .assign(revert(
            json!({"lease": "8.1", "error": error, "failures": [failure]}),
        ))
        .await;
    let second = told(&mut connection).await;
    assert_eq!(second, json!(["o", {}, {"Err": 3009}, [failure]]));
    let failed = connection.request("executors.fail").await;
    assert_eq!(failed.params["lease"], "8.1");
    assert_eq!(failed.params["error"]["code"], 3002);
}

/// Works until it may return, and tells in which order everything happened.
struct Lingers {
    go: Arc<Notify>,
    order: mpsc::UnboundedSender<&'static str>,
}

impl Executor for Lingers {
    async fn execute(&self, _: Task, _: Json) -> Result<Json, ErrorObject> {
        self.order.send("begun").expect("the test goes on");
        self.go.notified().await;
        self.order.send("returned").expect("the test goes on");
        Ok(empty_object())
    }

    async fn revert(
        &self,
        _: Task,
        _: Json,
        _: Result<Json, ErrorObject>,
        _: Vec<StepFailure>,
    ) -> Result<(), ErrorObject> {
        self.order.send("reverted").expect("the test goes on");
        Ok(())
    }

    async fn query(&self, _: &str, _: Json) -> Result<Json, ErrorObject> {
        Ok(empty_object())
    }
}

fn lingering() -> (Lingers, Arc<Notify>, mpsc::UnboundedReceiver<&'static str>) {
    let go = Arc::new(Notify::new());
    let (order, happened) = mpsc::unbounded_channel();
    let lingers = Lingers {
        go: go.clone(),
        order,
    };
    (lingers, go, happened)
}

/// What is still being done cannot be undone.
#[tokio::test]
async fn a_revert_waits_for_an_attempt_that_was_given_up() {
    let daemon = Daemon::start().await;
    let (lingers, go, mut happened) = lingering();
    let (_attachment, _client, mut connection) = attached(&daemon, lingers).await;
    connection.assign(execute()).await;
    assert_eq!(happened.recv().await, Some("begun"));
    connection.assign(cancel("7.1")).await;
    connection.assign(revert(json!({"lease": "7.2"}))).await;
    all_is_taken(&mut connection).await;
    go.notify_one();
    assert_eq!(happened.recv().await, Some("returned"));
    assert_eq!(happened.recv().await, Some("reverted"));
}

/// Somebody else may have undone it meanwhile.
#[tokio::test]
async fn a_revert_that_is_given_up_while_it_waits_does_not_begin() {
    let daemon = Daemon::start().await;
    let (lingers, go, mut happened) = lingering();
    let (_attachment, _client, mut connection) = attached(&daemon, lingers).await;
    connection.assign(execute()).await;
    assert_eq!(happened.recv().await, Some("begun"));
    connection.assign(revert(json!({"lease": "7.2"}))).await;
    connection.assign(cancel("7.2")).await;
    all_is_taken(&mut connection).await;
    go.notify_one();
    assert_eq!(happened.recv().await, Some("returned"));
    let mut told = Vec::new();
    for _ in 0..2 {
        let request = connection.try_request().await.expect("it is connected");
        connection.answer(&request, json!({"cursor": 1})).await;
        told.push((request.method, request.params["lease"].clone()));
    }
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let due = [("executors.canceled", "7.2"), ("executors.complete", "7.1")];
    assert_eq!(
        told,
        due.map(|(method, lease)| (method.to_owned(), json!(lease)))
    );
    assert!(happened.try_recv().is_err(), "it was reverted");
}

fn cancel(lease: &str) -> Value {
    json!({"action": "cancel", "operationId": "o", "lease": lease})
}

/// What comes behind everything else is answered.
async fn all_is_taken(connection: &mut Connection) {
    connection
        .assign(json!({"action": "query", "queryId": "9", "methodName": "t.ask", "version": 1}))
        .await;
    let answer = connection.request("executors.answer").await;
    connection.answer(&answer, json!({"cursor": 1})).await;
}

#[tokio::test]
async fn a_revert_that_nobody_wrote_fails() {
    let daemon = Daemon::start().await;
    let returns = Does(|_| Box::pin(async { Ok(empty_object()) }) as Work);
    let (_attachment, _client, mut connection) = attached(&daemon, returns).await;
    connection.assign(revert(json!({"result": 1}))).await;
    let failed = connection.request("executors.fail").await;
    assert_eq!(failed.params["error"]["code"], 2006);
    assert_eq!(
        failed.params["error"]["message"],
        "t.do is revertible, but this executor has no revert for it"
    );
}
