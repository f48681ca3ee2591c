//! The engine: the one loop that decides, makes durable, and only then lets out.

pub mod executor;
