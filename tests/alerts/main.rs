//! What subscribers are promised, as far as the hub can keep it, over the journal in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beginnings;
mod costs;
mod delivery;
mod reading;
mod torture;
mod world;
