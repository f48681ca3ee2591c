//! Random filters against the naive way. A failure prints the seed, the filter and the name.

use opstead::filter::{Filter, FilterKind};

use crate::check::{check_agreement, crowd, parse};

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const LITERALS: &[&str] = &["a", "b", "ab", ".", "é", "è", "vm.", "-", "aab"];

fn random_glob(random: &mut Random, depth: usize) -> String {
    let mut pattern = String::new();
    for _ in 0..=random.below(4) {
        match random.below(if depth < 2 { 8 } else { 7 }) {
            0 | 1 => pattern.push('*'),
            2 => pattern.push('?'),
            3 => {
                pattern
                    .push_str(random.pick(&["[ab]", "[!a]", "[a-z]", "[é.]", "[]a]", r"[\]b-]"]));
            }
            4 => pattern.push_str(random.pick(&[r"\*", r"\{", r"\a"])),
            5 | 6 => pattern.push_str(random.pick(LITERALS)),
            _ => {
                // Two at least: `{}` would be no glob.
                let choices: Vec<String> = (0..2 + random.below(2))
                    .map(|_| random_glob(random, depth + 1))
                    .collect();
                pattern.push_str(&format!("{{{}}}", choices.join(",")));
            }
        }
    }
    pattern
}

fn random_regexp(random: &mut Random, depth: usize) -> String {
    let mut pattern = String::new();
    for _ in 0..=random.below(4) {
        match random.below(if depth < 2 { 9 } else { 7 }) {
            0 => pattern.push_str(".*"),
            1 => pattern.push('.'),
            2 => {
                pattern
                    .push_str(random.pick(&["[ab]", "[^a]", r"\w", r"(?i:AB)", "[a-z]+", r"\b"]));
            }
            3..=6 => pattern
                .push_str(random.pick(&["a", "b", "ab", r"\.", "é", "è", r"vm\.", "-", "aab"])),
            7 => {
                let sub = random_regexp(random, depth + 1);
                pattern.push_str(&format!(
                    "(?:{sub}){}",
                    random.pick(&["*", "+", "?", "{2}", "{0,2}"])
                ));
            }
            _ => {
                let (one, other) = (
                    random_regexp(random, depth + 1),
                    random_regexp(random, depth + 1),
                );
                pattern.push_str(&format!("({one}|{other})"));
            }
        }
    }
    pattern
}

fn random_name(random: &mut Random) -> String {
    (0..random.below(6))
        .map(|_| random.pick(&["a", "b", "ab", ".", "é", "è", "vm.", "-", "*", "]", "z"]))
        .collect()
}

fn check_random(kind: FilterKind, generate: fn(&mut Random, usize) -> String) {
    for seed in 1..=6 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let filters: Vec<Filter> = (0..60)
            .map(|_| parse(kind, &generate(&mut random, 0)))
            .collect();
        let names: Vec<String> = (0..25).map(|_| random_name(&mut random)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut set = crowd();
        for (number, filter) in filters.iter().enumerate() {
            set.insert(number, filter.clone());
        }
        println!("{kind}, seed {seed}");
        check_agreement(kind, &filters, &set, &names);
    }
}

#[test]
fn random_globs_agree_with_the_naive_way() {
    check_random(FilterKind::Glob, random_glob);
}

#[test]
fn random_regexps_agree_with_the_naive_way() {
    check_random(FilterKind::Regexp, random_regexp);
}
