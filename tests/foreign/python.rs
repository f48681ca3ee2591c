//! Clients for Python: one that others wrote, and what Python itself has.

use std::path::Path;
use std::process::Command;

use crate::program::Home;
use crate::script::{folder, have, passes, tell};
use crate::venv::venv;

#[test]
fn jsonrpc_websocket() {
    let requirements = folder().join("python/requirements.txt");
    if let Some(python) = venv("foreign", &requirements) {
        run(&python, "jsonrpc_websocket_client.py");
    }
}

#[test]
fn the_standard_library() {
    if have("python3") {
        run(Path::new("python3"), "standard_library.py");
    }
}

/// Runs a script against a daemon of its own, without writing bytecode beside it.
fn run(python: &Path, script: &str) {
    let home = Home::new();
    let daemon = home.start();
    let mut command = Command::new(python);
    command.arg("-B").arg(folder().join("python").join(script));
    tell(&mut command, &daemon);
    passes(&mut command);
}
