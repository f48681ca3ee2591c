//! Foreign JSON, which is carried as text and never interpreted, and how to read optional members
//! so that `null` is told from nothing.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A JSON value that belongs to somebody else: kept and written exactly as it came.
pub type Json = Box<RawValue>;

/// The JSON text of a value.
///
/// # Errors
/// Whatever the value's own `Serialize` reports, and map keys that are not strings.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Json, serde_json::Error> {
    serde_json::value::to_raw_value(value)
}

/// `{}`: no arguments, nothing of one's own to say.
#[must_use]
pub fn empty_object() -> Json {
    constant("{}")
}

/// `null`: a result that says nothing.
#[must_use]
pub fn null() -> Json {
    constant("null")
}

/// Whether the value is a JSON object.
#[must_use]
pub fn is_object(value: &RawValue) -> bool {
    value.get().trim_ascii_start().starts_with('{')
}

fn constant(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("the constants of this file are JSON")
}

/// Reads a member that is there, also as `null`, as `Some`. With `#[serde(default)]` a member that
/// is not there is `None`.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Reads an object; `null` is the empty one.
pub(crate) fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
    let value = Json::deserialize(deserializer)?;
    if value.get() == "null" {
        Ok(empty_object())
    } else if is_object(&value) {
        Ok(value)
    } else {
        Err(serde::de::Error::custom(
            "invalid type: expected a JSON object",
        ))
    }
}
