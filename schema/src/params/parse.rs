//! How parameters are read: by name straight into their struct, by position in the table's order,
//! and what is said when they are wrong.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::fault_words::plain;
use crate::{ErrorObject, Fault, Method};

/// Parameters that are not the method's (-32602).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidParams {
    /// Which parameter, what is wrong and what is allowed.
    pub message: String,
    /// The same with JSON pointers.
    pub faults: Vec<Fault>,
}

/// Reads the parameters of a call. By position, trailing ones may be left out and `null` is one
/// that was left out; no parameters at all are the empty object.
///
/// # Errors
/// Unknown, missing and malformed parameters; scalars.
pub fn parse_params<T: DeserializeOwned>(
    method: &Method,
    raw: Option<&str>,
) -> Result<T, InvalidParams> {
    let text = raw.unwrap_or("{}").trim_ascii();
    let text = if text == "null" { "{}" } else { text };
    match text.as_bytes().first() {
        Some(b'{') => {
            serde_json::from_str(text).map_err(|error| explain(method, text, &error, None))
        }
        Some(b'[') => from_positions(method, text),
        _ => Err(InvalidParams::at(
            "",
            format!(
                "parameters of {} must be an object, or an array in the order {}",
                method.name,
                names(method)
            ),
        )),
    }
}

impl InvalidParams {
    /// Parameters with one fault, at a JSON pointer.
    #[must_use]
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let fault = Fault {
            pointer: pointer.into(),
            message: message.clone(),
        };
        Self {
            message,
            faults: vec![fault],
        }
    }
}

impl fmt::Display for InvalidParams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for InvalidParams {}

impl From<InvalidParams> for ErrorObject {
    fn from(invalid: InvalidParams) -> Self {
        Self::invalid_params(invalid.message, invalid.faults)
    }
}

/// Writes the values under their names and reads that, so that both ways have the same rules.
fn from_positions<T: DeserializeOwned>(method: &Method, text: &str) -> Result<T, InvalidParams> {
    let values: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| InvalidParams::at("", format!("parameters are no JSON: {error}")))?;
    if values.len() > method.params.len() {
        return Err(InvalidParams::at(
            format!("/{}", method.params.len()),
            format!(
                "{} takes at most {} parameters ({}), not {}",
                method.name,
                method.params.len(),
                names(method),
                values.len()
            ),
        ));
    }
    let mut object = String::with_capacity(text.len() + 16 * values.len());
    let mut separator = '{';
    for (param, value) in method.params.iter().zip(&values) {
        if value.get() != "null" {
            object.push(separator);
            object.push('"');
            object.push_str(param.name);
            object.push_str("\":");
            object.push_str(value.get());
            separator = ',';
        }
    }
    object.push_str(if separator == '{' { "{}" } else { "}" });
    serde_json::from_str(&object).map_err(|error| explain(method, &object, &error, Some(text)))
}

/// What serde found wrong, said of the parameter it stands in. `positional` is set if the caller
/// gave an array, so that pointers lead into that.
fn explain(
    method: &Method,
    text: &str,
    error: &serde_json::Error,
    positional: Option<&str>,
) -> InvalidParams {
    let whole = error.to_string();
    let what = whole
        .rsplit_once(" at line ")
        .map_or(whole.as_str(), |(what, _)| what);
    let offset = offset_of(text, error.line(), error.column());
    let mut path = Path::at(text.as_bytes(), offset);
    let missing = what.starts_with("missing field");
    if let Some(name) = misplaced(what) {
        path.leave();
        path.enter(name.to_owned(), true);
    } else if missing && path.closed {
        // The fault is the object's own, not its last member's.
        path.leave();
    }
    let message = if missing && path.steps.is_empty() {
        format!("{what}; {} takes {}", method.name, names(method))
    } else if path.steps.is_empty() || misplaced(what).is_some() {
        what.to_owned()
    } else {
        format!("`{}`: {}", path.steps.join("."), plain(what))
    };
    if positional.is_some()
        && let Some(first) = path.steps.first_mut()
        && let Some(index) = method.params.iter().position(|param| param.name == first)
    {
        *first = index.to_string();
    }
    InvalidParams::at(path.pointer(), message)
}

fn names(method: &Method) -> String {
    let names: Vec<_> = method
        .params
        .iter()
        .map(|param| {
            if param.required {
                param.name.to_owned()
            } else {
                format!("{}?", param.name)
            }
        })
        .collect();
    if names.is_empty() {
        "no parameters".to_owned()
    } else {
        names.join(", ")
    }
}

/// The member that should not stand where it stands, named by serde itself.
fn misplaced(what: &str) -> Option<&str> {
    let rest = what
        .strip_prefix("unknown field `")
        .or(what.strip_prefix("duplicate field `"))?;
    rest.split('`').next()
}

/// serde_json counts lines from 1 and bytes of a line from 1.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (before + column).min(text.len())
}

/// The way to a value: names and indexes from the outside in.
#[derive(Default)]
struct Path {
    steps: Vec<String>,
    /// Whether the step stands in an object; parallel to `steps`.
    in_object: Vec<bool>,
    /// The text ends with the outermost object, whose last member was kept as the only step:
    /// what serde finds wrong in a value it may report only there.
    closed: bool,
}

impl Path {
    /// The way to the innermost value in which the text up to `offset` ends.
    fn at(text: &[u8], offset: usize) -> Self {
        let mut path = Self::default();
        let mut last_string = String::new();
        let mut index = 0;
        while index < offset {
            match text[index] {
                b'"' => {
                    let end = string_end(text, index);
                    last_string =
                        String::from_utf8_lossy(text.get(index + 1..end).unwrap_or_default())
                            .into_owned();
                    index = end;
                }
                b':' => path.replace(std::mem::take(&mut last_string)),
                b',' if path.in_object.last() == Some(&false) => path.next_index(),
                b'{' => path.enter(String::new(), true),
                b'[' => path.enter("0".to_owned(), false),
                b'}' if index + 1 == offset && path.steps.len() == 1 => path.closed = true,
                b'}' | b']' => path.leave(),
                _ => {}
            }
            index += 1;
        }
        path
    }

    fn replace(&mut self, step: String) {
        self.steps.pop();
        self.steps.push(step);
    }

    fn next_index(&mut self) {
        let index = self
            .steps
            .last()
            .and_then(|step| step.parse::<usize>().ok())
            .unwrap_or(0);
        self.replace((index + 1).to_string());
    }

    fn enter(&mut self, step: String, in_object: bool) {
        self.steps.push(step);
        self.in_object.push(in_object);
    }

    fn leave(&mut self) {
        self.steps.pop();
        self.in_object.pop();
    }

    fn pointer(&self) -> String {
        self.steps
            .iter()
            .map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")))
            .collect()
    }
}

/// The index of the quote that ends the string starting at `start`.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut index = start + 1;
    while index < text.len() && text[index] != b'"' {
        index += if text[index] == b'\\' { 2 } else { 1 };
    }
    index.min(text.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method;
    use crate::params::*;

    fn read<T: DeserializeOwned>(name: &str, raw: &str) -> Result<T, InvalidParams> {
        parse_params(method(name).unwrap(), Some(raw))
    }

    /// The pointer and the message of the only fault.
    fn fault<T: DeserializeOwned + fmt::Debug>(name: &str, raw: &str) -> (String, String) {
        let invalid = read::<T>(name, raw).unwrap_err();
        assert_eq!(invalid.faults.len(), 1);
        assert_eq!(invalid.faults[0].message, invalid.message);
        (invalid.faults[0].pointer.clone(), invalid.message)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let list = method("operations.list").unwrap();
        for raw in [
            None,
            Some("null"),
            Some("{}"),
            Some("[]"),
            Some(" [ null,null ] "),
        ] {
            let params: OperationsListParams = parse_params(list, raw).unwrap();
            assert_eq!(params, OperationsListParams::default(), "{raw:?}");
        }
        let nulls = r#"{"filter":null,"filterType":null,"pageSize":null,"states":null}"#;
        let params: OperationsListParams = read("operations.list", nulls).unwrap();
        assert_eq!(params, OperationsListParams::default());
        let wait: OperationsWaitParams = read("operations.wait", "{}").unwrap();
        assert_eq!(wait, OperationsWaitParams::default());
        assert_eq!(wait.timeout_ms, 30_000);
        let subscribe: AlertsSubscribeParams = read("alerts.subscribe", "{}").unwrap();
        assert_eq!(subscribe, AlertsSubscribeParams::default());
        assert_eq!(subscribe.bookmark_ms, 60_000);
    }

    #[test]
    fn values_over_a_bound_are_reduced() {
        let list: ObjectsListParams = read("objects.list", r#"{"pageSize":5000000000}"#).unwrap();
        assert_eq!(list.page_size, 1_000);
        let wait: OperationsWaitParams =
            read("operations.wait", r#"{"timeoutMs":300001}"#).unwrap();
        assert_eq!(wait.timeout_ms, 300_000);
        let read_params: AlertsReadParams = read(
            "alerts.read",
            r#"{"after":0,"limit":1001,"timeoutMs":18446744073709551615}"#,
        )
        .unwrap();
        assert_eq!(
            (read_params.limit, read_params.timeout_ms),
            (1_000, 300_000)
        );
        let off: AlertsSubscribeParams = read("alerts.subscribe", r#"{"bookmarkMs":0}"#).unwrap();
        assert_eq!(off.bookmark_ms, 0);
        let (pointer, message) = fault::<ObjectsListParams>("objects.list", r#"{"pageSize":0}"#);
        assert_eq!(pointer, "/pageSize");
        assert!(message.contains("at least 1"), "{message}");
    }

    #[test]
    fn positions_follow_the_protocol() {
        let params: RegisterParams = read(
            "operations.register",
            r#"["storage.createImage",{"b":18446744073709551615,"a":1e400},"mine",2,
                [{"type":"image","id":"a","operation":"read"}],null,null,null,null,null,["x"]]"#,
        )
        .unwrap();
        assert_eq!(
            params.kwargs.get(),
            r#"{"b":18446744073709551615,"a":1e400}"#
        );
        assert_eq!(
            (params.id.as_deref(), params.version),
            (Some("mine"), Some(2))
        );
        assert_eq!(params.claims.unwrap().len(), 1);
        assert_eq!(params.tags.unwrap(), ["x"]);
        let short: OperationParams = read("operations.get", r#"["mine"]"#).unwrap();
        assert_eq!(short.id, "mine");
    }

    #[test]
    fn faults_by_position_point_into_the_array() {
        let light = r#"["storage.createImage",null,null,null,null,"light"]"#;
        let (pointer, message) = fault::<RegisterParams>("operations.register", light);
        assert_eq!(pointer, "/5");
        assert_eq!(
            message,
            "`weight`: must be an integer from 0 to 4294967295, not \"light\""
        );
        let (pointer, message) = fault::<OperationParams>("operations.get", "[7]");
        assert_eq!(pointer, "/0");
        assert_eq!(message, "`id`: must be a string, not 7");
        let (pointer, message) = fault::<OperationParams>("operations.get", r#"["a","b"]"#);
        assert_eq!(pointer, "/1");
        assert_eq!(
            message,
            "operations.get takes at most 1 parameters (id), not 2"
        );
    }

    /// Protocol §2: unknown params are refused; those of later versions too.
    #[test]
    fn unknown_params_are_refused_and_known_ones_named() {
        let nonsense = r#"{"methodName":"a.b","nonsense":null}"#;
        let (pointer, message) = fault::<RegisterParams>("operations.register", nonsense);
        assert_eq!(pointer, "/nonsense");
        assert!(message.contains("`methodName`"), "{message}");
        for (within, pointer) in [
            (r#""after":[{"id":"a","when":1}]"#, "/after/0/when"),
            (r#""retry":{"often":1}"#, "/retry/often"),
        ] {
            let raw = format!(r#"{{"methodName":"a.b",{within}}}"#);
            let found = fault::<RegisterParams>("operations.register", &raw);
            assert_eq!(found.0, pointer);
        }
        let (pointer, _) = fault::<NoParams>("system.status", r#"{"verbose":true}"#);
        assert_eq!(pointer, "/verbose");
        let claim = r#"{"methodName":"a.b","claims":[{"type":"t","id":"i","operation":"read"},{"type":"t","id":"i","operation":"read","shared":1}]}"#;
        let (pointer, _) = fault::<RegisterParams>("operations.register", claim);
        assert_eq!(pointer, "/claims/1/shared");
    }

    #[test]
    fn a_fault_names_its_parameter_and_what_is_allowed() {
        let cases = [
            (
                r#"{"methodName":"a.b","kwargs":[1]}"#,
                "/kwargs",
                "`kwargs`: must be a JSON object",
            ),
            (
                r#"{"kwargs":7,"methodName":"a.b"}"#,
                "/kwargs",
                "`kwargs`: must be a JSON object",
            ),
            (
                r#"{"kwargs":{"x":[{}]}}"#,
                "",
                "missing field `methodName`; operations.register takes methodName, kwargs?, id?, version?, claims?, weight?, startAt?, startBefore?, after?, retry?, tags?, lease?",
            ),
            (
                r#"{"methodName":"a.b","methodName":"a.c"}"#,
                "/methodName",
                "duplicate field `methodName`",
            ),
            (
                r#"{"methodName":"a.b","version":-1}"#,
                "/version",
                "`version`: must be an integer from 0 to 4294967295, not -1",
            ),
            (
                "{\n \"methodName\": \"a.b\",\n \"claims\": [\n {\"type\":\"t\", \"id\":\"i\", \"operation\":\"write\"}]}",
                "/claims/0/operation",
                "`claims.0.operation`: must be one of read, update, create, delete, not \"write\"",
            ),
            (
                r#"{"methodName":"a.b","claims":[{"type":"t"}]}"#,
                "/claims/0",
                "`claims.0`: missing field `id`",
            ),
            (
                r#"{"methodName":"a.b","tags":["x",{"y":1}]}"#,
                "/tags/1",
                "`tags.1`: must be a string, not an object",
            ),
        ];
        for (raw, pointer, message) in cases {
            let found = fault::<RegisterParams>("operations.register", raw);
            assert_eq!(found, (pointer.to_owned(), message.to_owned()), "{raw}");
        }
        let (pointer, message) =
            fault::<OperationsDismissParams>("operations.dismiss", r#"{"finishedBefore":"noon"}"#);
        assert_eq!(pointer, "/finishedBefore");
        assert!(
            message.contains("noon") && message.contains("2026-02-03"),
            "{message}"
        );
    }

    /// Protocol §9: scalar params are refused.
    #[test]
    fn scalars_are_refused() {
        assert!(read::<OperationParams>("operations.get", "{\"").is_err());
        for raw in ["5", "true", "\"id\"", ""] {
            let (pointer, message) = fault::<OperationParams>("operations.get", raw);
            assert_eq!(pointer, "");
            assert!(message.contains("must be an object"), "{message}");
        }
    }

    #[test]
    fn both_names_of_the_regular_expressions_are_read() {
        for word in ["regexp", "regex"] {
            let raw = format!(r#"{{"filter":"a","filterType":"{word}"}}"#);
            let params: FiltersTestParams = read("filters.test", &raw).unwrap();
            assert_eq!(params.filter_type, FilterType::Regexp);
        }
        assert_eq!(
            serde_json::to_string(&FilterType::Regexp).unwrap(),
            r#""regexp""#
        );
    }

    #[test]
    fn an_invalid_call_is_answered_with_its_faults() {
        let invalid = read::<OperationParams>("operations.get", "{}").unwrap_err();
        let error = ErrorObject::from(invalid);
        assert_eq!(error.code, crate::INVALID_PARAMS);
        assert_eq!(error.details().unwrap().faults.len(), 1);
    }
}
