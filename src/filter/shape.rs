//! The simple shapes of filters, which are matched without an automaton: sets of names, and literals with gaps.

use memchr::memmem::Finder;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Dot, Hir, HirKind};

use super::INDEX_ENTRY_BYTES;

/// The most names that a filter is spelled out into, and their bytes in all.
const MAX_NAMES: usize = 256;
const MAX_NAME_BYTES: usize = 64 * 1024;
/// No spelled-out name is longer; it bounds the work of spelling out.
const MAX_NAME_LENGTH: usize = 1024;
/// Each inner literal has a searcher, which is larger than the states that would do the same.
const MAX_INNER: usize = 256;

pub(super) enum Shape {
    /// Exactly these, sorted, each once.
    Names(Vec<String>),
    /// `head`, then the inner literals in this order, then `tail`, with a gap at every joint.
    Gaps {
        head: String,
        inner: Vec<Finder<'static>>,
        tail: Box<str>,
        gap: Gap,
    },
}

/// What may stand between two literals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// Any run of characters: a glob's `*`, or `(?s:.*)`.
    Any,
    /// Any run of characters but line feeds: a regexp's `.*`. None of the literals holds a line feed either.
    OneLine,
}

enum Part {
    Literal(String),
    Gap(Gap),
}

impl Shape {
    /// The shape of a tree, if it has a simple one.
    pub(super) fn of(tree: &Hir) -> Option<Shape> {
        let mut parts = Vec::new();
        if flatten(tree, &mut parts) {
            return Shape::of_parts(parts);
        }
        names_of(tree).map(Shape::Names)
    }

    fn of_parts(parts: Vec<Part>) -> Option<Shape> {
        let mut literals = vec![String::new()];
        let mut gap = None;
        for part in parts {
            match part {
                Part::Literal(text) => literals
                    .last_mut()
                    .expect("it starts with one")
                    .push_str(&text),
                Part::Gap(this) if gap.is_none_or(|other| other == this) => {
                    gap = Some(this);
                    literals.push(String::new());
                }
                Part::Gap(_) => return None,
            }
        }
        let tail = literals.pop().expect("it starts with one");
        let Some(gap) = gap else {
            return Some(Shape::Names(vec![tail]));
        };
        if gap == Gap::OneLine
            && (tail.contains('\n') || literals.iter().any(|literal| literal.contains('\n')))
        {
            return None;
        }
        let mut literals = literals.into_iter();
        let head = literals.next().expect("a gap has two sides");
        let inner: Vec<Finder> = literals
            .filter(|literal| !literal.is_empty())
            .map(|literal| Finder::new(&literal).into_owned())
            .collect();
        if inner.len() > MAX_INNER {
            return None;
        }
        Some(Shape::Gaps {
            head,
            inner,
            tail: tail.into(),
            gap,
        })
    }

    /// About the memory it takes; each name is in an index as well.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Shape::Names(names) => names
                .iter()
                .map(|name| INDEX_ENTRY_BYTES + 2 * name.len())
                .sum(),
            Shape::Gaps {
                head, inner, tail, ..
            } => {
                let inner = inner.iter();
                let inner = inner.map(|literal| size_of_val(literal) + literal.needle().len());
                head.len() + inner.sum::<usize>() + tail.len()
            }
        }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Shape::Names(names) => names
                .binary_search_by(|candidate| candidate.as_str().cmp(name))
                .is_ok(),
            Shape::Gaps {
                head,
                inner,
                tail,
                gap,
            } => fits_gaps(name, head, inner, tail) && (*gap == Gap::Any || !name.contains('\n')),
        }
    }
}

/// Each literal is taken at its first place after the one before; if any choice of places works, this one does.
fn fits_gaps(name: &str, head: &str, inner: &[Finder<'static>], tail: &str) -> bool {
    let middle = name
        .strip_prefix(head)
        .and_then(|rest| rest.strip_suffix(tail));
    let Some(mut rest) = middle.map(str::as_bytes) else {
        return false;
    };
    for literal in inner {
        match literal.find(rest) {
            Some(place) => rest = &rest[place + literal.needle().len()..],
            None => return false,
        }
    }
    true
}

/// Writes the tree as a run of literals and gaps; false if it is anything else.
fn flatten(tree: &Hir, parts: &mut Vec<Part>) -> bool {
    match tree.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => {
                parts.push(Part::Literal(text.to_owned()));
                true
            }
            Err(_) => false,
        },
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max.is_none() => {
            let gap = match &repetition.sub {
                sub if **sub == Hir::dot(Dot::AnyChar) => Gap::Any,
                sub if **sub == Hir::dot(Dot::AnyCharExceptLF) => Gap::OneLine,
                _ => return false,
            };
            parts.push(Part::Gap(gap));
            true
        }
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        HirKind::Concat(subs) => subs.iter().all(|sub| flatten(sub, parts)),
        _ => false,
    }
}

/// All the names that the tree matches, sorted, if they are few.
fn names_of(tree: &Hir) -> Option<Vec<String>> {
    let properties = tree.properties();
    // The extractor takes an assertion for nothing at all, so with one its answer would be too wide.
    if !properties.look_set().is_empty() || properties.maximum_len()? > MAX_NAME_LENGTH {
        return None;
    }
    let found = Extractor::new()
        .limit_class(MAX_NAMES)
        .limit_repeat(MAX_NAME_LENGTH)
        .limit_literal_len(MAX_NAME_LENGTH)
        .limit_total(MAX_NAMES)
        .extract(tree);
    if !found.is_exact() {
        return None;
    }
    let literals = found.literals()?;
    if literals.iter().map(|literal| literal.len()).sum::<usize>() > MAX_NAME_BYTES {
        return None;
    }
    let mut names = literals
        .iter()
        .map(|literal| String::from_utf8(literal.as_bytes().to_vec()).ok())
        .collect::<Option<Vec<String>>>()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}
