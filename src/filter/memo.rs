//! Remembers which keys matched a name, in bounded memory; when an answer ceases to be true is its owner's business.

use std::collections::HashMap;

/// The memory of one generation, in bytes, as estimated; two are held.
const GENERATION_BYTES: usize = 4 * 1024 * 1024;
/// What an entry costs beside its name and keys.
const ENTRY_BYTES: usize = 96;

/// Two generations: when the young one is full it becomes the old one, and what was old is forgotten unless it was
/// asked for meanwhile. So what is in use stays, without a list of uses.
pub(super) struct Memo<K> {
    young: HashMap<Box<str>, Answer<K>>,
    old: HashMap<Box<str>, Answer<K>>,
    young_bytes: usize,
    /// How often everything was forgotten.
    age: u64,
}

struct Answer<K> {
    keys: Vec<K>,
    /// The memo's when it was given; of another age it counts for nothing.
    age: u64,
}

impl<K> Default for Memo<K> {
    fn default() -> Memo<K> {
        Memo {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            age: 0,
        }
    }
}

impl<K: Clone> Memo<K> {
    pub(super) fn recall(&mut self, name: &str) -> Option<Vec<K>> {
        if let Some(answer) = self.young.get(name) {
            return (answer.age == self.age).then(|| answer.keys.clone());
        }
        let answer = self.old.remove(name)?;
        let keys = (answer.age == self.age).then_some(answer.keys)?;
        self.remember(name, &keys);
        Some(keys)
    }

    pub(super) fn remember(&mut self, name: &str, keys: &[K]) {
        if let Some(known) = self.young.remove(name) {
            self.young_bytes -= entry_bytes(name, &known.keys);
        }
        let bytes = entry_bytes(name, keys);
        if self.young_bytes + bytes > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        let answer = Answer {
            keys: keys.to_vec(),
            age: self.age,
        };
        self.young.insert(name.into(), answer);
    }

    /// Forgets everything at no cost: what was remembered goes when its room is needed.
    pub(super) fn forget(&mut self) {
        self.age += 1;
    }
}

fn entry_bytes<K>(name: &str, keys: &[K]) -> usize {
    ENTRY_BYTES + name.len() + size_of_val(keys)
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
    fn what_was_forgotten_is_not_recalled_and_makes_room() {
        let mut memo = Memo::default();
        for number in 0..200_000_u64 {
            memo.remember("name", &[number]);
            memo.forget();
            assert_eq!(memo.recall("name"), None);
        }
        memo.remember("name", &[1]);
        assert_eq!(memo.recall("name"), Some(vec![1]));
        assert_eq!(memo.young_bytes, entry_bytes("name", &[1_u64]));
    }
}
