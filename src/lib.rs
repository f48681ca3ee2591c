//! Opstead, a durable operations daemon: the library behind the program.

pub mod engine;
pub mod journal;
pub mod subsystems;
