//! RPC.
pub mod api;
pub mod convert;
mod errors;
