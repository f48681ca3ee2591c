//! Opstead, a durable operations daemon: the library behind the program.

pub mod rpc;
