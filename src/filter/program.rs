//! Compiled filters: the library's automata, and when to use which; never the choice whether one is needed.
//!
//! Thousands of filters are alive at once and most are asked seldom, so a filter owns no more than its states: they
//! are small, and running them is linear, if not fast. What is fast, and large, belongs to the thread, once: a
//! program that it is asked for many times in a row, as in a scan, it gives a lazy table.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use regex_automata::hybrid::dfa;
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

use super::MAX_COMPILED_BYTES;

/// So many names in a row are worth building a table.
const USES_BEFORE_TABLE: u32 = 16;

const TABLE_BYTES: usize = 1024 * 1024;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static WORKBENCH: RefCell<Workbench> = RefCell::default();
}

/// One compiled filter.
pub(super) struct Program {
    /// Never used twice in a process.
    id: u64,
    states: PikeVM,
}

/// What a thread needs to run programs.
#[derive(Default)]
struct Workbench {
    cache: Option<pikevm::Cache>,
    /// The program that was asked for last, and how often in a row.
    latest: u64,
    uses: u32,
    table: Option<(dfa::DFA, dfa::Cache)>,
}

impl Program {
    /// None if it would be over [`super::MAX_COMPILED_BYTES`].
    pub(super) fn compile(tree: &Hir) -> Option<Program> {
        let whole = vec![Hir::look(Look::Start), tree.clone(), Hir::look(Look::End)];
        let config = thompson::Config::new()
            // It says only where an empty match may lie, and ours lie at the ends.
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(MAX_COMPILED_BYTES));
        let states = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(&Hir::concat(whole))
            .ok()?;
        Some(Program {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            states: PikeVM::new_from_nfa(states).ok()?,
        })
    }

    /// Whether the whole name matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        WORKBENCH.with_borrow_mut(|bench| {
            let by_table = bench.by_table(self, name);
            by_table.unwrap_or_else(|| bench.by_states(self, name))
        })
    }

    /// About the memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.states.get_nfa().memory_usage()
    }
}

impl Workbench {
    fn by_states(&mut self, program: &Program, name: &str) -> bool {
        let cache = self
            .cache
            .get_or_insert_with(|| program.states.create_cache());
        cache.reset(&program.states);
        program
            .states
            .is_match(cache, Input::new(name).anchored(Anchored::Yes))
    }

    /// Nothing if there is no table for this program, or if the table cannot tell: it does not know what a word
    /// boundary is beside a character that is not ASCII.
    fn by_table(&mut self, program: &Program, name: &str) -> Option<bool> {
        if self.latest != program.id {
            (self.latest, self.uses, self.table) = (program.id, 0, None);
        }
        if self.uses < USES_BEFORE_TABLE {
            self.uses += 1;
            if self.uses == USES_BEFORE_TABLE {
                self.table = table_of(program.states.get_nfa());
            }
        }
        let (table, cache) = self.table.as_mut()?;
        let input = Input::new(name).anchored(Anchored::Yes).earliest(true);
        table
            .try_search_fwd(cache, &input)
            .ok()
            .map(|end| end.is_some())
    }
}

fn table_of(states: &NFA) -> Option<(dfa::DFA, dfa::Cache)> {
    let config = dfa::Config::new()
        .unicode_word_boundary(true)
        .cache_capacity(TABLE_BYTES)
        .skip_cache_capacity_check(true);
    let table = dfa::Builder::new()
        .configure(config)
        .build_from_nfa(states.clone())
        .ok()?;
    let cache = table.create_cache();
    Some((table, cache))
}
