//! Errors in words: what a person reads of one that was answered, or that stands in a record.

use std::collections::BTreeMap;

use opstead_client::schema::{
    ErrorCode, ErrorObject, Fault, Json, NonFatalError, Operation, OperationState, Reason,
    StepFailure,
};
use serde::de::DeserializeOwned;

use super::pretty::pretty;
use super::reasons;

/// The error on one line: message, name, code.
pub(super) fn sentence(error: &ErrorObject) -> String {
    let reason = error.details().map(|details| details.reason);
    match reason.filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{} ({reason}, {})", error.message, error.code),
        None => format!("{} ({})", error.message, error.code),
    }
}

/// The same, of a flow that failed by this step.
pub(super) fn sentence_of_step(step: Option<&str>, error: &ErrorObject) -> String {
    match step {
        Some(step) => format!("step {step}: {}", sentence(error)),
        None => sentence(error),
    }
}

/// Why an operation that was reverted did not complete; nothing if it had.
pub(super) fn of_reverted(operation: &Operation) -> Option<String> {
    let error = operation.error.as_ref();
    let error = error.filter(|_| operation.state == OperationState::Reverted)?;
    Some(match error.known() {
        Some(ErrorCode::Canceled) => "Canceled".to_owned(),
        // As far as an alert tells of it too.
        _ => format!("Failed: {} ({})", error.message, error.code),
    })
}

/// What else an error says: whose claims are in the way, its traceback line by line, and the rest of
/// its data.
pub(super) fn more(error: &ErrorObject) -> Vec<String> {
    // Of that one the sentence says all.
    let data = match error.known() {
        Some(ErrorCode::DependencyFailed) => None,
        _ => error.data.as_ref(),
    };
    let Some(data) = data else {
        return Vec::new();
    };
    let Ok(mut members) = serde_json::from_str::<BTreeMap<String, Json>>(data.get()) else {
        return under("Data:", pretty(data.get()));
    };
    // These two stand in the sentence, or are of no use to a person.
    members.remove("reason");
    members.remove("retryable");
    let mut lines = Vec::new();
    if let Some(reasons) = take::<Vec<Reason>>(&mut members, "reasons") {
        lines.extend(reasons::lines(&reasons, None));
    }
    lines.extend(steps(&mut members));
    if let Some(traceback) = take::<String>(&mut members, "traceback") {
        lines.extend(under("Traceback:", traceback.lines().map(str::to_owned)));
    }
    for (name, value) in members {
        lines.extend(under(&format!("{name}:"), pretty(value.get())));
    }
    lines
}

/// What a flow's error says of its steps.
fn steps(members: &mut BTreeMap<String, Json>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(names) = take::<Vec<String>>(members, "notReverted") {
        let names = names.join(", ");
        lines.push(format!("  Left in place, since not revertible: {names}"));
    }
    for failure in take::<Vec<StepFailure>>(members, "reverts").unwrap_or_default() {
        let StepFailure {
            step,
            code,
            message,
            ..
        } = failure;
        lines.push(format!("  Not reverted: {step}: {message} ({code})"));
    }
    if let Some(more) = take::<u64>(members, "moreReverts") {
        lines.push(format!("  Not reverted: {more} more"));
    }
    lines
}

/// A member of that type; any other stays where it is.
fn take<T: DeserializeOwned>(members: &mut BTreeMap<String, Json>, name: &str) -> Option<T> {
    let found = serde_json::from_str(members.get(name)?.get()).ok();
    if found.is_some() {
        members.remove(name);
    }
    found
}

/// Errors that did not end their operation, in the order recorded.
pub(super) fn non_fatal(errors: &[NonFatalError]) -> Vec<String> {
    let mut lines = Vec::new();
    for recorded in errors {
        let error = ErrorObject {
            code: recorded.code,
            message: recorded.message.clone(),
            data: recorded.data.clone(),
        };
        lines.push(format!(
            "  Non-fatal error {}: {}",
            recorded.time,
            sentence(&error)
        ));
        lines.extend(more(&error).into_iter().map(|line| format!("  {line}")));
    }
    lines
}

/// What is wrong with an argument, and with which: `sizeBytes: …`.
pub(super) fn fault(fault: &Fault) -> String {
    let within = fault.pointer.strip_prefix("/kwargs");
    // The arguments of a method are the caller's own; that they travel as `kwargs` is not.
    let within = within.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let place = within.unwrap_or(&fault.pointer).trim_start_matches('/');
    let place = place.replace("~1", "/").replace("~0", "~");
    // Some messages begin with the place themselves.
    match place.is_empty() || fault.message.starts_with('`') {
        true => fault.message.clone(),
        false => format!("{place}: {}", fault.message),
    }
}

/// Lines under a name; what is short stands beside it.
fn under(name: &str, lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.into_iter().collect();
    if lines.len() == 1 && name != "Traceback:" {
        return vec![format!("  {name} {}", lines.remove(0))];
    }
    let lines = lines.into_iter().map(|line| format!("    {line}"));
    std::iter::once(format!("  {name}")).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ErrorObject {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_error_is_told_with_its_name_its_traceback_and_its_data() {
        let error = error(
            r#"{"code":3001,"message":"no","data":{"reason":"gone","retryable":true,
            "traceback":"File \"a\"\n  line 1\nKeyError","place":{"a":[1]},"n":18446744073709551616}}"#,
        );
        assert_eq!(sentence(&error), "no (gone, 3001)");
        assert_eq!(
            more(&error),
            [
                "  Traceback:",
                "    File \"a\"",
                "      line 1",
                "    KeyError",
                "  n: 18446744073709551616",
                "  place:",
                "    {",
                "      \"a\": [",
                "        1",
                "      ]",
                "    }",
            ]
        );
    }

    #[test]
    fn a_conflict_is_told_as_when_it_is_refused() {
        let error = error(
            r#"{"code":1001,"message":"no","data":{"reason":"conflict","reasons":[{"cause":"resource",
            "resource":{"type":"image","id":"a"},"operation":"delete","blockedBy":["gone"]}]}}"#,
        );
        assert_eq!(
            more(&error),
            [
                "  Blocked by: gone, whose claim is",
                "    Resource: image a",
                "    Operation: delete",
            ]
        );
    }

    #[test]
    fn a_flow_tells_of_its_steps() {
        let error = error(
            r#"{"code":3001,"message":"no","data":{"reason":"gone","notReverted":["a","b"],
            "reverts":[{"step":"c","operationId":"f.c","code":7,"message":"busy"}],"moreReverts":2}}"#,
        );
        assert_eq!(
            more(&error),
            [
                "  Left in place, since not revertible: a, b",
                "  Not reverted: c: busy (7)",
                "  Not reverted: 2 more",
            ]
        );
        let odd = r#"{"code":7,"message":"no","data":{"reverts":1}}"#;
        assert_eq!(more(&serde_json::from_str(odd).unwrap()), ["  reverts: 1"]);
    }

    #[test]
    fn an_error_of_others_need_not_say_more() {
        for data in ["", r#","data":{}"#] {
            let error = error(&format!(r#"{{"code":7,"message":"no"{data}}}"#));
            assert_eq!(sentence(&error), "no (7)");
            assert!(more(&error).is_empty(), "{data}");
        }
        let odd = error(r#"{"code":7,"message":"no","data":[1]}"#);
        assert_eq!(sentence(&odd), "no (7)");
        assert_eq!(more(&odd), ["  Data:", "    [", "      1", "    ]"]);
    }

    #[test]
    fn a_fault_names_the_argument() {
        for (pointer, message, told) in [
            ("/kwargs/sizeBytes", "is wrong", "sizeBytes: is wrong"),
            ("/kwargs/a~1b/0", "is wrong", "a/b/0: is wrong"),
            ("/kwargs", "missing 'a'", "missing 'a'"),
            ("/kwargsOfMine", "is wrong", "kwargsOfMine: is wrong"),
            ("/id", "is wrong", "id: is wrong"),
            ("/id", "`id`: is wrong", "`id`: is wrong"),
            ("", "is wrong", "is wrong"),
        ] {
            let found = Fault {
                pointer: pointer.to_owned(),
                message: message.to_owned(),
            };
            assert_eq!(fault(&found), told, "{pointer}");
        }
    }
}
