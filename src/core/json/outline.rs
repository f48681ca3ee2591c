//! The outline of a JSON text: where its values begin and end, found in one pass without building
//! them. The text must be JSON; it is not checked again.

use std::borrow::Cow;
use std::ops::Range;

/// Where the values of a text stand, in the order in which they begin; keys are values like others.
pub(super) struct Outline<'a> {
    text: &'a str,
    values: Vec<Span>,
}

#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The first value behind this one and all that is in it.
    next: usize,
}

impl<'a> Outline<'a> {
    /// Reads a text. What is within more than so many levels of objects and arrays is left out.
    pub(super) fn new(text: &'a str, levels: usize) -> Self {
        let bytes = text.as_bytes();
        let mut values: Vec<Span> = Vec::new();
        let mut open = Vec::new();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let start = at;
            match byte {
                b'{' | b'[' if open.len() < levels => {
                    open.push(values.len());
                    at += 1;
                }
                b'{' | b'[' => at = container_end(bytes, at),
                b'}' | b']' => {
                    at += 1;
                    let next = values.len();
                    if let Some(closed) = open.pop().and_then(|index| values.get_mut(index)) {
                        (closed.end, closed.next) = (at, next);
                    }
                    continue;
                }
                b'"' => at = string_end(bytes, at),
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                    at += 1;
                    continue;
                }
                _ => {
                    let rest = &bytes[at..];
                    let length = rest.iter().position(|byte| b",]} \t\n\r".contains(byte));
                    at += length.unwrap_or(rest.len());
                }
            }
            let next = values.len() + 1;
            values.push(Span {
                start,
                end: at,
                next,
            });
        }
        Self { text, values }
    }

    /// A value as it is written.
    pub(super) fn text(&self, value: usize) -> &'a str {
        &self.text[self.values[value].start..self.values[value].end]
    }

    /// Where a value stands in the text.
    pub(super) fn span(&self, value: usize) -> Range<usize> {
        let Span { start, end, .. } = self.values[value];
        start..end
    }

    /// Whether a value has others in it that were left out for their depth.
    pub(super) fn is_closed(&self, value: usize) -> bool {
        let is_empty = self.values[value].next == value + 1;
        is_empty && self.text(value).starts_with(['{', '['])
    }

    /// The members of an object, as keys and values; none of anything else.
    pub(super) fn members(&self, object: usize) -> Vec<(Cow<'a, str>, usize)> {
        if !self.text(object).starts_with('{') {
            return Vec::new();
        }
        let mut members = Vec::new();
        let mut parts = self.parts(object);
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            members.push((unescaped(self.text(key)), value));
        }
        members
    }

    /// Adds the values that these steps lead to from an object; a key may be there more than once.
    pub(super) fn find(&self, object: usize, steps: &[Cow<'_, str>], found: &mut Vec<Span>) {
        let Some((first, rest)) = steps.split_first() else {
            return found.push(self.values[object]);
        };
        for (key, value) in self.members(object) {
            if key == *first {
                self.find(value, rest, found);
            }
        }
    }

    /// Whether two values mean the same; `levels` are left before they are compared as written.
    pub(super) fn same_as(&self, own: usize, other: &Self, its: usize, levels: usize) -> bool {
        let (left, right) = (self.text(own), other.text(its));
        match (left.as_bytes().first(), right.as_bytes().first()) {
            (Some(b'{'), Some(b'{')) if levels > 0 => {
                let (mut left, mut right) = (self.members(own), other.members(its));
                left.sort_by(|(key, _), (other, _)| key.cmp(other));
                right.sort_by(|(key, _), (other, _)| key.cmp(other));
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(&right)
                        .all(|((key, own), (other_key, its))| {
                            key == other_key && self.same_as(*own, other, *its, levels - 1)
                        })
            }
            (Some(b'['), Some(b'[')) if levels > 0 => {
                let (mut left, mut right) = (self.parts(own), other.parts(its));
                loop {
                    match (left.next(), right.next()) {
                        (Some(own), Some(its)) if self.same_as(own, other, its, levels - 1) => {}
                        (None, None) => return true,
                        _ => return false,
                    }
                }
            }
            (Some(b'"'), Some(b'"')) => unescaped(left) == unescaped(right),
            _ => left == right,
        }
    }

    /// What stands directly within a value.
    pub(super) fn parts(&self, container: usize) -> impl Iterator<Item = usize> {
        let end = self.values[container].next;
        let mut part = container + 1;
        std::iter::from_fn(move || {
            let this = part;
            (this < end).then(|| {
                part = self.values[this].next;
                this
            })
        })
    }
}

/// What a string says. One with a lone surrogate, which JSON allows and Rust does not, is left as
/// it is written.
fn unescaped(written: &str) -> Cow<'_, str> {
    if written.contains('\\') {
        serde_json::from_str(written).map_or(Cow::Borrowed(written), Cow::Owned)
    } else {
        Cow::Borrowed(written.trim_matches('"'))
    }
}

/// Behind the string that begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Behind the object or array that begins at `at`.
fn container_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}
