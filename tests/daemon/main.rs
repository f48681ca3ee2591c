//! The real program over real sockets: what the protocol promises, and that nothing acknowledged is
//! lost however the program ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/power_cut.rs"]
mod power_cut;

#[path = "../support/working.rs"]
mod working;

#[path = "../support/witness.rs"]
mod witness;

#[path = "../../clients/rust/examples/manager.rs"]
#[allow(dead_code, reason = "its main function is the example's own")]
mod manager_example;

mod load;
mod program;
mod session;

mod alerts;
mod bad_input;
mod claims;
mod coordination;
mod errors;
mod exec;
mod following;
mod full_disk;
mod images;
mod interrupted;
mod kill;
mod listing;
mod manager;
mod power_cuts;
mod registering;
mod retention;
mod stopping;
mod switched_off;
mod types;
mod waiting;
