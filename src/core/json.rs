//! Foreign JSON: text that is kept and returned exactly as it came.
//!
//! Key order, 64-bit numbers and spelling survive, because nothing is ever parsed into a tree and
//! written again. Two texts can be compared for meaning (key order and white space aside).

mod outline;
mod results;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use outline::Outline;
pub(crate) use results::MOST_FAULTS;
pub use results::Taken;

/// How deep two texts are compared for meaning. Each level is a stack frame, so it may not be the
/// sender's choice.
const COMPARED_LEVELS: usize = 64;

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
        static EMPTY: LazyLock<Json> =
            LazyLock::new(|| Json::from_text("{}").expect("an empty object is JSON"));
        EMPTY.clone()
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

    /// Whether the text is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.as_str().trim_start().starts_with('{')
    }

    /// The members of an object, the values as they are written; none of anything else.
    pub(crate) fn members(&self) -> Vec<(Cow<'_, str>, &str)> {
        let outline = Outline::new(self.as_str(), 1);
        let members = outline.members(0).into_iter();
        members
            .map(|(key, value)| (key, outline.text(value)))
            .collect()
    }

    /// The same with every value at these places replaced by `"***"`; nothing if none of them is
    /// there. A place is a member's name, or a JSON pointer through objects.
    pub fn hiding<'a>(&self, places: impl IntoIterator<Item = &'a Arc<str>>) -> Option<Self> {
        let text = self.as_str();
        let mut spans = Vec::new();
        for place in places {
            let steps: Vec<_> = steps(place).collect();
            let outline = Outline::new(text, steps.len());
            outline.find(0, &steps, &mut spans);
        }
        if spans.is_empty() {
            return None;
        }
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        let (mut hidden, mut at) = (String::with_capacity(text.len()), 0);
        for span in spans {
            // One within another is gone with it.
            if span.start >= at {
                hidden.push_str(&text[at..span.start]);
                hidden.push_str(r#""***""#);
                at = span.end;
            }
        }
        hidden.push_str(&text[at..]);
        Some(Self::from_text(&hidden).expect("a value was put in the place of a value"))
    }

    /// An object with one member more, in the place of one of the same name; what is no object is
    /// replaced.
    pub(crate) fn with_member(&self, name: &str, value: &Self) -> Self {
        let members = self.members();
        let kept = members.iter().filter(|(key, _)| *key != name);
        let mut text = String::from("{");
        for (key, kept) in kept
            .map(|(key, kept)| (&**key, *kept))
            .chain([(name, value.as_str())])
        {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::Value::from(key).to_string());
            text.push(':');
            text.push_str(kept);
        }
        text.push('}');
        Self::from_text(&text).expect("members make an object")
    }

    /// Whether both mean the same: key order and white space aside, numbers as they are written.
    /// What is nested deeper than 64 levels is compared as written.
    pub fn same_as(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || {
            let left = Outline::new(self.as_str(), COMPARED_LEVELS);
            let right = Outline::new(other.as_str(), COMPARED_LEVELS);
            left.same_as(0, &right, 0, COMPARED_LEVELS)
        }
    }
}

/// The names on the way to a place within an object: one name, or the steps of a JSON pointer.
pub(crate) fn steps(place: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let is_pointer = place.starts_with('/');
    let steps = place[usize::from(is_pointer)..].split(move |one| is_pointer && one == '/');
    steps.map(move |step| match is_pointer && step.contains('~') {
        true => Cow::Owned(step.replace("~1", "/").replace("~0", "~")),
        false => Cow::Borrowed(step),
    })
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
        assert!(!same("[[1],2]", "[[1,2]]"));
        assert!(!same("[]", "[[]]"));
        assert!(!same(r#"{"a":{}}"#, r#"{"a":{},"b":{}}"#));
        assert!(same(
            r#"{"\u0061":"x\\","b":" ]}"}"#,
            r#"{"b":" ]}" ,"a":"x\\"}"#
        ));
    }

    /// Secrets are hidden wherever they stand, also where a key comes twice.
    #[test]
    fn what_is_to_be_hidden_is_hidden_and_the_rest_stays_as_it_is() {
        let hide = |text: &str, places: &[&str]| {
            let places: Vec<Arc<str>> = places.iter().map(|place| (*place).into()).collect();
            let json = Json::from_text(text).expect("json");
            json.hiding(&places).map(|json| json.as_str().to_owned())
        };
        let hidden = |text: &str, places: &[&str]| hide(text, places).expect("something to hide");
        assert_eq!(
            hidden(r#"{ "p" : "x", "n":1.0 }"#, &["p"]),
            r#"{ "p" : "***", "n":1.0 }"#
        );
        assert_eq!(
            hidden(r#"{"p":1,"\u0070":[2]}"#, &["p"]),
            r#"{"p":"***","\u0070":"***"}"#
        );
        assert_eq!(
            hidden(r#"{"a":{"b/c":{"d":1},"e":2}}"#, &["/a/b~1c/d", "/a/e"]),
            r#"{"a":{"b/c":{"d":"***"},"e":"***"}}"#
        );
        assert_eq!(
            hidden(r#"{"a":{"b":1}}"#, &["/a/b", "/a"]),
            r#"{"a":"***"}"#
        );
        assert_eq!(hide(r#"{"a":[{"b":1}],"x":2}"#, &["/a/b", "b"]), None);
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

    #[test]
    fn members_are_read_as_they_are_written() {
        let json = Json::from_text(r#"{ "a" : [1, {"b":2}], "\u0062":"x\"," }"#).expect("json");
        let expected = [("a", r#"[1, {"b":2}]"#), ("b", r#""x\",""#)];
        let members = json.members();
        let members: Vec<_> = members
            .iter()
            .map(|(key, value)| (&**key, *value))
            .collect();
        assert_eq!(members, expected);
    }
}
