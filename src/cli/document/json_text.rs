//! JSON with places: serde_json finds where each value begins, since a raw value is a part of the
//! text itself.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{LEVELS_MOST, Member, Node, Unreadable, Value};
use crate::cli::words::brief;

pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let raw: &RawValue = read(text, text)?;
    // What follows goes down into the values.
    match too_deep(text) {
        Some(offset) => Err(Unreadable::too_deep(offset, LEVELS_MOST)),
        None => node(text, raw),
    }
}

/// Where the first object or array begins that stands too deep, in a text that is JSON.
fn too_deep(text: &str) -> Option<usize> {
    let (mut level, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => level += 1,
            b'}' | b']' if !is_text => level -= 1,
            _ => {}
        }
        if level > LEVELS_MOST {
            return Some(offset);
        }
    }
    None
}

/// The members of an object in their order, equal names and all.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

fn node(text: &str, raw: &RawValue) -> Result<Node, Unreadable> {
    let part = raw.get();
    let value = match part.as_bytes().first() {
        Some(b'{') => Value::Object(members(text, part)?),
        Some(b'[') => {
            let items: Vec<&RawValue> = read(text, part)?;
            let nodes = items.into_iter().map(|item| node(text, item));
            Value::Array(nodes.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::Text(read(text, part)?),
        Some(b't' | b'f') => Value::Flag(part == "true"),
        Some(b'n') => Value::Null,
        _ => Value::Number(part.to_owned()),
    };
    Ok(Node {
        offset: offset(text, part),
        value,
    })
}

fn members(text: &str, part: &str) -> Result<Vec<Member>, Unreadable> {
    let Members(pairs) = read(text, part)?;
    let mut names = HashSet::new();
    let mut members = Vec::with_capacity(pairs.len());
    for (name, raw) in pairs {
        let offset = offset(text, name.get());
        let name: String = read(text, name.get())?;
        if !names.insert(name.clone()) {
            let message = format!("{:?} is there twice", brief(&name));
            return Err(Unreadable { offset, message });
        }
        let node = node(text, raw)?;
        members.push(Member { name, offset, node });
    }
    Ok(members)
}

/// Reads a part of the text.
fn read<'a, T: Deserialize<'a>>(text: &str, part: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(part).map_err(|error| {
        // Lines and the bytes of a line are counted from 1.
        let lines = part
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        let before: usize = lines.map(str::len).sum();
        Unreadable {
            offset: offset(text, part) + before + error.column().saturating_sub(1),
            message: in_words(without_place(&error), text),
        }
    })
}

/// What serde_json says, without the line and column that it counts in the text that it was given.
pub(in crate::cli) fn without_place(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let message = whole.rsplit_once(" at line ");
    message
        .map_or(whole.as_str(), |(message, _)| message)
        .to_owned()
}

/// The same for somebody who does not know how JSON is read.
fn in_words(message: String, text: &str) -> String {
    let words = match message.as_str() {
        _ if text.trim_ascii().is_empty() => "the file is empty",
        "EOF while parsing a value" => "the file ends where a value should follow",
        "EOF while parsing a list" => "the file ends in the middle of an array",
        "EOF while parsing an object" => "the file ends in the middle of an object",
        "EOF while parsing a string" => "the file ends in the middle of a string",
        "key must be a string" => "a name in double quotes should follow here",
        "trailing characters" => "something follows the value that is the whole file",
        "expected value" | "expected ident" => "this is no JSON value",
        _ => return message,
    };
    words.to_owned()
}

/// Where a part of the text begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}
