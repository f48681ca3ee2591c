//! The real server on a free port and a Unix socket, with methods that show what the transport
//! promises: order, access, bounds, fences, and what it costs to be treated badly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod fences;
mod fixture;
mod load;
mod order;
mod push;
mod stop;
