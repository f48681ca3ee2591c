//! The schema of a program's kwargs: what is declared of each, and what follows from where it stands
//! among the arguments. So what could never be an argument is refused when it is registered.

use std::collections::BTreeMap;
use std::fmt;

use opstead_core::Json;
use serde_json::{Map, Value, json};

use super::argument::Argument;

/// What an argument can hold.
const WITHOUT_NUL: &str = r"^[^\x00]*$";

/// What is never taken for an option.
const WITHOUT_DASH: &str = "^([^-]|$)";

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
    let within = rules(
        arguments.iter().flat_map(Argument::kwargs),
        &json!({"pattern": WITHOUT_NUL}),
    );
    let at_the_beginning = rules(
        arguments.iter().filter_map(Argument::without_dash),
        &json!({"pattern": WITHOUT_DASH, "minimum": 0}),
    );
    let all: Vec<Value> = within.into_iter().chain(at_the_beginning).collect();
    if !all.is_empty() {
        schema["allOf"] = all.into();
    }
    Json::from_value(&schema).expect("a JSON value is JSON")
}

/// A schema with one rule for each of these kwargs, if there are any.
fn rules<'a>(names: impl Iterator<Item = &'a str>, rule: &Value) -> Option<Value> {
    let properties: Map<String, Value> =
        names.map(|name| (name.to_owned(), rule.clone())).collect();
    (!properties.is_empty()).then(|| json!({"properties": properties}))
}
