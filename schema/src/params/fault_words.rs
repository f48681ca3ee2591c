//! What serde finds wrong with a value, in words that name no type of this program.

/// The fault as it is told: what is allowed, and what was given. What has no type in it stays.
pub(super) fn plain(what: &str) -> String {
    // The text is JSON as a whole, so this is a value in the place of a word.
    if what == "expected value" {
        return "must be a string".to_owned();
    }
    if let Some(rest) = what.strip_prefix("unknown variant `")
        && let Some((given, words)) = rest.rsplit_once("`, expected ")
    {
        return format!("must be {}, not {given:?}", listed(words));
    }
    let invalid = ["invalid type: ", "invalid value: "];
    let rest = invalid.iter().find_map(|start| what.strip_prefix(start));
    match rest.map(|rest| {
        (
            rest.strip_prefix("expected "),
            rest.rsplit_once(", expected "),
        )
    }) {
        Some((Some(expected), _)) => format!("must be {}", allowed(expected)),
        Some((None, Some((given, expected)))) => {
            format!("must be {}, not {}", allowed(expected), value(given))
        }
        _ => what.to_owned(),
    }
}

/// Words that serde lists as `` one of `a`, `b` ``, or as `` `a` or `b` ``.
fn listed(words: &str) -> String {
    let words = words.strip_prefix("one of ").unwrap_or(words);
    let words: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    match words[..] {
        [one] => format!("{one:?}"),
        _ => format!("one of {}", words.join(", ")),
    }
}

fn allowed(expected: &str) -> &str {
    match expected {
        "u8" => "an integer from 0 to 255",
        "u32" => "an integer from 0 to 4294967295",
        "u64" | "usize" => "an integer from 0 on",
        "i32" | "i64" => "an integer",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "unit" | "string or map" => "a string",
        kind if kind.starts_with("struct ") => "an object",
        other => other,
    }
}

/// What was given, as the caller wrote it where that is short.
fn value(given: &str) -> &str {
    let unquoted = |start: &str| given.strip_prefix(start)?.strip_suffix('`');
    let written = ["integer `", "floating point `", "boolean `"];
    if let Some(written) = written.iter().find_map(|start| unquoted(start)) {
        return written;
    }
    match given {
        "map" => "an object",
        "sequence" => "an array",
        other => other.strip_prefix("string ").unwrap_or(other),
    }
}

#[cfg(test)]
mod tests {
    use crate::method;
    use crate::params::{ExecutorsAttachParams, OperationsListParams, parse_params};

    #[test]
    fn types_are_told_in_the_words_of_json() {
        for (methods, told) in [
            ("7", "`methods`: must be an array, not 7"),
            ("[7]", "`methods.0`: must be an object, not 7"),
            (
                r#"[{"version":1.5}]"#,
                "`methods.0.version`: must be an integer from 0 to 4294967295, not 1.5",
            ),
            (
                r#"[{"version":"1"}]"#,
                "`methods.0.version`: must be an integer from 0 to 4294967295, not \"1\"",
            ),
            (
                r#"[{"kind":"wish"}]"#,
                "`methods.0.kind`: must be one of operation, query, not \"wish\"",
            ),
            (r#"[{"kind":7}]"#, "`methods.0.kind`: must be a string"),
            (
                r#"[{"cancelable":[]}]"#,
                "`methods.0.cancelable`: must be true or false, not an array",
            ),
            (
                r#"[{"name":null}]"#,
                "`methods.0.name`: must be a string, not null",
            ),
            (
                r#"[{"attemptTimeoutMs":-1}]"#,
                "`methods.0.attemptTimeoutMs`: must be an integer from 0 on, not -1",
            ),
            (
                r#"[{"retry":{"factor":true}}]"#,
                "`methods.0.retry.factor`: must be a number, not true",
            ),
            (
                r#"[{"retry":"often"}]"#,
                "`methods.0.retry`: must be an object, not \"often\"",
            ),
        ] {
            let raw = format!(r#"{{"executor":"a","methods":{methods}}}"#);
            let attach = method("executors.attach").unwrap();
            let found = parse_params::<ExecutorsAttachParams>(attach, Some(&raw)).unwrap_err();
            assert_eq!(found.message, told, "{raw}");
        }
        let list = method("operations.list").unwrap();
        let raw = Some(r#"{"pageSize":0}"#);
        let found = parse_params::<OperationsListParams>(list, raw).unwrap_err();
        assert_eq!(found.message, "`pageSize`: must be at least 1, not 0");
    }
}
