//! A flow as the README builds it; `documents` compares the two.

use opstead_client::schema::Registration;
use opstead_client::{Client, Error, Flow, result};
use serde_json::json;

pub(crate) async fn register(client: &Client) -> Result<Registration, Error> {
    let flow = Flow::new("mirror")
        .with_id("mirror-1")
        .step(
            "copy",
            "storage.copyImage",
            json!({"source": "a", "target": "mirror"}),
        )
        .step(
            "log",
            "storage.createImage",
            json!({"image": "mirror-log", "sizeBytes": result("copy", "/sizeBytes")}),
        );
    client.register_flow(&flow.build()?).await
}
