//! Opstead, a durable operations daemon: the library behind the program.

pub mod alerts;
pub mod app;
pub mod cli;
pub mod engine;
pub mod filter;
pub mod journal;
pub mod rpc;
pub mod subsystems;
