//! The JSON Schema of a method's arguments in words, and an example of a call that fits it.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What a method takes.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// The required ones first, then by name.
    pub(super) named: Vec<Argument>,
    /// Whether it takes others, too.
    pub(super) others: bool,
}

/// An argument of a method.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) required: bool,
    schema: Map<String, Value>,
}

impl Arguments {
    /// From the schema of a whole object of arguments; without one, anything is taken.
    pub(super) fn of(schema: Option<&RawValue>) -> Self {
        let schema = schema.and_then(|schema| serde_json::from_str::<Value>(schema.get()).ok());
        let Some(Value::Object(schema)) = schema else {
            return Self {
                named: Vec::new(),
                others: true,
            };
        };
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.into_iter().flatten().any(|one| one == name);
        let properties = schema.get("properties").and_then(Value::as_object);
        let argument = |(name, schema): (&String, &Value)| Argument {
            name: name.clone(),
            required: is_required(name),
            schema: schema.as_object().cloned().unwrap_or_default(),
        };
        let mut named: Vec<Argument> = properties.into_iter().flatten().map(argument).collect();
        named.sort_by_key(|argument| !argument.required);
        Self {
            named,
            others: schema.get("additionalProperties") != Some(&Value::Bool(false)),
        }
    }

    /// The command line of a call with what is required.
    pub(super) fn example(&self, method: &str) -> String {
        let required = self.named.iter().filter(|argument| argument.required);
        let words = required.map(|argument| shell_word(&argument.example()));
        let line = ["opstead".to_owned(), "call".to_owned(), method.to_owned()];
        line.into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

impl Argument {
    /// Its type: `string`, `integer or null`, `array of string`.
    pub(super) fn kind(&self) -> String {
        kind(&self.schema)
    }

    /// What it means, if its schema says so.
    pub(super) fn description(&self) -> &str {
        let text = |name| self.schema.get(name).and_then(Value::as_str);
        text("description").or(text("title")).unwrap_or_default()
    }

    /// What is allowed, beside the type.
    pub(super) fn limits(&self) -> Vec<String> {
        limits(&self.schema)
    }

    fn example(&self) -> String {
        let name = &self.name;
        match example(&self.schema) {
            Some(Value::String(text)) => format!("{name}={text}"),
            Some(value @ (Value::Array(_) | Value::Object(_))) => format!("{name}:={value}"),
            Some(value) => format!("{name}={value}"),
            None => format!("{name}={}", name.to_uppercase()),
        }
    }
}

fn kind(schema: &Map<String, Value>) -> String {
    let kinds = types(schema);
    let named = kinds.iter().map(|&kind| match (kind, schema.get("items")) {
        ("array", Some(Value::Object(items))) => format!("array of {}", self::kind(items)),
        _ => kind.to_owned(),
    });
    match kinds.is_empty() {
        true => "any".to_owned(),
        false => named.collect::<Vec<_>>().join(" or "),
    }
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Every keyword in words; what is not known here is shown as it stands, so that nothing is hidden.
fn limits(schema: &Map<String, Value>) -> Vec<String> {
    const TOLD: [&str; 6] = [
        "type",
        "description",
        "title",
        "examples",
        "$comment",
        "items",
    ];
    const RANGES: [(&str, &str, &str); 4] = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " members"),
    ];
    let mut left = schema.clone();
    left.retain(|name, _| !TOLD.contains(&name.as_str()));
    let mut limits = Vec::new();
    for (least, most, of_what) in RANGES {
        match (left.remove(least), left.remove(most)) {
            (Some(least), Some(most)) => limits.push(format!("{least} to {most}{of_what}")),
            (Some(least), None) => limits.push(format!("at least {least}{of_what}")),
            (None, Some(most)) => limits.push(format!("at most {most}{of_what}")),
            (None, None) => {}
        }
    }
    if let Some(Value::Array(values)) = left.remove("enum") {
        let values: Vec<String> = values.iter().map(text).collect();
        limits.push(format!("one of {}", values.join(", ")));
    }
    for (name, words) in [
        ("const", "only"),
        ("exclusiveMinimum", "more than"),
        ("exclusiveMaximum", "less than"),
        ("multipleOf", "a multiple of"),
        ("pattern", "matching"),
        ("format", "in the format"),
        ("default", "if left out"),
    ] {
        if let Some(value) = left.remove(name) {
            limits.push(format!("{words} {}", text(&value)));
        }
    }
    limits.extend(left.iter().map(|(name, value)| format!("{name}: {value}")));
    if let Some(Value::Object(items)) = schema.get("items") {
        let each = self::limits(items);
        limits.extend(each.into_iter().map(|limit| format!("each {limit}")));
    }
    limits
}

/// A value that the schema allows, as far as that can be told without its meaning.
fn example(schema: &Map<String, Value>) -> Option<Value> {
    let first = |name| schema.get(name)?.as_array()?.first();
    let given = first("examples")
        .or_else(|| schema.get("default"))
        .or_else(|| schema.get("const"))
        .or_else(|| first("enum"));
    if let Some(value) = given {
        return Some(value.clone());
    }
    match types(schema).first() {
        Some(&("integer" | "number")) => {
            let least = schema.get("minimum").cloned();
            Some(least.unwrap_or_else(|| Value::from(1)))
        }
        Some(&"boolean") => Some(Value::Bool(true)),
        Some(&"array") => Some(Value::Array(Vec::new())),
        Some(&"object") => Some(Value::Object(Map::new())),
        Some(&"null") => Some(Value::Null),
        _ => None,
    }
}

/// Quoted where a shell would take it for something else.
pub(super) fn shell_word(word: &str) -> String {
    let means_itself = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@+%".contains(c);
    match word.chars().all(means_itself) {
        true => word.to_owned(),
        // Only a NUL cannot be quoted, and nobody could type it.
        false => shlex::try_quote(word).unwrap_or_default().into_owned(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::values::{Schemas, Values};

    use super::*;

    const SCHEMA: &str = r#"{"type":"object","required":["image","mode","words"],"properties":{
        "image":{"type":"string","minLength":1,"maxLength":200,"description":"which one"},
        "size":{"type":["integer","null"],"minimum":1,"default":5},
        "rate":{"type":"number","exclusiveMinimum":0,"maximum":9.5},
        "mode":{"enum":["fast and loose","slow"]},
        "words":{"type":"array","items":{"type":"string","pattern":"^a$"},"minItems":1,"uniqueItems":true},
        "any":{}}}"#;

    fn arguments() -> Arguments {
        let schema = RawValue::from_string(SCHEMA.to_owned()).unwrap();
        Arguments::of(Some(&schema))
    }

    #[test]
    fn a_schema_is_told_in_words() {
        let arguments = arguments();
        let told: Vec<String> = arguments
            .named
            .iter()
            .map(|argument| {
                let required = if argument.required { "!" } else { "" };
                let limits = argument.limits().join("; ");
                format!("{}{required} {} | {limits}", argument.name, argument.kind())
            })
            .collect();
        assert_eq!(
            told,
            [
                "image! string | 1 to 200 characters",
                "mode! any | one of fast and loose, slow",
                "words! array of string | at least 1 items; uniqueItems: true; each matching ^a$",
                "any any | ",
                "rate number | at most 9.5; more than 0",
                "size integer or null | at least 1; if left out 5",
            ]
        );
        assert_eq!(arguments.named[0].description(), "which one");
        assert!(arguments.others);
    }

    /// What the example says is what a shell and the command line read from it.
    #[test]
    fn an_example_can_be_typed() {
        let line = arguments().example("a.b");
        assert_eq!(
            line,
            "opstead call a.b image=IMAGE 'mode=fast and loose' 'words:=[]'"
        );
        let words = shlex::split(&line).unwrap();
        let schema = RawValue::from_string(SCHEMA.to_owned()).unwrap();
        let values = Values::parse(&words[3..], &Schemas::of_object(&schema)).unwrap();
        assert_eq!(
            values.into_json().get(),
            r#"{"image":"IMAGE","mode":"fast and loose","words":[]}"#
        );
    }

    #[test]
    fn without_a_schema_anything_is_taken() {
        let arguments = Arguments::of(None);
        assert!(arguments.named.is_empty() && arguments.others);
        assert_eq!(arguments.example("a.b"), "opstead call a.b");
    }
}
