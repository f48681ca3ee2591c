//! TOML with places, and its values as JSON has them. What JSON has no value for is refused, but for
//! moments, which some members take.

use std::ops::Range;

use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{LEVELS_MOST, Member, Node, Unreadable, Value};

/// As deep as values may stand in one another for the parser, and as many parts as a key may have.
const PARSED_LEVELS: usize = 80;

pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let table = DeTable::parse(text).map_err(|error| unreadable(text, &error))?;
    Ok(Node {
        offset: 0,
        value: object(text, table.get_ref(), 1)?,
    })
}

fn unreadable(text: &str, error: &toml::de::Error) -> Unreadable {
    let offset = error.span().map_or(0, |span| span.start);
    match error.message() {
        "cannot recurse further; max recursion depth met" => {
            Unreadable::too_deep(offset, PARSED_LEVELS)
        }
        // Of a key; it is told without a place.
        "recursion limit" => {
            let has_many = |line: &&str| line.matches('.').count() >= PARSED_LEVELS - 1;
            let line = text.lines().find(has_many);
            let offset = line.map_or(0, |line| line.as_ptr().addr() - text.as_ptr().addr());
            Unreadable::too_deep(offset, PARSED_LEVELS)
        }
        message => Unreadable {
            offset,
            message: message.to_owned(),
        },
    }
}

/// A value that stands within so many others.
fn node(text: &str, found: &Spanned<DeValue<'_>>, level: usize) -> Result<Node, Unreadable> {
    let span = found.span();
    let is_container = found.get_ref().is_table() || found.get_ref().is_array();
    if is_container && level >= LEVELS_MOST {
        return Err(Unreadable::too_deep(span.start, LEVELS_MOST));
    }
    let value = match found.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => number(&span, integer_text(integer))?,
        DeValue::Float(float) => number(&span, Some(float.as_str().to_owned()))?,
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(moment) => Value::Moment(moment.to_string()),
        DeValue::Array(items) => {
            let nodes = items.iter().map(|item| node(text, item, level + 1));
            Value::Array(nodes.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => object(text, table, level + 1)?,
    };
    Ok(Node {
        offset: span.start,
        value,
    })
}

/// Its members in the order in which they are written.
fn object(text: &str, table: &DeTable<'_>, level: usize) -> Result<Value, Unreadable> {
    let mut members = Vec::with_capacity(table.len());
    for (name, value) in table {
        members.push(Member {
            name: name.get_ref().clone().into_owned(),
            offset: name.span().start,
            node: node(text, value, level)?,
        });
    }
    members.sort_by_key(|member| member.offset);
    Ok(Value::Object(members))
}

/// In decimal digits; none if it is written otherwise and too large to be rewritten.
fn integer_text(integer: &DeInteger<'_>) -> Option<String> {
    match integer.radix() {
        10 => Some(integer.as_str().to_owned()),
        radix => {
            let value = u128::from_str_radix(integer.as_str(), radix).ok()?;
            Some(value.to_string())
        }
    }
}

/// JSON knows neither a plus before a number nor one that is none.
fn number(span: &Range<usize>, written: Option<String>) -> Result<Value, Unreadable> {
    let json = written.and_then(|written| {
        let digits = written.strip_prefix('+').unwrap_or(&written);
        RawValue::from_string(digits.to_owned()).ok()
    });
    match json {
        Some(json) => Ok(Value::Number(json.get().to_owned())),
        None => Err(Unreadable {
            offset: span.start,
            message: "this is no JSON number".to_owned(),
        }),
    }
}
