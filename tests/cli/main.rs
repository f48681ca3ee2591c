//! The program as its user has it: the real program, against a real daemon in a folder of its own.
#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod calls;
mod completions;
mod coordination;
mod demo;
mod errors;
mod executors;
mod flows;
mod following;
mod journal;
mod listing;
mod methods;
mod operations;
mod serving;
mod streams;
mod stuck;
mod support;
mod terminal;
