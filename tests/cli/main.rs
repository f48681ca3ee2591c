//! The program as its user has it.
