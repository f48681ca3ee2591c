//! A manager's loop: register an operation and follow it to its end, whatever happens to the
//! connection or the daemon meanwhile.
//!
//! `manager TARGET METHOD KWARGS ID`, for example
//! `manager ws://127.0.0.1:6770 storage.copyImage '{"source":"a","target":"b"}' copy-1`.
//! The token comes from `OPSTEAD_TOKEN` or `OPSTEAD_TOKEN_FILE`. Exits with 1 unless the operation
//! completed.

use std::process::ExitCode;
use std::time::Duration;

use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{Operation, OperationInfo, OperationState, Registration};
use opstead_client::{Client, ClientConfig, Error};

/// How long without an event before the manager asks by itself.
const POLL: Duration = Duration::from_secs(2);
/// How long the daemon may be away.
const AWAY: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, method, kwargs, id] = arguments.as_slice() else {
        eprintln!("usage: manager TARGET METHOD KWARGS ID");
        return Ok(ExitCode::from(2));
    };
    let request = RegisterParams::new(method, serde_json::from_str(kwargs)?).with_id(id);
    let client = Client::connect(target.parse()?, ClientConfig::default()).await?;
    let operation = follow(&client, &request).await?;
    println!("{id} is {}", operation.state);
    let completed = operation.state == OperationState::Completed;
    Ok(if completed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(crate) async fn follow(client: &Client, request: &RegisterParams) -> Result<Operation, Error> {
    // Watch first, register then: the operation's first alert cannot be missed.
    let subsystem = request.method_name.split('.').next().unwrap_or_default();
    let mut watch = client.watch(format!("{subsystem}.*")).await?;
    let Registration { id, response, .. } = register(client, request).await?;
    println!("{id} is {response}");
    loop {
        match watch.wait_for_event(POLL).await {
            Ok(alert) if alert.operation_id.as_deref() == Some(&id) => {
                show(alert.event.as_str(), &alert.operation_info);
                if alert.operation_info.stage.is_last() {
                    return read(client, &id).await;
                }
            }
            Ok(_) => {}
            Err(Error::Disconnected) => {
                println!("disconnected");
                client.wait_for_reconnect(AWAY).await?;
                println!("reconnected");
            }
            // Nothing happened for a while, or too much for the log: ask.
            Err(Error::TimedOut | Error::CursorExpired { .. }) => {
                let operation = read(client, &id).await?;
                show("asked", &operation.operation_info);
                if operation.done {
                    return Ok(operation);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The id makes the request repeatable: twice is once.
async fn register(client: &Client, request: &RegisterParams) -> Result<Registration, Error> {
    loop {
        match client.register(request).await {
            Err(error) => again(client, error).await?,
            answer => return answer,
        }
    }
}

async fn read(client: &Client, id: &str) -> Result<Operation, Error> {
    loop {
        match client.operation(id).await {
            Err(error) => again(client, error).await?,
            answer => return answer,
        }
    }
}

/// Waits until asking again makes sense, if it ever does.
async fn again(client: &Client, error: Error) -> Result<(), Error> {
    match error {
        Error::Disconnected => client.wait_for_reconnect(AWAY).await,
        // Too busy, or about to end.
        error if error.is_passing() => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        }
        error => Err(error),
    }
}

fn show(event: &str, info: &OperationInfo) {
    let percentage = info
        .percentage
        .known()
        .map_or("?".to_owned(), |known| format!("{known:.0}"));
    println!("{event}: {} {percentage} %", info.operation_description);
}
