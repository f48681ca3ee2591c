//! Turns a tree into the states of a program, from its end to its beginning; running them is not done here.

use regex_automata::util::look::Look;
use regex_syntax::hir::{self, Hir, HirKind};

use super::super::MAX_COMPILED_BYTES;
use super::{Class, Code, State};

/// None if it is too large.
pub(super) fn compile(tree: &Hir) -> Option<Code> {
    let mut compiler = Compiler::default();
    let end = compiler.push(State::Match)?;
    let start = compiler.add(tree, end)?;
    Some(Code {
        states: compiler.states.into(),
        classes: compiler.classes.into(),
        start,
    })
}

/// Everything that adds answers where the added part begins, given where it goes on, or None when it is too large.
#[derive(Default)]
struct Compiler {
    states: Vec<State>,
    classes: Vec<Class>,
    bytes: usize,
}

impl Compiler {
    fn push(&mut self, state: State) -> Option<u32> {
        self.grow(size_of::<State>())?;
        self.states.push(state);
        u32::try_from(self.states.len() - 1).ok()
    }

    fn grow(&mut self, bytes: usize) -> Option<()> {
        self.bytes += bytes;
        (self.bytes <= MAX_COMPILED_BYTES).then_some(())
    }

    fn add(&mut self, tree: &Hir, next: u32) -> Option<u32> {
        match tree.kind() {
            HirKind::Empty => Some(next),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).expect("trees are read as Unicode");
                text.chars().rev().try_fold(next, |next, wanted| {
                    self.push(State::Character { wanted, next })
                })
            }
            HirKind::Class(class) => {
                let class = self.class(class)?;
                self.push(State::Class { class, next })
            }
            HirKind::Look(look) => {
                let look = Look::from_repr(look.as_repr())
                    .expect("both libraries know the same assertions");
                self.push(State::Look { look, next })
            }
            HirKind::Repetition(repetition) => self.repetition(repetition, next),
            HirKind::Capture(capture) => self.add(&capture.sub, next),
            HirKind::Concat(subs) => subs
                .iter()
                .rev()
                .try_fold(next, |next, sub| self.add(sub, next)),
            HirKind::Alternation(subs) => {
                let (last, others) = subs.split_last().expect("an alternation has alternatives");
                let mut start = self.add(last, next)?;
                for sub in others {
                    let one = self.add(sub, next)?;
                    start = self.push(State::Split { one, other: start })?;
                }
                Some(start)
            }
        }
    }

    /// A part that can only be empty comes at most once from the reader, so each round here adds a state, and the
    /// limit ends the loops.
    fn repetition(&mut self, repetition: &hir::Repetition, next: u32) -> Option<u32> {
        let sub = &repetition.sub;
        let mut start = next;
        let mut required = repetition.min;
        match repetition.max {
            None => {
                let again = self.push(State::Split {
                    one: next,
                    other: next,
                })?;
                let body = self.add(sub, again)?;
                self.states[again as usize] = State::Split {
                    one: body,
                    other: next,
                };
                start = if required == 0 { again } else { body };
                required = required.saturating_sub(1);
            }
            Some(max) => {
                for _ in required..max {
                    let one = self.add(sub, start)?;
                    start = self.push(State::Split { one, other: next })?;
                }
            }
        }
        for _ in 0..required {
            start = self.add(sub, start)?;
        }
        Some(start)
    }

    fn class(&mut self, class: &hir::Class) -> Option<u32> {
        let ranges: Vec<(char, char)> = match class {
            hir::Class::Unicode(class) => class
                .iter()
                .map(|range| (range.start(), range.end()))
                .collect(),
            // Only of ASCII: what could match half a character was refused by the reader.
            hir::Class::Bytes(class) => class
                .iter()
                .map(|range| (char::from(range.start()), char::from(range.end())))
                .collect(),
        };
        let place = match self
            .classes
            .iter()
            .position(|known| *known.ranges == *ranges)
        {
            Some(place) => place,
            None => {
                self.grow(size_of::<Class>() + size_of_val(&*ranges))?;
                self.classes.push(Class::new(&ranges));
                self.classes.len() - 1
            }
        };
        u32::try_from(place).ok()
    }
}
