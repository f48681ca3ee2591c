//! Clients for Node.js.

use std::process::Command;

use crate::modules;
use crate::program::Home;
use crate::script::{passes, tell};

#[test]
fn rpc_websockets() {
    run("rpc-websockets.mjs");
}

#[test]
fn jayson() {
    run("jayson.mjs");
}

#[test]
fn open_rpc_client() {
    run("open-rpc-client.mjs");
}

/// Runs a script against a daemon of its own.
fn run(script: &str) {
    let Some(scripts) = modules::scripts() else {
        return;
    };
    let home = Home::new();
    let daemon = home.start();
    let mut node = Command::new("node");
    node.arg(script).current_dir(scripts.path());
    passes(tell(&mut node, &daemon));
}
