//! The one lazy automaton of a thread, for the program that it has been asked for many times in a row.

use regex_automata::hybrid::dfa::{Builder, Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

/// So many names in a row are worth building it.
const USES_BEFORE_BUILDING: u32 = 16;
/// Over UTF-8 the states are larger than those of the program; one too large for this goes without an automaton.
const MAX_STATE_BYTES: usize = 4 * 1024 * 1024;
const CACHE_BYTES: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Table {
    program: u64,
    uses: u32,
    automaton: Option<(DFA, Cache)>,
}

impl Table {
    /// Whether the whole name matches, if there is an automaton for this program and it can tell.
    pub(super) fn matches(
        &mut self,
        program: u64,
        name: &str,
        tree: impl FnOnce() -> Hir,
    ) -> Option<bool> {
        if self.program != program {
            *self = Table {
                program,
                uses: 0,
                automaton: None,
            };
        }
        if self.uses < USES_BEFORE_BUILDING {
            self.uses += 1;
            if self.uses == USES_BEFORE_BUILDING {
                self.automaton = automaton_of(tree());
            }
        }
        let (automaton, cache) = self.automaton.as_mut()?;
        let input = Input::new(name).anchored(Anchored::Yes).earliest(true);
        // It cannot tell what a word boundary is beside a character that is not ASCII.
        automaton
            .try_search_fwd(cache, &input)
            .ok()
            .map(|end| end.is_some())
    }
}

fn automaton_of(tree: Hir) -> Option<(DFA, Cache)> {
    let whole = Hir::concat(vec![Hir::look(Look::Start), tree, Hir::look(Look::End)]);
    let states = thompson::Config::new()
        // It says only where an empty match may lie, and ours lie at the ends.
        .utf8(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(MAX_STATE_BYTES));
    let states = thompson::Compiler::new()
        .configure(states)
        .build_from_hir(&whole)
        .ok()?;
    let config = Config::new()
        .unicode_word_boundary(true)
        .cache_capacity(CACHE_BYTES)
        .skip_cache_capacity_check(true);
    let automaton = Builder::new()
        .configure(config)
        .build_from_nfa(states)
        .ok()?;
    let cache = automaton.create_cache();
    Some((automaton, cache))
}
