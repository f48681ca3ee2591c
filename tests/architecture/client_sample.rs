//! The Rust client as the README shows it; `documents` compares the two.

use std::time::Duration;

use opstead_client::schema::OperationState;
use opstead_client::schema::{params::RegisterParams, to_json};
use opstead_client::{Client, ClientConfig};

pub(crate) async fn copy(target: &str) -> Result<OperationState, Box<dyn std::error::Error>> {
    let client = Client::connect(target.parse()?, ClientConfig::default()).await?;
    let kwargs = to_json(&serde_json::json!({"source": "a", "target": "b"}))?;
    let request = RegisterParams::new("storage.copyImage", kwargs).with_id("copy-1");
    let registration = client.register(&request).await?;
    let timeout = Duration::from_secs(600);
    let operation = client.wait_for_operation(registration.id, timeout).await?;
    Ok(operation.state)
}
