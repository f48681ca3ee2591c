//! Foreign JSON: text that is kept and returned exactly as it came.
//!
//! Key order, 64-bit numbers and spelling survive, because nothing is ever parsed into a tree and
//! written again. Two texts can be compared for meaning (key order and white space aside).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON text, cheap to clone.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Takes over a text after checking that it is one JSON value.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Box<RawValue>>(text).map(Self::from)
    }

    /// Writes a value as JSON. Fails only for values that JSON cannot hold, as maps with keys that
    /// are no strings.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self::from)
    }

    /// The text `null`.
    pub fn null() -> Self {
        Self::from(RawValue::NULL.to_owned())
    }

    /// The text `{}`.
    pub fn empty_object() -> Self {
        Self::from_text("{}").expect("an empty object is JSON")
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text as serde_json knows it, for writing it into other JSON.
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// Reads the text into a type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }

    /// Reads a member that is there: `null` is then a value like any other, so that what was
    /// written comes back.
    pub(crate) fn deserialize_present<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Self>, D::Error> {
        Self::deserialize(deserializer).map(Some)
    }

    /// Whether both mean the same: key order and white space aside, numbers as they are written.
    /// What is nested deeper than 64 levels is compared as written.
    pub fn same_as(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || canonical(self) == canonical(other)
    }
}

/// How deep two texts are compared for meaning. Each level reads what is below it once more, and
/// each is a stack frame, so neither may be the sender's choice.
const COMPARED_LEVELS: usize = 64;

/// The text with sorted keys and no white space between values.
fn canonical(json: &Json) -> String {
    let mut written = String::with_capacity(json.as_str().len());
    write_canonical(&json.0, COMPARED_LEVELS, &mut written);
    written
}

fn write_canonical(raw: &RawValue, levels: usize, out: &mut String) {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') if levels > 0 => {
            if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
                out.push('{');
                for (key, value) in members {
                    out.push_str(&format!("{key:?}:"));
                    write_canonical(value, levels - 1, out);
                    out.push(',');
                }
                return out.push('}');
            }
        }
        Some(b'[') if levels > 0 => {
            if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
                out.push('[');
                for item in items {
                    write_canonical(item, levels - 1, out);
                    out.push(',');
                }
                return out.push(']');
            }
        }
        Some(b'"') => {
            if let Ok(string) = serde_json::from_str::<String>(text) {
                return out.push_str(&format!("{string:?}"));
            }
        }
        _ => {}
    }
    // A number or a word; or too deep; or a string with a lone surrogate, which serde_json reads
    // raw but not as a string.
    out.push_str(text);
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Arc::from(raw))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaning_ignores_key_order_and_white_space_but_not_numbers_or_item_order() {
        let same = |left: &str, right: &str| {
            Json::from_text(left)
                .expect("left")
                .same_as(&Json::from_text(right).expect("right"))
        };
        assert!(same(
            r#"{"a":1,"b":[1,{"x":2,"y":3}]}"#,
            r#"{ "b": [1, {"y":3,"x":2}], "a":1 }"#
        ));
        assert!(same(r#""\u0061""#, r#""a""#));
        assert!(!same("9007199254740993", "9007199254740992"));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same(r#"{"a":"1"}"#, r#"{"a":1}"#));
        assert!(!same(r#"["a\",\"b"]"#, r#"["a","b"]"#));
    }

    /// The sender chooses the nesting; comparing must cost neither the stack nor doubled memory.
    #[test]
    fn deep_nesting_is_compared_within_bounds() {
        let nested = |depth: usize, inner: &str| {
            let text = format!("{}{inner}{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
            Json::from_text(&text).expect("nested")
        };
        let same =
            |depth| nested(depth, r#"{"x":1,"y":2}"#).same_as(&nested(depth, r#"{"y":2,"x":1}"#));
        assert!(same(30));
        assert!(
            !same(100_000),
            "too deep to be understood, so compared as written"
        );
        assert!(nested(100_000, "1").same_as(&nested(100_000, "1")));
    }
}
