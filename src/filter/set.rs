//! Many filters, asked about one name at a time; it looks only at those whose literals the name holds.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use super::Filter;
use super::clues::{Clue, Place};
use super::memo::Memo;

/// Filters under keys. A filter that is a few names is found by the name; another is filed under one of its clues,
/// the one that fewest others share; what has no clue (`*`) is tried for every new name. Answers are remembered in
/// bounded memory until the set changes.
pub struct FilterSet<K> {
    filed: HashMap<K, (Filter, Home)>,
    by_name: HashMap<Box<str>, BTreeSet<K>>,
    starts: LiteralIndex<K>,
    ends: LiteralIndex<K>,
    withins: LiteralIndex<K>,
    others: Bucket<K>,
    memo: Mutex<Memo<K>>,
}

/// Filters that are tried together.
type Bucket<K> = BTreeMap<K, Filter>;

/// Where in the set a filter is filed.
#[derive(Clone, Copy)]
enum Home {
    Names,
    /// Under the filter's clue of this number.
    Clue(usize),
    Others,
}

impl<K: Clone + Eq + Hash + Ord> FilterSet<K> {
    /// A set without filters.
    pub fn new() -> FilterSet<K> {
        FilterSet {
            filed: HashMap::new(),
            by_name: HashMap::new(),
            starts: LiteralIndex::default(),
            ends: LiteralIndex::default(),
            withins: LiteralIndex::default(),
            others: BTreeMap::new(),
            memo: Mutex::default(),
        }
    }

    /// How many keys have a filter.
    pub fn len(&self) -> usize {
        self.filed.len()
    }

    /// Whether no key has a filter.
    pub fn is_empty(&self) -> bool {
        self.filed.is_empty()
    }

    /// Files a filter under the key, in place of the one that was there.
    pub fn insert(&mut self, key: K, filter: Filter) {
        self.remove(&key);
        self.forget();
        let home = self.home_for(&filter);
        match home {
            Home::Names => {
                for name in filter.exact_names().unwrap_or_default() {
                    self.by_name
                        .entry(name.as_str().into())
                        .or_default()
                        .insert(key.clone());
                }
            }
            Home::Clue(number) => {
                let clue = &filter.literals().clues[number];
                self.index_mut(clue.place).insert(clue, &key, &filter);
            }
            Home::Others => {
                self.others.insert(key.clone(), filter.clone());
            }
        }
        self.filed.insert(key, (filter, home));
    }

    /// Takes the key's filter out; false if it has none.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some((filter, home)) = self.filed.remove(key) else {
            return false;
        };
        self.forget();
        match home {
            Home::Names => {
                for name in filter.exact_names().unwrap_or_default() {
                    if let Some(keys) = self.by_name.get_mut(name.as_str()) {
                        keys.remove(key);
                        if keys.is_empty() {
                            self.by_name.remove(name.as_str());
                        }
                    }
                }
            }
            Home::Clue(number) => {
                let clue = &filter.literals().clues[number];
                self.index_mut(clue.place).remove(clue, key);
            }
            Home::Others => {
                self.others.remove(key);
            }
        }
        true
    }

    /// The keys of the filters that match the name, in their order.
    pub fn matching(&self, name: &str) -> Vec<K> {
        if let Some(keys) = self
            .memo
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recall(name)
        {
            return keys;
        }
        let keys = self.search(name);
        self.memo
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remember(name, &keys);
        keys
    }

    fn search(&self, name: &str) -> Vec<K> {
        let mut buckets = vec![&self.others];
        let bytes = name.as_bytes();
        for length in self.starts.lengths_up_to(bytes.len()) {
            buckets.extend(self.starts.bucket(&bytes[..length]));
        }
        for length in self.ends.lengths_up_to(bytes.len()) {
            buckets.extend(self.ends.bucket(&bytes[bytes.len() - length..]));
        }
        for length in self.withins.lengths_up_to(bytes.len()) {
            buckets.extend(
                bytes
                    .windows(length)
                    .filter_map(|window| self.withins.bucket(window)),
            );
        }
        // A literal may stand in the name twice.
        buckets.sort_unstable_by_key(|bucket| std::ptr::from_ref(*bucket));
        buckets.dedup_by(|one, other| std::ptr::eq(*one, *other));

        let named = self.by_name.get(name).into_iter().flatten();
        let mut keys: Vec<K> = named.cloned().collect();
        for (key, filter) in buckets.into_iter().flatten() {
            if filter.matches(name) {
                keys.push(key.clone());
            }
        }
        // A filter may be filed under several literals that the name holds.
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The least crowded home; among equals the one with the fewest, then the longest literals.
    fn home_for(&self, filter: &Filter) -> Home {
        if filter.exact_names().is_some() {
            return Home::Names;
        }
        let clues = filter.literals().clues.iter().enumerate();
        let best = clues.min_by_key(|(_, clue)| {
            let index = self.index(clue.place);
            let neighbours: usize = clue
                .literals
                .iter()
                .map(|literal| index.bucket(literal).map_or(0, Bucket::len))
                .sum();
            let shortest = clue.literals.iter().map(|literal| literal.len()).min();
            (neighbours, clue.literals.len(), std::cmp::Reverse(shortest))
        });
        best.map_or(Home::Others, |(number, _)| Home::Clue(number))
    }

    fn index(&self, place: Place) -> &LiteralIndex<K> {
        match place {
            Place::Start => &self.starts,
            Place::End => &self.ends,
            Place::Within => &self.withins,
        }
    }

    fn index_mut(&mut self, place: Place) -> &mut LiteralIndex<K> {
        match place {
            Place::Start => &mut self.starts,
            Place::End => &mut self.ends,
            Place::Within => &mut self.withins,
        }
    }

    fn forget(&mut self) {
        self.memo
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .forget();
    }
}

impl<K: Clone + Eq + Hash + Ord> Default for FilterSet<K> {
    fn default() -> FilterSet<K> {
        FilterSet::new()
    }
}

/// Filters by a literal at one kind of place. No bucket is empty.
struct LiteralIndex<K> {
    buckets: HashMap<Box<[u8]>, Bucket<K>>,
    /// How many buckets have literals of each length.
    lengths: BTreeMap<usize, usize>,
}

impl<K> Default for LiteralIndex<K> {
    fn default() -> LiteralIndex<K> {
        LiteralIndex {
            buckets: HashMap::new(),
            lengths: BTreeMap::new(),
        }
    }
}

impl<K: Clone + Ord> LiteralIndex<K> {
    fn insert(&mut self, clue: &Clue, key: &K, filter: &Filter) {
        for literal in &clue.literals {
            let bucket = match self.buckets.entry(literal.clone()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    *self.lengths.entry(literal.len()).or_default() += 1;
                    entry.insert(BTreeMap::new())
                }
            };
            bucket.insert(key.clone(), filter.clone());
        }
    }

    fn remove(&mut self, clue: &Clue, key: &K) {
        for literal in &clue.literals {
            let Some(bucket) = self.buckets.get_mut(literal) else {
                continue;
            };
            bucket.remove(key);
            if !bucket.is_empty() {
                continue;
            }
            self.buckets.remove(literal);
            if let Some(count) = self.lengths.get_mut(&literal.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&literal.len());
                }
            }
        }
    }

    fn bucket(&self, literal: &[u8]) -> Option<&Bucket<K>> {
        self.buckets.get(literal)
    }

    fn lengths_up_to(&self, longest: usize) -> impl Iterator<Item = usize> {
        self.lengths.range(..=longest).map(|(length, _)| *length)
    }
}
