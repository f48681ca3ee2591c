//! Two programs under one name, both with the Rust client.

use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{
    ErrorObject, Json, MethodDeclaration, MethodKind, empty_object, to_json,
};
use opstead_client::{AttachOptions, Attachment, Client, Executor, Task};

use crate::program::{Home, NEVER};

/// Says who it is.
struct Named(&'static str);

impl Executor for Named {
    async fn execute(&self, _: Task, _: Json) -> Result<Json, ErrorObject> {
        Ok(to_json(self.0).unwrap())
    }
}

async fn attach(client: &Client, name: &'static str) -> Attachment {
    let who = MethodDeclaration::new("name.who", MethodKind::Operation, "Says who it is.");
    let options = AttachOptions {
        executor: "shared".to_owned(),
        methods: vec![who],
        capacity: 1,
    };
    client.attach(options, Named(name)).await.unwrap()
}

async fn who(manager: &Client) -> String {
    let request = RegisterParams::new("name.who", empty_object());
    let registration = manager.register(&request).await.unwrap();
    let done = manager.wait_for_operation(registration.id, NEVER).await;
    serde_json::from_str(done.unwrap().result.unwrap().get()).unwrap()
}

/// Who was driven out comes back when the other has left, and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_one_name_do_not_drive_each_other_out() {
    let home = Home::new();
    let daemon = home.start();
    let manager = daemon.client().await;
    let (one, two) = (daemon.client().await, daemon.client().await);
    let _first = attach(&one, "first").await;
    assert_eq!(who(&manager).await, "first");
    let second = attach(&two, "second").await;
    // The first is cut off, connects again, and looks who is there.
    one.wait_for_reconnect(NEVER).await.unwrap();
    assert_eq!(who(&manager).await, "second");
    second.leave().await;
    assert_eq!(who(&manager).await, "first");
}
