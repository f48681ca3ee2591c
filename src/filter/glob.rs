//! Reads globs into regular expression trees; what a tree matches is not decided here.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, Repetition};

use super::InvalidFilter;

/// Deeper braces are refused: the reader, and all who walk the tree, recurse.
const MAX_BRACE_DEPTH: usize = 100;

/// The tree of a glob. Positions of errors are in characters.
pub(super) fn parse(pattern: &str) -> Result<Hir, InvalidFilter> {
    let mut reader = Reader {
        characters: pattern.chars().collect(),
        at: 0,
        open_braces: Vec::new(),
    };
    reader.sequence()
}

struct Reader {
    characters: Vec<char>,
    at: usize,
    /// The places of the braces around `at`.
    open_braces: Vec<usize>,
}

impl Reader {
    fn next(&mut self) -> Option<char> {
        let character = self.characters.get(self.at).copied();
        self.at += usize::from(character.is_some());
        character
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    /// Reads up to the end of the pattern or, within braces, up to the `,` or `}` that ends the alternative.
    fn sequence(&mut self) -> Result<Hir, InvalidFilter> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some(character) = self.peek() {
            let start = self.at;
            if matches!(character, ',' | '}') && !self.open_braces.is_empty() {
                break;
            }
            self.at += 1;
            let part = match character {
                '*' => {
                    // Runs are one star: nobody can tell them apart, and the automaton would pay for each.
                    while self.peek() == Some('*') {
                        self.at += 1;
                    }
                    any_run()
                }
                '?' => Hir::dot(Dot::AnyChar),
                '[' => self.class(start)?,
                '{' => self.alternatives(start)?,
                '}' => {
                    return Err(InvalidFilter::new(
                        start,
                        "this `}` closes nothing; `\\}` stands for the character",
                    ));
                }
                '\\' => {
                    literal.push(self.escaped(start)?);
                    continue;
                }
                plain => {
                    literal.push(plain);
                    continue;
                }
            };
            push_literal(&mut parts, &mut literal);
            parts.push(part);
        }
        push_literal(&mut parts, &mut literal);
        Ok(Hir::concat(parts))
    }

    /// Reads the rest of `{a,b}`, whose brace is at `start`.
    fn alternatives(&mut self, start: usize) -> Result<Hir, InvalidFilter> {
        if self.open_braces.len() == MAX_BRACE_DEPTH {
            let message =
                format!("braces are nested too deeply; {MAX_BRACE_DEPTH} levels are allowed");
            return Err(InvalidFilter::new(start, message));
        }
        if self.peek() == Some('}') {
            let message = "these braces are empty; alternatives are written `{a,b}`, and `\\{` stands for the character";
            return Err(InvalidFilter::new(start, message));
        }
        self.open_braces.push(start);
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence()?);
            match self.next() {
                Some(',') => {}
                Some(_) => break,
                None => {
                    let message = "this `{` is never closed; alternatives are written `{a,b}`";
                    return Err(InvalidFilter::new(start, message));
                }
            }
        }
        self.open_braces.pop();
        Ok(Hir::alternation(alternatives))
    }

    /// Reads the rest of `[ab]`, `[a-z]` or `[!ab]`, whose bracket is at `start`.
    fn class(&mut self, start: usize) -> Result<Hir, InvalidFilter> {
        let negated = self.peek() == Some('!');
        self.at += usize::from(negated);
        let mut ranges = Vec::new();
        loop {
            let place = self.at;
            let first = match self.next() {
                None => return Err(unclosed_class(start)),
                Some(']') if !ranges.is_empty() => break,
                Some('\\') => self.escaped(place)?,
                Some(character) => character,
            };
            let last = self.range_end(start)?.unwrap_or(first);
            if last < first {
                let message = format!(
                    "the range `{first}-{last}` is the wrong way round; the lower end comes first"
                );
                return Err(InvalidFilter::new(place, message));
            }
            ranges.push(ClassUnicodeRange::new(first, last));
        }
        let mut class = ClassUnicode::new(ranges);
        if negated {
            class.negate();
        }
        Ok(Hir::class(Class::Unicode(class)))
    }

    /// Reads `-z` where it continues a range; a `-` before the closing bracket is a character of its own.
    fn range_end(&mut self, class_start: usize) -> Result<Option<char>, InvalidFilter> {
        if self.peek() != Some('-') || self.characters.get(self.at + 1) == Some(&']') {
            return Ok(None);
        }
        self.at += 1;
        let place = self.at;
        match self.next() {
            None => Err(unclosed_class(class_start)),
            Some('\\') => self.escaped(place).map(Some),
            end => Ok(end),
        }
    }

    fn escaped(&mut self, start: usize) -> Result<char, InvalidFilter> {
        self.next().ok_or_else(|| {
            InvalidFilter::new(
                start,
                "this `\\` escapes nothing; `\\\\` stands for the character itself",
            )
        })
    }
}

fn push_literal(parts: &mut Vec<Hir>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Hir::literal(std::mem::take(literal).into_bytes()));
    }
}

fn any_run() -> Hir {
    Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: true,
        sub: Box::new(Hir::dot(Dot::AnyChar)),
    })
}

fn unclosed_class(start: usize) -> InvalidFilter {
    let message = "this `[` is never closed; a class is written `[ab]`, `[a-z]` or `[!ab]`, \
                   and `\\[` stands for the character";
    InvalidFilter::new(start, message)
}
