//! The suite that every journal passes, and what only the one on disk has to stand: damage, other
//! folders, kill -9 and power cuts.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod child;
mod damage;
mod folder;
mod frozen;
mod inspect;
#[path = "../support/power_cut.rs"]
mod power_cut;
mod power_cuts;
mod samples;
mod suite;
