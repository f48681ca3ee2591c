//! What the daemon does not take of an executor with the Rust client.

use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{
    ErrorCode, ErrorObject, Json, MethodDeclaration, MethodKind, OperationState, empty_object,
    to_json,
};
use opstead_client::{AttachOptions, Executor, Task};

use crate::program::{Home, NEVER};

/// Returns more than the daemon reads in one request.
struct Long;

impl Executor for Long {
    async fn execute(&self, _: Task, _: Json) -> Result<Json, ErrorObject> {
        Ok(to_json(&"x".repeat(5 << 20)).unwrap())
    }
}

/// The daemon cannot say whose request it did not read, while another call is in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_too_large_to_be_read_fails_its_operation() {
    let home = Home::new();
    let daemon = home.start();
    let client = daemon.client().await;
    let method = MethodDeclaration::new("long.say", MethodKind::Operation, "Says much.");
    let options = AttachOptions {
        executor: "long".to_owned(),
        methods: vec![method],
        capacity: 1,
    };
    let attachment = client.attach(options, Long).await.unwrap();
    let request = RegisterParams::new("long.say", empty_object()).with_id("long");
    client.register(&request).await.unwrap();
    // This waits on the same connection.
    let operation = client.wait_for_operation("long", NEVER).await.unwrap();
    assert_eq!(operation.state, OperationState::Failed);
    let error = operation.error.unwrap();
    assert_eq!(error.known(), Some(ErrorCode::ExecutorPanicked));
    let told = "the result of 5242882 bytes was refused";
    assert!(error.message.starts_with(told), "{error}");
    attachment.drain().await;
    let executors = client.executors().await.unwrap();
    let mut known = executors.iter().filter(|known| known.executor == "long");
    assert!(known.all(|known| !known.attached), "it has left");
}
