//! An executor as the README shows it; `documents` compares the two.

use opstead_client::schema::{ErrorObject, Json, MethodDeclaration, MethodKind};
use opstead_client::{AttachOptions, Attachment, Client, Error, Executor, Task};

struct Echo;

impl Executor for Echo {
    async fn execute(&self, task: Task, kwargs: Json) -> Result<Json, ErrorObject> {
        println!("{} of {}", task.method_name(), task.operation_id());
        Ok(kwargs)
    }
}

pub(crate) async fn attach(client: &Client) -> Result<Attachment, Error> {
    let echo = MethodDeclaration::new("echo.say", MethodKind::Operation, "Says it again.");
    let options = AttachOptions {
        executor: "echo".to_owned(),
        methods: vec![echo],
        capacity: 4,
    };
    client.attach(options, Echo).await
}
