//! JSON with places: serde_json finds where each value begins, since a raw value is a part of the
//! text itself.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Member, Node, Unreadable, Value};

pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let raw: &RawValue = read(text, text)?;
    node(text, raw)
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
            let message = format!("{name:?} is there twice");
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
        let whole = error.to_string();
        let message = whole.rsplit_once(" at line ");
        let message = message.map_or(whole.as_str(), |(message, _)| message);
        // Lines and the bytes of a line are counted from 1.
        let lines = part
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        let before: usize = lines.map(str::len).sum();
        Unreadable {
            offset: offset(text, part) + before + error.column().saturating_sub(1),
            message: message.to_owned(),
        }
    })
}

/// Where a part of the text begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}
