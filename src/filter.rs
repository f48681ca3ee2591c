//! Filters over names, globs and regexps, and sets of them; it knows nothing of who filters what, and does no I/O.
//!
//! # A short course
//!
//! A filter matches the *whole* name, case-sensitively. In a glob, `*` is any run of characters, dots included:
//!
//! ```
//! use opstead::filter::{Filter, FilterKind};
//!
//! let every_machine = Filter::parse(FilterKind::Glob, "vdsm.VM.*")?;
//! assert!(every_machine.matches("vdsm.VM.best_vm"));
//! assert!(every_machine.matches("vdsm.VM.best_vm.disk.vda")); // sub-objects too
//! assert!(!every_machine.matches("vdsm.Host.best_vm"));
//!
//! let two_machines = Filter::parse(FilterKind::Regexp, "vdsm.VM.(best_vm|other_vm)")?;
//! assert!(two_machines.matches("vdsm.VM.other_vm"));
//! assert!(!two_machines.matches("vdsm.VM.other_vm.disk")); // anchored at both ends
//! # Ok::<(), opstead::filter::InvalidFilter>(())
//! ```
//!
//! | in a glob | matches |
//! | --- | --- |
//! | `*` | any run of characters, also none; `**` is the same |
//! | `?` | one Unicode character |
//! | `[ab]`, `[a-z]`, `[!ab]` | one character that is in the class, or is not; `]` right after `[` or `[!` stands for itself, and so does `-` at either end |
//! | `{a,b}` | one of the alternatives; they may nest and may be empty |
//! | `\` | takes the next character as it stands, in a class too |
//!
//! Everything else stands for itself. What is malformed is refused at a place, counted in characters from 0:
//!
//! ```
//! use opstead::filter::{Filter, FilterKind};
//!
//! let refusal = Filter::parse(FilterKind::Glob, "é.[ab").unwrap_err();
//! assert_eq!(refusal.position, 2);
//! assert!(refusal.message.starts_with("this `[` is never closed"));
//! ```
//!
//! Somebody who keeps names in order need not look at all of them: a match begins with the literal head.
//! A filter that is nothing but a few names says so:
//!
//! ```
//! use opstead::filter::{Filter, FilterKind};
//!
//! let range = Filter::parse(FilterKind::Glob, "vm.VM.web-0042*")?;
//! assert_eq!(range.literal_head(), "vm.VM.web-0042");
//! assert_eq!(range.exact_names(), None);
//!
//! let pair = Filter::parse(FilterKind::Glob, "vm.{a,b}")?;
//! assert_eq!(pair.exact_names(), Some(&["vm.a".to_owned(), "vm.b".to_owned()][..]));
//! # Ok::<(), opstead::filter::InvalidFilter>(())
//! ```
//!
//! Many filters against one name is the work of a [`FilterSet`]:
//!
//! ```
//! use opstead::filter::{Filter, FilterKind, FilterSet};
//!
//! let mut subscribers = FilterSet::new();
//! subscribers.insert("all", Filter::parse(FilterKind::Glob, "*")?);
//! subscribers.insert("machines", Filter::parse(FilterKind::Glob, "vm.VM.*")?);
//! subscribers.insert("images", Filter::parse(FilterKind::Regexp, r"storage\.image\..+")?);
//! assert_eq!(subscribers.matching("vm.VM.web"), ["all", "machines"]);
//! # Ok::<(), opstead::filter::InvalidFilter>(())
//! ```
//!
//! # How it is done, and the price
//!
//! Either kind of pattern becomes one regular expression tree, and everything else works on that tree, so that the
//! two kinds cannot differ in anything but their reading. Finite sets of names, and literals with gaps between them
//! (`*`, `vm.*`, `*web*db*`), are matched as what they are. The rest becomes an automaton of `regex-automata`, kept as
//! its bare states, because thousands of filters live at once; a thread that asks one of them many times in a row, as
//! a scan does, builds itself a fast table from it. All of them take time linear in the name, whatever the pattern.

mod clues;
mod glob;
mod memo;
mod program;
mod regexp;
mod set;
mod shape;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use regex_syntax::hir::Hir;

use clues::Literals;
use program::Program;
pub use set::FilterSet;
use shape::Shape;

/// The longest pattern, in bytes of UTF-8.
pub const MAX_PATTERN_BYTES: usize = 16 * 1024;

/// What an entry of an index takes beside its text, about.
const INDEX_ENTRY_BYTES: usize = 128;

/// The largest compiled form of one pattern, in bytes. What needs no program is far below it by its nature.
pub const MAX_COMPILED_BYTES: usize = 1024 * 1024;

/// How a pattern is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FilterKind {
    /// As a glob: see the module's table.
    Glob,
    /// As a regular expression, anchored at both ends.
    Regexp,
}

/// A word that names no kind of filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no filter type {0:?}; it is \"glob\" or \"regexp\"")]
pub struct UnknownFilterKind(pub String);

impl FilterKind {
    /// The word by which the protocol knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            FilterKind::Glob => "glob",
            FilterKind::Regexp => "regexp",
        }
    }
}

impl fmt::Display for FilterKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for FilterKind {
    type Err = UnknownFilterKind;

    fn from_str(word: &str) -> Result<FilterKind, UnknownFilterKind> {
        match word {
            "glob" => Ok(FilterKind::Glob),
            "regexp" | "regex" => Ok(FilterKind::Regexp),
            other => Err(UnknownFilterKind(other.to_owned())),
        }
    }
}

/// Why a pattern is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid filter at character {position}: {message}")]
pub struct InvalidFilter {
    /// The offending place, in characters from 0; 0 where the pattern as a whole is at fault.
    pub position: usize,
    /// What is wrong and what is allowed, without the position.
    pub message: String,
}

impl InvalidFilter {
    fn new(position: usize, message: impl Into<String>) -> InvalidFilter {
        InvalidFilter {
            position,
            message: message.into(),
        }
    }
}

/// One pattern, ready to match. Clones share everything.
#[derive(Clone)]
pub struct Filter {
    inner: Arc<Inner>,
}

struct Inner {
    kind: FilterKind,
    pattern: Box<str>,
    literals: Literals,
    matcher: Matcher,
}

enum Matcher {
    /// The shape alone decides; there is nothing to compile.
    Shape(Shape),
    Program(Program),
}

impl Filter {
    /// Reads a pattern. Refuses what is empty, malformed, over [`MAX_PATTERN_BYTES`] or, compiled, over
    /// [`MAX_COMPILED_BYTES`].
    pub fn parse(kind: FilterKind, pattern: &str) -> Result<Filter, InvalidFilter> {
        check_length(pattern)?;
        let tree = tree_of(kind, pattern)?;
        let (literals, matcher) = match Shape::of(&tree) {
            Some(shape) => (Literals::of_shape(&shape), Matcher::Shape(shape)),
            None => {
                // Compiled before anything else is asked of the tree, so that a hostile one is refused first.
                let program = Program::compile(&tree).ok_or_else(|| too_large(0))?;
                (Literals::of_tree(&tree), Matcher::Program(program))
            }
        };
        Ok(Filter {
            inner: Arc::new(Inner {
                kind,
                pattern: pattern.into(),
                literals,
                matcher,
            }),
        })
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        match &self.inner.matcher {
            Matcher::Shape(shape) => shape.matches(name),
            Matcher::Program(program) => self.inner.literals.allow(name) && program.matches(name),
        }
    }

    /// The longest text that every match is known to begin with; empty if there is none.
    pub fn literal_head(&self) -> &str {
        &self.inner.literals.head
    }

    /// The names that match, sorted, if they are finitely many (at most 256, 64 KiB in all).
    pub fn exact_names(&self) -> Option<&[String]> {
        match &self.inner.matcher {
            Matcher::Shape(Shape::Names(names)) => Some(names),
            _ => None,
        }
    }

    /// About the memory it takes, its place in a [`FilterSet`] included, so that whoever keeps many can bound them.
    pub fn bytes(&self) -> usize {
        let compiled = match &self.inner.matcher {
            Matcher::Shape(shape) => shape.bytes(),
            Matcher::Program(program) => program.bytes(),
        };
        size_of::<Inner>() + self.inner.pattern.len() + self.inner.literals.bytes() + compiled
    }

    /// How the pattern was read.
    pub fn kind(&self) -> FilterKind {
        self.inner.kind
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.inner.pattern
    }

    fn literals(&self) -> &Literals {
        &self.inner.literals
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Filter({} {:?})", self.kind(), self.pattern())
    }
}

fn tree_of(kind: FilterKind, pattern: &str) -> Result<Hir, InvalidFilter> {
    match kind {
        FilterKind::Glob => glob::parse(pattern),
        FilterKind::Regexp => regexp::parse(pattern),
    }
}

fn check_length(pattern: &str) -> Result<(), InvalidFilter> {
    if pattern.is_empty() {
        return Err(InvalidFilter::new(
            0,
            "a filter must not be empty; `*` as a glob matches every name",
        ));
    }
    if pattern.len() > MAX_PATTERN_BYTES {
        let fitting = pattern
            .char_indices()
            .take_while(|(start, character)| start + character.len_utf8() <= MAX_PATTERN_BYTES)
            .count();
        let message = format!(
            "the filter has {} bytes; at most {MAX_PATTERN_BYTES} are allowed",
            pattern.len()
        );
        return Err(InvalidFilter::new(fitting, message));
    }
    Ok(())
}

fn too_large(position: usize) -> InvalidFilter {
    let message = format!(
        "the filter compiles to over {MAX_COMPILED_BYTES} bytes, which is all that is allowed; \
         use fewer or smaller repetitions and classes"
    );
    InvalidFilter::new(position, message)
}
