//! The OpenRPC document in the hands of OpenRPC's own tools: validated, and made into a client that
//! compiles and calls.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::modules;
use crate::program::Home;
use crate::script::{finished, passes, tell};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/openrpc.json");

/// The committed document, and what the daemon answers, which is the same.
#[tokio::test]
async fn the_document_is_valid() {
    let home = Home::new();
    let daemon = home.start();
    let discovered = daemon.connect().await.ok("rpc.discover", json!({})).await;
    let committed: Value = serde_json::from_str(&fs::read_to_string(COMMITTED).unwrap()).unwrap();
    assert_eq!(discovered, committed);

    let Some(scripts) = modules::scripts() else {
        return;
    };
    let mut node = offline(scripts.path());
    passes(node.arg("document.mjs").arg(COMMITTED));
}

#[test]
fn a_generator_makes_a_client_that_compiles_and_calls() {
    let Some(scripts) = modules::scripts() else {
        return;
    };
    let folder = scripts.path();
    let mut node = offline(folder);
    passes(node.arg("generate.mjs").arg(COMMITTED).arg("generated"));
    let client = folder.join("generated/custom/typescript/src/client.mts");
    fs::rename(client, folder.join("client.mts")).unwrap();

    let mut compiler = offline(folder);
    compiler.args(["node_modules/typescript/bin/tsc", "--project", "."]);
    let output = finished(&mut compiler);
    let faults = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{faults}");

    let home = Home::new();
    let daemon = home.start();
    let mut node = Command::new("node");
    node.arg("generated.mjs").current_dir(folder);
    tell(&mut node, &daemon);
    passes(&mut node);
}

/// Node.js in the folder of the scripts, without the network.
fn offline(scripts: &Path) -> Command {
    let mut node = Command::new("node");
    node.args(["--import", "./offline.mjs"])
        .current_dir(scripts);
    node
}
