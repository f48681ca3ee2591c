//! Random numbers, to spread delays and to make ids that nobody else has.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number from the standard library's random hash keys: not fit for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
