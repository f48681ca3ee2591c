//! The Python client, tested in Python against the real daemon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/venv.rs"]
mod venv;

use std::path::Path;

/// The pinned packages that the tests use can be had.
#[test]
fn the_environment_is_made_once() {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/requirements.txt");
    let Some(python) = venv::venv("python", &requirements) else {
        return;
    };
    assert!(python.exists());
    assert_eq!(venv::venv("python", &requirements), Some(python));
}
