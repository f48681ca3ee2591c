//! Remembers which keys matched a name, in bounded memory; when an answer ceases to be true is its owner's business.

use std::collections::HashMap;

/// The memory of one generation, in bytes, as estimated; two are held.
const GENERATION_BYTES: usize = 4 * 1024 * 1024;
/// What an entry costs beside its name and keys.
const ENTRY_BYTES: usize = 96;

/// Two generations: when the young one is full it becomes the old one, and what was old is forgotten unless it was
/// asked for meanwhile. So what is in use stays, without a list of uses.
pub(super) struct Memo<K> {
    young: HashMap<Box<str>, Vec<K>>,
    old: HashMap<Box<str>, Vec<K>>,
    young_bytes: usize,
}

impl<K> Default for Memo<K> {
    fn default() -> Memo<K> {
        Memo {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
        }
    }
}

impl<K: Clone> Memo<K> {
    pub(super) fn recall(&mut self, name: &str) -> Option<Vec<K>> {
        if let Some(keys) = self.young.get(name) {
            return Some(keys.clone());
        }
        let keys = self.old.remove(name)?;
        self.remember(name, &keys);
        Some(keys)
    }

    pub(super) fn remember(&mut self, name: &str, keys: &[K]) {
        let bytes = ENTRY_BYTES + name.len() + size_of_val(keys);
        if self.young_bytes + bytes > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(name.into(), keys.to_vec());
    }

    pub(super) fn clear(&mut self) {
        if self.young_bytes > 0 || !self.old.is_empty() {
            *self = Memo::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let mut memo = Memo::default();
        memo.remember("asked", &[1_u64]);
        memo.remember("unasked", &[2]);
        for number in 0..200_000 {
            memo.remember(&number.to_string(), &[number]);
            assert_eq!(memo.recall("asked"), Some(vec![1]));
        }
        assert_eq!(memo.recall("unasked"), None);
        assert!(
            memo.young.len() + memo.old.len() < 2 * GENERATION_BYTES / ENTRY_BYTES,
            "it is bounded"
        );
    }

    #[test]
    fn a_cleared_memo_knows_nothing() {
        let mut memo = Memo::default();
        memo.remember("name", &[1_u64]);
        memo.clear();
        assert_eq!(memo.recall("name"), None);
    }
}
