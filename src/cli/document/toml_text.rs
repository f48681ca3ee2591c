//! TOML with places, and its values as JSON has them. What JSON has no value for is refused, but for
//! moments, which some members take.

use std::ops::Range;

use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{Member, Node, Unreadable, Value};

pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let table = DeTable::parse(text).map_err(|error| Unreadable {
        offset: error.span().map_or(0, |span| span.start),
        message: error.message().to_owned(),
    })?;
    Ok(Node {
        offset: 0,
        value: object(text, table.get_ref())?,
    })
}

fn node(text: &str, found: &Spanned<DeValue<'_>>) -> Result<Node, Unreadable> {
    let span = found.span();
    let value = match found.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => number(&span, integer_text(integer))?,
        DeValue::Float(float) => number(&span, Some(float.as_str().to_owned()))?,
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(moment) => Value::Moment(moment.to_string()),
        DeValue::Array(items) => {
            let nodes = items.iter().map(|item| node(text, item));
            Value::Array(nodes.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => object(text, table)?,
    };
    Ok(Node {
        offset: span.start,
        value,
    })
}

/// Its members in the order in which they are written.
fn object(text: &str, table: &DeTable<'_>) -> Result<Value, Unreadable> {
    let mut members = Vec::with_capacity(table.len());
    for (name, value) in table {
        members.push(Member {
            name: name.get_ref().clone().into_owned(),
            offset: name.span().start,
            node: node(text, value)?,
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
