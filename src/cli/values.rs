//! Arguments written `key=value`: what type a value has, the method's schema says.

use opstead_client::schema::{Json, OPENRPC, to_json};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CliError;

/// Named arguments in the order given, each as JSON text.
#[derive(Debug)]
pub(super) struct Values(Vec<(String, Json)>);

/// The JSON Schemas of a method's arguments.
#[derive(Debug, Default)]
pub(super) struct Schemas(Vec<(String, Value)>);

impl Schemas {
    /// From the JSON Schema of a whole object of arguments.
    pub(super) fn of_object(schema: &RawValue) -> Self {
        let schema: Value = serde_json::from_str(schema.get()).unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        let pairs = properties.into_iter().flatten();
        Self(
            pairs
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        )
    }

    /// From the OpenRPC document, of one of the daemon's own methods.
    pub(super) fn of_own_method(name: &str) -> Self {
        let document: Value =
            serde_json::from_str(OPENRPC).expect("a test of the schema makes this document");
        let array = |value: &Value, member: &str| {
            value
                .get(member)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let method = array(&document, "methods")
            .into_iter()
            .find(|method| method["name"] == name)
            .unwrap_or_default();
        let schema = |param: &Value| {
            let mut schema = param["schema"].clone();
            let named = schema.pointer("/items/$ref").and_then(Value::as_str);
            let place = named.map(|named| named.trim_start_matches('#'));
            if let Some(items) = place.and_then(|place| document.pointer(place)) {
                schema["items"] = items.clone();
            }
            schema
        };
        let params = array(&method, "params").into_iter();
        Self(
            params
                .filter_map(|param| Some((param["name"].as_str()?.to_owned(), schema(&param))))
                .collect(),
        )
    }

    /// Whether it is an array of strings, one of which can be written as it stands.
    fn takes_strings(&self, key: &str) -> bool {
        let schema = self.0.iter().find(|(name, _)| name == key);
        self.types(key).contains(&"array")
            && schema.is_some_and(|(_, schema)| is_string(&schema["items"]))
    }

    /// The types that the schema allows an argument; none if it does not say.
    fn types(&self, key: &str) -> Vec<&str> {
        let schema = self.0.iter().find(|(name, _)| name == key);
        match schema.map(|(_, schema)| &schema["type"]) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

impl Values {
    /// Reads `key=value` and `key:=json`.
    pub(super) fn parse(arguments: &[String], schemas: &Schemas) -> Result<Self, CliError> {
        let mut values: Vec<(String, Json)> = Vec::new();
        for argument in arguments {
            let Some((key, text)) = argument.split_once('=') else {
                return Err(CliError::usage(
                    format!("{argument:?} is no KEY=VALUE"),
                    "arguments are written like image=a, or like claims:='[…]' for JSON",
                ));
            };
            let (key, value) = match key.strip_suffix(':') {
                Some(key) => (
                    key,
                    json(text).ok_or_else(|| wrong(key, text, "JSON after :="))?,
                ),
                None if schemas.takes_strings(key) => (key, strings(key, text)?),
                None => (key, typed(key, text, &schemas.types(key))?),
            };
            if key.is_empty() || values.iter().any(|(known, _)| known == key) {
                let fault = if key.is_empty() {
                    "has no key"
                } else {
                    "is given twice"
                };
                return Err(CliError::usage(
                    format!("{argument:?} {fault}"),
                    "each argument has one key",
                ));
            }
            values.push((key.to_owned(), value));
        }
        Ok(Self(values))
    }

    /// As a JSON object.
    pub(super) fn into_json(self) -> Json {
        to_json(&self).expect("keys are strings and values JSON")
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The value that a text means where these types are allowed.
fn typed(key: &str, text: &str, types: &[&str]) -> Result<Json, CliError> {
    let may_be_string = types.is_empty() || types.contains(&"string");
    let only_string = may_be_string && types.iter().all(|&kind| matches!(kind, "string" | "null"));
    if only_string && !types.is_empty() {
        return Ok(string(text));
    }
    match json(text) {
        Some(value) if types.is_empty() || types.iter().any(|kind| is_of(&value, kind)) => {
            Ok(value)
        }
        _ if may_be_string => Ok(string(text)),
        _ => Err(wrong(key, text, &types.join(" or "))),
    }
}

/// An array as it is, anything else as its only element.
fn strings(key: &str, text: &str) -> Result<Json, CliError> {
    match json(text) {
        Some(value) if is_of(&value, "array") || is_of(&value, "null") => Ok(value),
        // Somebody meant an array.
        _ if text.starts_with('[') => Err(wrong(key, text, "an array like [\"a\"]")),
        _ => Ok(to_json(&[text]).expect("a string is JSON")),
    }
}

fn is_string(schema: &Value) -> bool {
    let each = schema["oneOf"].as_array();
    schema["type"] == "string"
        || each.is_some_and(|each| !each.is_empty() && each.iter().all(is_string))
}

fn wrong(key: &str, text: &str, expected: &str) -> CliError {
    CliError::usage(
        format!("{key}={text}: expected {expected}"),
        "opstead methods NAME shows the arguments of a method",
    )
}

fn is_of(value: &RawValue, kind: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(value.get()) else {
        return false;
    };
    match kind {
        "string" => value.is_string(),
        // As JSON Schema has it: 1e3 is an integer.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn json(text: &str) -> Option<Json> {
    RawValue::from_string(text.trim().to_owned()).ok()
}

fn string(text: &str) -> Json {
    to_json(text).expect("a string is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","properties":{
        "image":{"type":"string"},"size":{"type":"integer"},"rate":{"type":["number","null"]},
        "force":{"type":"boolean"},"either":{"type":["string","integer"]},"list":{"type":"array"},
        "words":{"type":["array","null"],"items":{"type":"string"}},"any":{}}}"#;

    fn parse(arguments: &[&str]) -> Result<String, CliError> {
        let schema = RawValue::from_string(SCHEMA.to_owned()).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let values = Values::parse(&arguments, &Schemas::of_object(&schema))?;
        Ok(values.into_json().get().to_owned())
    }

    #[test]
    fn the_schema_says_of_which_type_a_value_is() {
        for (argument, expected) in [
            ("image=123", r#"{"image":"123"}"#),
            ("image=true", r#"{"image":"true"}"#),
            ("image=", r#"{"image":""}"#),
            ("image=a=b", r#"{"image":"a=b"}"#),
            (
                "size=18446744073709551615",
                r#"{"size":18446744073709551615}"#,
            ),
            ("size=1e3", r#"{"size":1e3}"#),
            ("rate=0.50", r#"{"rate":0.50}"#),
            ("rate=null", r#"{"rate":null}"#),
            ("force=true", r#"{"force":true}"#),
            ("either=7", r#"{"either":7}"#),
            ("either=seven", r#"{"either":"seven"}"#),
            ("either=true", r#"{"either":"true"}"#),
            ("list=[1]", r#"{"list":[1]}"#),
            ("words=a", r#"{"words":["a"]}"#),
            ("words=7", r#"{"words":["7"]}"#),
            (r#"words=["a"]"#, r#"{"words":["a"]}"#),
            ("any=[1, 2]", r#"{"any":[1, 2]}"#),
            ("unknown=no json", r#"{"unknown":"no json"}"#),
            ("unknown=12", r#"{"unknown":12}"#),
            (r#"image:={"a":1}"#, r#"{"image":{"a":1}}"#),
        ] {
            assert_eq!(parse(&[argument]).unwrap(), expected, "{argument}");
        }
        assert_eq!(
            parse(&["size=1", "image=a"]).unwrap(),
            r#"{"size":1,"image":"a"}"#
        );
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        for arguments in [
            &["image"][..],
            &["=a"],
            &[":=1"],
            &["size=ten"],
            &["size=1.5"],
            &["force=yes"],
            &["list=1"],
            &["words=[a"],
            &["any:=no json"],
            &["image=a", "image=b"],
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(matches!(error, CliError::Usage { .. }), "{arguments:?}");
        }
    }

    #[test]
    fn the_daemons_own_methods_have_schemas_too() {
        let schemas = Schemas::of_own_method("operations.get");
        assert_eq!(schemas.types("id"), ["string"]);
        assert_eq!(
            Schemas::of_own_method("alerts.read").types("after"),
            ["integer"]
        );
        assert!(Schemas::of_own_method("operations.dismiss").takes_strings("ids"));
        assert!(Schemas::of_own_method("operations.list").takes_strings("states"));
        assert!(!Schemas::of_own_method("operations.register").takes_strings("claims"));
    }
}
