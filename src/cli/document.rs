//! A file that somebody wrote, in TOML or JSON: its values, each with its place, so that whatever is
//! wrong can be told at its line and column. Numbers and the order of members stay as they are
//! written.

mod json_text;
mod toml_text;

use std::path::Path;

use clap::ValueEnum;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

pub(super) use json_text::without_place;

/// As deep as objects and arrays may stand in one another, which is also what the daemon looks into.
const LEVELS_MOST: usize = 128;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Toml,
    Json,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    root: Node,
}

/// A value, and the byte that it begins with.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) offset: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Text(String),
    /// As JSON writes it.
    Number(String),
    Flag(bool),
    Null,
    /// A moment of TOML, which JSON has no value for; as it is written.
    Moment(String),
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// The byte that its name begins with.
    pub(super) offset: usize,
    pub(super) node: Node,
}

/// Why a text could not be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) offset: usize,
    pub(super) message: String,
}

/// Line and column, both from 1; a column is a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Unreadable {
    fn too_deep(offset: usize, levels_most: usize) -> Self {
        Self {
            offset,
            message: format!("nested deeper than {levels_most} levels"),
        }
    }
}

impl Format {
    /// As a file's name tells it.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl Document {
    /// Reads a text; what is no TOML or JSON is told at its place.
    pub(super) fn parse(text: String, format: Format) -> Result<Self, (Place, String)> {
        let root = match format {
            Format::Toml => toml_text::parse(&text),
            Format::Json => json_text::parse(&text),
        };
        match root {
            Ok(root) => Ok(Self { text, root }),
            Err(Unreadable { offset, message }) => Err((Places::of(&text).place(offset), message)),
        }
    }

    pub(super) const fn root(&self) -> &Node {
        &self.root
    }

    /// Where its bytes stand.
    pub(super) fn places(&self) -> Places<'_> {
        Places::of(&self.text)
    }

    /// What a JSON pointer leads to; of one that leads nowhere, as far as it leads.
    pub(super) fn find(&self, pointer: &str) -> &Node {
        let mut node = &self.root;
        for name in pointer.split('/').skip(1) {
            let name = name.replace("~1", "/").replace("~0", "~");
            let next = match &node.value {
                Value::Object(_) => node.member(&name).map(|member| &member.node),
                Value::Array(nodes) => name.parse().ok().and_then(|index: usize| nodes.get(index)),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node
    }
}

impl Node {
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.name == name)
    }

    /// None if it is no object.
    pub(super) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// None if it is no array.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Array(nodes) => nodes,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, in a word.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Object(_) => "an object",
            Value::Array(_) => "an array",
            Value::Text(_) => "a string",
            Value::Number(_) => "a number",
            Value::Flag(_) => "a boolean",
            Value::Null => "null",
            Value::Moment(_) => "a time",
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for member in members {
                    map.serialize_entry(&member.name, &member.node)?;
                }
                map.end()
            }
            Value::Array(nodes) => {
                let mut sequence = serializer.serialize_seq(Some(nodes.len()))?;
                for node in nodes {
                    sequence.serialize_element(node)?;
                }
                sequence.end()
            }
            Value::Number(number) => RawValue::from_string(number.clone())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
            Value::Text(text) | Value::Moment(text) => serializer.serialize_str(text),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Null => serializer.serialize_unit(),
        }
    }
}

/// Finds places one behind the other, so that a text is gone through once however many they are.
pub(super) struct Places<'a> {
    /// What is behind the last place.
    rest: &'a str,
    offset: usize,
    place: Place,
}

impl<'a> Places<'a> {
    const fn of(text: &'a str) -> Self {
        let place = Place { line: 1, column: 1 };
        Self {
            rest: text,
            offset: 0,
            place,
        }
    }

    /// The place of a byte that is not before the last one.
    pub(super) fn place(&mut self, offset: usize) -> Place {
        let mut length = offset.saturating_sub(self.offset).min(self.rest.len());
        while !self.rest.is_char_boundary(length) {
            length -= 1;
        }
        let (passed, rest) = self.rest.split_at(length);
        let begins = passed.rfind('\n').map(|newline| newline + 1);
        if begins.is_some() {
            self.place.line += passed.matches('\n').count();
            self.place.column = 1;
        }
        self.place.column += passed[begins.unwrap_or(0)..].chars().count();
        self.rest = rest;
        self.offset += length;
        self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "{\n  \"é\": 1, \"b\": [true, {\"c/d\": 1e400}],\n  \"n\": null, \"s\": \"a\\n\\u00e9\"\n}\n";
    const TOML: &str = "# é\nb = [true, {\"c/d\" = 0x10, f = +1_0.5e1}]\n\"é\" = \"x\"\n[z]\nk.l = 18446744073709551616\n\
         [[t]]\nwhen = 2026-01-02T03:04:05Z\n[[t]]\n";

    fn document(text: &str, format: Format) -> Document {
        Document::parse(text.to_owned(), format).unwrap()
    }

    fn written(document: &Document) -> String {
        serde_json::to_string(document.root()).unwrap()
    }

    fn found(document: &Document, pointer: &str) -> (usize, usize) {
        let Place { line, column } = document.places().place(document.find(pointer).offset);
        (line, column)
    }

    #[test]
    fn values_stay_as_they_are_written() {
        let json = document(JSON, Format::Json);
        assert_eq!(
            written(&json),
            r#"{"é":1,"b":[true,{"c/d":1e400}],"n":null,"s":"a\né"}"#
        );
        let toml = document(TOML, Format::Toml);
        assert_eq!(
            written(&toml),
            r#"{"b":[true,{"c/d":16,"f":10.5e1}],"é":"x","z":{"k":{"l":18446744073709551616}},"t":[{"when":"2026-01-02T03:04:05Z"},{}]}"#
        );
    }

    #[test]
    fn a_pointer_leads_to_a_place() {
        let json = document(JSON, Format::Json);
        for (pointer, place) in [
            ("", (1, 1)),
            ("/é", (2, 8)),
            ("/b/1/c~1d", (2, 31)),
            ("/b/7/x", (2, 16)),
            ("/s", (3, 19)),
        ] {
            assert_eq!(found(&json, pointer), place, "{pointer}");
        }
        let toml = document(TOML, Format::Toml);
        for (pointer, place) in [
            ("/b/1/c~1d", (2, 21)),
            ("/é", (3, 7)),
            ("/z/k/l", (5, 7)),
            ("/t/0/when", (7, 8)),
            ("/t/1", (8, 1)),
        ] {
            assert_eq!(found(&toml, pointer), place, "{pointer}");
        }
    }

    #[test]
    fn places_are_found_one_behind_the_other() {
        let document = document(TOML, Format::Toml);
        let mut places = document.places();
        for offset in (0..=TOML.len() + 1).chain([TOML.len()]) {
            assert_eq!(places.place(offset), document.places().place(offset));
        }
        assert_eq!(places.place(TOML.len()), Place { line: 9, column: 1 });
    }

    #[test]
    fn what_is_no_json_or_toml_is_told_at_its_place() {
        for (format, text, line, column, told) in [
            (Format::Json, "{\n \"a\" 1}", 2, 6, "expected `:`"),
            (Format::Json, " \n", 2, 1, "the file is empty"),
            (
                Format::Json,
                "{\"a\": [1",
                1,
                8,
                "the file ends in the middle of an array",
            ),
            (
                Format::Json,
                "{\"a\": ",
                1,
                6,
                "the file ends where a value should follow",
            ),
            (
                Format::Json,
                "{\"a\": 1,}",
                1,
                9,
                "a name in double quotes should follow",
            ),
            (
                Format::Json,
                "{1: 2}",
                1,
                2,
                "a name in double quotes should follow",
            ),
            (Format::Json, "{}\n{}", 2, 1, "something follows"),
            (Format::Json, "{\"é\": \"\\ud800\"}", 1, 14, "escape"),
            (
                Format::Json,
                "{\"a\": 1,\n\"a\": 2}",
                2,
                1,
                "\"a\" is there twice",
            ),
            (Format::Toml, "a = 1\na = 2", 2, 1, "duplicate"),
            (Format::Toml, "a = \n", 1, 5, "string"),
            (Format::Toml, "\"é\" = [1,\nnan]", 2, 1, "no JSON"),
            (Format::Toml, "a = 1e400_", 1, 10, "only go between digits"),
        ] {
            let (place, message) = Document::parse(text.to_owned(), format).unwrap_err();
            assert_eq!(
                (place.line, place.column),
                (line, column),
                "{text}: {message}"
            );
            assert!(message.contains(told), "{text}: {message}");
        }
    }

    /// At once, however deep.
    #[test]
    fn what_is_nested_too_deep_is_told_at_its_place() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let json =
            |levels: usize| format!("{{\"[[\": \"\\\"[[\",\n\"a\": {}}}", nested(levels - 1));
        document(&json(128), Format::Json);
        let toml = |levels: usize| format!("k = 1\na = {}", nested(levels - 1));
        document(&toml(81), Format::Toml);
        let parts = |parts: usize| format!("k = 1\n{} = 1", vec!["a"; parts].join("."));
        // Each of the parser's own limits is lower, but they multiply.
        let inner = format!("{{ {} = 1 }}", vec!["a"; 70].join("."));
        let both = format!("{} = {inner}", vec!["a"; 70].join("."));
        for (format, text, line, column, most) in [
            (Format::Json, json(129), 2, 133, 128),
            (Format::Json, json(1_000_000), 2, 133, 128),
            (Format::Toml, toml(82), 2, 85, 80),
            (Format::Toml, toml(1_000_000), 2, 85, 80),
            (Format::Toml, parts(81), 2, 1, 80),
            (Format::Toml, parts(100_000), 2, 1, 80),
            (Format::Toml, both, 1, 259, 128),
        ] {
            let (place, message) = Document::parse(text, format).unwrap_err();
            assert_eq!(message, format!("nested deeper than {most} levels"));
            assert_eq!((place.line, place.column), (line, column), "{format:?}");
        }
    }
}
