//! How an operation ended, in words; and what there is to do when a flow can neither end nor go on.

use opstead_client::schema::{Operation, OperationState};

use super::failure;
use super::output::{Line, Style};
use super::pretty::pretty;
use super::schema::shell_word;
use super::words;

/// What was recorded on the way, the state, and the error or the result; of a flow with the step
/// that it failed by.
pub(super) fn ended(operation: &Operation, failed_step: Option<&str>) -> Vec<Line> {
    let errors = failure::non_fatal(&operation.non_fatal_errors);
    let mut lines: Vec<Line> = errors.into_iter().map(Line::from).collect();
    let state = Line::default().and(words::style(operation.state), capitalized(operation.state));
    match (&operation.error, &operation.result) {
        (Some(error), _) => {
            let sentence = format!(": {}", failure::sentence_of_step(failed_step, error));
            lines.push(state.and(Style::Plain, sentence));
            lines.extend(failure::more(error).into_iter().map(Line::from));
        }
        (None, result) => {
            lines.push(state.and(Style::Plain, "."));
            if let Some(result) = result.as_ref().filter(|result| result.get() != "null") {
                lines.extend(pretty(result.get()).into_iter().map(Line::from));
            }
        }
    }
    lines.extend(ways_out(operation).into_iter().map(Line::from));
    lines
}

/// The commands that end a revert which failed; nothing of any other operation.
pub(super) fn ways_out(operation: &Operation) -> Vec<String> {
    if operation.state != OperationState::RevertFailed {
        return Vec::new();
    }
    let id = shell_word(&operation.id);
    vec![
        "It stays so until somebody decides. When the cause is mended, revert again:".to_owned(),
        format!("  opstead retry {id}"),
        "Or clean up by hand where that is needed, and take it for reverted:".to_owned(),
        format!("  opstead skip {id}"),
    ]
}

fn capitalized(state: OperationState) -> String {
    let (first, rest) = state.as_str().split_at(1);
    first.to_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stuck_flow_the_reason_and_the_ways_out_are_told() {
        let text = r#"{"id":"stock 1","methodName":"flow.stock","version":1,"kwargs":{},"subsystem":"flow",
            "alertName":"flow.task.f","state":"revertFailed","done":false,"reasons":[],
            "operationInfo":{"operationDescription":"Failed","stageDescription":"","stage":{"number":1,"total":3},
                "percentage":-1,"lastError":{"code":3001,"message":"full"}},
            "claims":[],"weight":0,"tags":[],"registeredAt":"2026-01-02T03:04:05.006Z","attempt":1,"maxAttempts":1,
            "error":{"code":3001,"message":"full","data":{"reason":"noRoom","notReverted":["mark"],
                "reverts":[{"step":"copy","operationId":"f.copy","code":7,"message":"busy"}]}},
            "nonFatalErrors":[],"spawnedTasks":[],"after":[],"registeredBy":"uid:0","cursor":5}"#;
        let mut operation: Operation = serde_json::from_str(text).unwrap();
        let told: Vec<String> = ended(&operation, Some("roof"))
            .iter()
            .map(Line::text)
            .collect();
        assert_eq!(
            told,
            [
                "RevertFailed: step roof: full (noRoom, 3001)",
                "  Left in place, since not revertible: mark",
                "  Not reverted: copy: busy (7)",
                "It stays so until somebody decides. When the cause is mended, revert again:",
                "  opstead retry 'stock 1'",
                "Or clean up by hand where that is needed, and take it for reverted:",
                "  opstead skip 'stock 1'",
            ]
        );
        operation.state = OperationState::Reverted;
        assert!(ways_out(&operation).is_empty());
    }
}
