//! What filters promise, each case asked three ways: naively, of the filter alone, and of a set of many.

mod check;
mod globs;
mod naive;
mod random;
mod refusals;
mod regexps;
mod sets;
