//! Compiled filters: small programs of states, run over a name; never the choice whether one is needed.
//!
//! Thousands of filters are alive at once and most are asked seldom, so a filter owns only its states. They go by
//! character, not by byte: `\w` is one state and a list of ranges, some hundredth of what an automaton over UTF-8
//! needs. Running them is linear (every state at most once a character), if not fast. What is fast belongs to the
//! thread, once: a program that it is asked for many times in a row, as in a scan, it gives a lazy automaton.

mod compile;
mod run;
mod table;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use regex_automata::util::look::Look;
use regex_syntax::hir::Hir;

use run::Runner;
use table::Table;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static WORKBENCH: RefCell<Workbench> = RefCell::default();
}

pub(super) struct Program {
    /// Never used twice in a process.
    id: u64,
    code: Code,
}

struct Code {
    states: Box<[State]>,
    classes: Box<[Class]>,
    start: u32,
}

/// One state; the numbers are places among the states, or among the classes.
#[derive(Clone, Copy)]
enum State {
    Character { wanted: char, next: u32 },
    Class { class: u32, next: u32 },
    Look { look: Look, next: u32 },
    Split { one: u32, other: u32 },
    Match,
}

/// A set of characters; the ranges are sorted and apart. ASCII is looked up, as most names are.
struct Class {
    ascii: u128,
    ranges: Box<[(char, char)]>,
}

/// What a thread needs to run programs.
#[derive(Default)]
struct Workbench {
    runner: Runner,
    table: Table,
}

impl Program {
    /// None if it would be over [`super::MAX_COMPILED_BYTES`].
    pub(super) fn compile(tree: &Hir) -> Option<Program> {
        let code = compile::compile(tree)?;
        Some(Program {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            code,
        })
    }

    /// Whether the whole name matches. `tree` makes again what the program was compiled from.
    pub(super) fn matches(&self, name: &str, tree: impl FnOnce() -> Hir) -> bool {
        WORKBENCH.with_borrow_mut(|bench| {
            let by_table = bench.table.matches(self.id, name, tree);
            by_table.unwrap_or_else(|| bench.runner.matches(&self.code, name))
        })
    }
}

impl Class {
    fn new(ranges: &[(char, char)]) -> Class {
        let mut ascii = 0;
        for code in 0..128_u8 {
            let character = char::from(code);
            if ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&character))
            {
                ascii |= 1 << code;
            }
        }
        Class {
            ascii,
            ranges: ranges.into(),
        }
    }

    fn contains(&self, character: char) -> bool {
        if character.is_ascii() {
            return self.ascii >> (character as u32) & 1 == 1;
        }
        let before = self.ranges.partition_point(|(_, last)| *last < character);
        self.ranges
            .get(before)
            .is_some_and(|(first, _)| *first <= character)
    }
}
