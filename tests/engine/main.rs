//! The real engine over the journal in memory, with executors that do what the test says.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

mod durability;

mod reports;

mod cancel;

mod declaring;

mod restart;

mod recovery;

mod retention;

mod coordination;

mod readers;

mod queries;

mod handing_over;
