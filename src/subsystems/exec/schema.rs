//! The schema of a program's kwargs: what is declared of each, and what follows from where it stands
//! among the arguments. So what could never be an argument is refused when it is registered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use opstead_core::Json;
use serde_json::{Map, Value, json};

use super::argument::{Argument, DASH_FAULT, EMPTY_FAULT, NUL_FAULT, Piece};
use crate::engine::executor::MESSAGE_KEYWORD;

/// What an argument can hold.
const WITHOUT_NUL: &str = r"^[^\x00]*$";

/// What is never taken for an option.
const WITHOUT_DASH: &str = "^([^-]|$)";

/// The keywords of JSON Schema that say something about a string, a number or a boolean, which is
/// all that a kwarg can be.
const KEYWORDS: [&str; 30] = [
    "$comment",
    "allOf",
    "anyOf",
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "readOnly",
    "then",
    "title",
    "type",
    "writeOnly",
    MESSAGE_KEYWORD,
];

/// Types of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types {
    string: bool,
    number: bool,
    boolean: bool,
    other: bool,
}

impl Types {
    const NONE: Self = Self {
        string: false,
        number: false,
        boolean: false,
        other: false,
    };

    /// What can be part of a name.
    pub(super) const IN_NAMES: Self = Self {
        string: true,
        number: true,
        ..Self::NONE
    };

    /// What can be part of an argument.
    pub(super) const IN_ARGUMENTS: Self = Self {
        boolean: true,
        ..Self::IN_NAMES
    };

    /// What a schema lets through by its `type`, `enum` or `const`; everything, if it has none.
    pub(super) fn of(schema: &Value) -> Self {
        match (schema.get("type"), schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(names)), ..) => Self::all(names.iter().map(Self::named)),
            (Some(name), ..) => Self::named(name),
            (None, Some(Value::Array(values)), _) => Self::all(values.iter().map(Self::of_value)),
            (None, None, Some(value)) => Self::of_value(value),
            _ => Self {
                other: true,
                ..Self::IN_ARGUMENTS
            },
        }
    }

    /// Whether nothing is beyond `allowed`.
    pub(super) fn is_within(self, allowed: Self) -> bool {
        self.or(allowed) == allowed
    }

    fn named(name: &Value) -> Self {
        match name.as_str() {
            Some("string") => Self {
                string: true,
                ..Self::NONE
            },
            Some("integer" | "number") => Self {
                number: true,
                ..Self::NONE
            },
            Some("boolean") => Self {
                boolean: true,
                ..Self::NONE
            },
            _ => Self {
                other: true,
                ..Self::NONE
            },
        }
    }

    fn of_value(value: &Value) -> Self {
        let name = match value {
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            _ => "",
        };
        Self::named(&name.into())
    }

    fn all(types: impl Iterator<Item = Self>) -> Self {
        types.fold(Self::NONE, Self::or)
    }

    fn or(self, other: Self) -> Self {
        Self {
            string: self.string || other.string,
            number: self.number || other.number,
            boolean: self.boolean || other.boolean,
            other: self.other || other.other,
        }
    }
}

impl fmt::Display for Types {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.boolean {
            true => "a string, a number or a boolean",
            false => "a string or a number",
        })
    }
}

/// The schema of all kwargs together.
pub(super) fn of_kwargs(
    kwargs: &BTreeMap<String, Value>,
    required: &[String],
    arguments: &[Argument],
) -> Json {
    let mut schema = json!({
        "type": "object",
        "properties": kwargs,
        "required": required,
        "additionalProperties": false,
    });
    let within = json!({"pattern": WITHOUT_NUL, MESSAGE_KEYWORD: NUL_FAULT});
    let within: Map<String, Value> = arguments
        .iter()
        .flat_map(Argument::kwargs)
        .map(|name| (name.to_owned(), within.clone()))
        .collect();
    if !within.is_empty() {
        let mut all = vec![json!({"properties": within})];
        for argument in arguments {
            let whole: Vec<&str> = argument
                .kwargs()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            for rule in beginning(argument.pieces(), &whole) {
                if !all.contains(&rule) {
                    all.push(rule);
                }
            }
        }
        schema["allOf"] = all.into();
    }
    Json::from_value(&schema).expect("a JSON value is JSON")
}

/// Words of a kwarg's schema that are no keywords there, each once.
pub(super) fn unknown_keywords(schema: &Value) -> BTreeSet<&str> {
    let mut unknown = BTreeSet::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        match (keyword.as_str(), value) {
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                unknown.extend(schemas.iter().flat_map(unknown_keywords));
            }
            ("not" | "if" | "then" | "else", schema) => unknown.extend(unknown_keywords(schema)),
            (keyword, _) if !KEYWORDS.contains(&keyword) => {
                unknown.insert(keyword);
            }
            _ => {}
        }
    }
    unknown
}

/// What is wrong with such a word, and what is allowed.
pub(super) fn unknown_keyword_fault(keyword: &str) -> String {
    let known = KEYWORDS.join("`, `");
    format!("`{keyword}` is no keyword of a kwarg's JSON Schema; there are `{known}`")
}

/// The rules for what an argument begins with. Where a kwarg is empty, that is what stands after it;
/// `whole` are all kwargs of the argument, without which it is left out.
fn beginning(pieces: &[Piece], whole: &[&str]) -> Vec<Value> {
    let Some((first @ Piece::Kwarg { name, .. }, rest)) = pieces.split_first() else {
        return Vec::new();
    };
    let rule = |schema| json!({"properties": {name: schema}});
    let guarded = first.without_dash().is_some();
    let mut rules = Vec::new();
    if guarded {
        let schema = json!({"pattern": WITHOUT_DASH, "minimum": 0, MESSAGE_KEYWORD: DASH_FAULT});
        rules.push(rule(schema));
    }
    let of_empty = match rest.first() {
        Some(Piece::Text(text)) if guarded && text.starts_with('-') => {
            vec![rule(json!({"minLength": 1, MESSAGE_KEYWORD: EMPTY_FAULT}))]
        }
        _ => beginning(rest, whole),
    };
    if !of_empty.is_empty() {
        rules.push(json!({
            "if": {"properties": {name: {"const": ""}}, "required": whole},
            "then": {"allOf": of_empty},
        }));
    }
    rules
}
