//! Opstead.
