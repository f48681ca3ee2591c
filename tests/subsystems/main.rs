//! The built-in subsystems, driven through the executor boundary as the engine drives them, on real
//! files in folders of their own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "../support/witness.rs"]
mod witness;

#[path = "../support/working.rs"]
mod working;

mod exec_support;

mod declarations;

mod images;

mod copying;

mod imports;

mod names;

mod repeating;

mod reverting;

mod full_disk;

mod qcow2;

mod merging;

mod in_use;

mod checking;

mod foreign;

mod qemu_img;

mod diagnostic;

mod exec;

mod exec_declarations;

mod exec_ending;
