//! Clients for Node.js.

use std::process::Command;

use tempfile::TempDir;

use crate::modules;
use crate::program::{Daemon, Home};
use crate::script::{passes, tell};
use crate::support::Ws;

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

/// The script kills the daemon, which is started again.
#[tokio::test]
async fn rpc_websockets_comes_back() {
    let Some(scripts) = modules::scripts() else {
        return;
    };
    let home = Home::new();
    let daemon = home.start();
    let mut node = script(&scripts, "coming-back.mjs", &daemon);
    let mut witness = Ws::connect_unix(&daemon.socket).await;
    let mut running = tokio::task::spawn_blocking(move || passes(&mut node));
    tokio::select! {
        ended = &mut running => panic!("it ended before the daemon: {ended:?}"),
        message = witness.receive() => assert_eq!(message, None),
    }
    daemon.kill();

    let daemon = home.start();
    daemon.connect().await.noop("told-2").await;
    running.await.unwrap();
}

/// Runs a script against a daemon of its own.
fn run(name: &str) {
    let Some(scripts) = modules::scripts() else {
        return;
    };
    let home = Home::new();
    let daemon = home.start();
    passes(&mut script(&scripts, name, &daemon));
}

fn script(scripts: &TempDir, name: &str, daemon: &Daemon) -> Command {
    let mut node = Command::new("node");
    tell(node.arg(name).current_dir(scripts.path()), daemon);
    node
}
