//! Clients that others wrote, each in its own ecosystem, against the real program: call, be
//! refused, subscribe and be told, resume. And the OpenRPC document in the hands of OpenRPC's own
//! tools.
//!
//! Their packages are pinned, and come from the ordinary registries: `node/package-lock.json`,
//! `python/requirements.txt`. Where Node.js, npm, Python or curl is missing, a test says that it
//! was skipped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/venv.rs"]
mod venv;

#[path = "../daemon/program.rs"]
#[allow(dead_code, reason = "it is the fixture of the daemon's own tests")]
mod program;

#[path = "../daemon/session.rs"]
#[allow(dead_code, reason = "it is the fixture of the daemon's own tests")]
mod session;

mod modules;
mod script;

mod curl;
mod documented;
mod node;
mod openrpc;
mod python;
