//! Flows against the real daemon: they succeed or are undone together, whatever happens meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../executors/attached.rs"]
#[allow(dead_code, reason = "shared with the tests of executors")]
mod attached;
#[path = "../daemon/load.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod load;
#[path = "../daemon/program.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod program;
#[path = "../daemon/session.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod session;

mod images;

mod bad_input;
mod ids_again;
mod played;
mod records;
mod restarts;
mod secrets;
