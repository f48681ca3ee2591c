//! Executors that attach from outside: what the protocol says of them, over real sockets against
//! the real daemon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../daemon/program.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod program;
#[path = "../daemon/session.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod session;

mod attached;

#[path = "../../clients/rust/examples/executor.rs"]
#[allow(dead_code, reason = "its main function is the example's own")]
mod executor_example;

mod bad_input;
mod capacity;
mod carrying_out;
mod example;
mod leases;
mod names;
mod objects;
mod queries;
mod refused;
mod schedule;
mod secrets;
mod suite;
