//! An executor of one's own: it counts the lines of files, and goes on over lost connections and
//! restarts of the daemon.
//!
//! `executor TARGET`, for example `executor ws://127.0.0.1:6770`. Then anybody can register
//! `text.countLines` with kwargs `{"path": "/etc/services"}`. The token comes from `OPSTEAD_TOKEN`
//! or `OPSTEAD_TOKEN_FILE`.

use opstead_client::schema::params::InfoUpdate;
use opstead_client::schema::{
    ErrorObject, InterruptPolicy, Json, MethodDeclaration, MethodKind, OperationDescription,
    to_json,
};
use opstead_client::{AttachOptions, Attachment, Client, ClientConfig, Error, Executor, Task};
use serde::Deserialize;
use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Codes from 3000 on are a subsystem's own.
const NOT_READABLE: i32 = 3000;

struct LineCounter;

#[derive(Deserialize)]
struct CountLines {
    path: String,
}

impl Executor for LineCounter {
    async fn execute(&self, task: Task, kwargs: Json) -> Result<Json, ErrorObject> {
        let CountLines { path } = serde_json::from_str(kwargs.get()).map_err(not_readable)?;
        let file = File::open(path).await.map_err(not_readable)?;
        let mut lines = BufReader::new(file).lines();
        let mut count = 0_u64;
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line.map_err(not_readable)?,
                () = task.canceled() => return Err(Task::stopped()),
            };
            if line.is_none() {
                return to_json(&json!({"lines": count})).map_err(not_readable);
            }
            count += 1;
            // As often as there is news: what comes in a row is sent as one.
            task.progress(InfoUpdate {
                operation_description: Some(OperationDescription::Verifying),
                stage_description: Some(format!("{count} lines")),
                ..InfoUpdate::default()
            });
        }
    }
}

fn not_readable(error: impl std::fmt::Display) -> ErrorObject {
    ErrorObject {
        code: NOT_READABLE,
        message: error.to_string(),
        data: None,
    }
}

fn count_lines() -> MethodDeclaration {
    let schema = json!({
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    });
    MethodDeclaration {
        kwargs_schema: to_json(&schema).ok(),
        cancelable: true,
        on_interrupt: InterruptPolicy::Retry,
        ..MethodDeclaration::new(
            "text.countLines",
            MethodKind::Operation,
            "Counts the lines of a file.",
        )
    }
}

pub(crate) async fn attach(client: &Client) -> Result<Attachment, Error> {
    let options = AttachOptions {
        executor: "line counter".to_owned(),
        methods: vec![count_lines()],
        capacity: 4,
    };
    client.attach(options, LineCounter).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(target) = std::env::args().nth(1) else {
        eprintln!("usage: executor TARGET");
        std::process::exit(2);
    };
    let client = Client::connect(target.parse()?, ClientConfig::default()).await?;
    let attachment = attach(&client).await?;
    println!("attached");
    tokio::signal::ctrl_c().await?;
    // What runs is finished; nothing new is taken.
    attachment.drain().await;
    Ok(())
}
