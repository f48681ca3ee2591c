//! Wire types in words for a person.

use opstead_client::schema::{Cause, NonFatalError, OperationInfo, Reason, Registration, Response};

/// What became of a request.
pub(super) fn registration(registration: &Registration) -> Vec<String> {
    let id = &registration.id;
    if registration.state.has_ended() {
        return vec![format!(
            "Registered before: {id} is {}.",
            registration.state
        )];
    }
    let before = if registration.existing { " before" } else { "" };
    match registration.response {
        Response::Accepted => vec![format!("Registered{before}: {id}")],
        Response::Postponed => {
            let mut lines = vec![
                format!("Registered{before}: {id}"),
                "Postponed: it starts by itself when what it waits for is done.".to_owned(),
            ];
            lines.extend(reasons(&registration.reasons));
            lines
        }
    }
}

/// Reasons, each with its lines.
pub(super) fn reasons(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().flat_map(reason).collect()
}

fn reason(reason: &Reason) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(resource) = &reason.resource {
        lines.push(format!("  Resource: {} {}", resource.kind, resource.id));
    }
    if let Some(operation) = reason.operation {
        lines.push(format!("  Operation: {operation}"));
    }
    if lines.is_empty() {
        lines.push(format!("  Waits for: {}", cause(reason.cause)));
    }
    if !reason.blocked_by.is_empty() {
        let others = if reason.more { " and others" } else { "" };
        let names = reason.blocked_by.join(", ");
        lines.push(format!("  Blocked by: {names}{others}"));
    }
    if let Some(detail) = &reason.detail {
        lines.push(format!("  Detail: {detail}"));
    }
    lines
}

const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Resource => "another operation's claim on a resource",
        Cause::Capacity => "capacity; too much is running",
        Cause::Executor => "an executor that is there and free",
        Cause::Version => "an executor with this version of the method",
        Cause::StartTime => "its start time",
        Cause::Dependency => "operations after which it is to start",
        Cause::RetryDelay => "the delay before another attempt",
    }
}

/// How far something is: `Copying, stage 2 of 3, 46 %: writing`.
pub(super) fn progress(info: &OperationInfo) -> String {
    let mut text = info.operation_description.to_string();
    // Stages are counted when completed; a person counts the one in progress.
    if info.stage.total > 1 && !info.stage.is_last() {
        text += &format!(", stage {} of {}", info.stage.number + 1, info.stage.total);
    }
    if let Some(percentage) = info.percentage.known() {
        text += &format!(", {percentage:.0} %");
    }
    if !info.stage_description.is_empty() {
        text += &format!(": {}", info.stage_description);
    }
    text
}

/// Errors that did not end their operation.
pub(super) fn non_fatal_errors(errors: &[NonFatalError]) -> Vec<String> {
    errors
        .iter()
        .map(|error| {
            format!(
                "  Non-fatal error {}: {} ({})",
                error.time, error.message, error.code
            )
        })
        .collect()
}

/// The glob that matches exactly this name.
pub(super) fn exactly(name: &str) -> String {
    let mut glob = String::with_capacity(name.len());
    for c in name.chars() {
        if "*?[]{}!,\\".contains(c) {
            glob.push('\\');
        }
        glob.push(c);
    }
    glob
}

#[cfg(test)]
mod tests {
    use opstead_client::schema::{
        ClaimOperation, LastError, OperationDescription, OperationState, Percentage, Resource,
        Stage, empty_object,
    };

    use super::*;

    fn info(number: u32, total: u32, percentage: f64, stage: &str) -> OperationInfo {
        OperationInfo {
            operation_description: OperationDescription::Copying,
            stage_description: stage.to_owned(),
            stage: Stage { number, total },
            percentage: Percentage::new(percentage).unwrap(),
            last_error: LastError::default(),
            extra_data: empty_object(),
        }
    }

    #[test]
    fn progress_leaves_out_what_says_nothing() {
        assert_eq!(progress(&info(0, 1, -1.0, "")), "Copying");
        assert_eq!(progress(&info(0, 1, 46.4, "")), "Copying, 46 %");
        assert_eq!(
            progress(&info(1, 3, 0.0, "writing")),
            "Copying, stage 2 of 3, 0 %: writing"
        );
        assert_eq!(progress(&info(3, 3, 100.0, "")), "Copying, 100 %");
    }

    #[test]
    fn a_postponed_registration_says_what_it_waits_for() {
        let claim = Reason {
            resource: Some(Resource {
                kind: "image".to_owned(),
                id: "vm".to_owned(),
            }),
            operation: Some(ClaimOperation::Read),
            blocked_by: vec!["copy-1".to_owned(), "copy-2".to_owned()],
            more: true,
            ..Reason::of(Cause::Resource)
        };
        let busy = Reason {
            detail: Some("busy".to_owned()),
            ..Reason::of(Cause::Executor)
        };
        let postponed = Registration {
            id: "delete-1".to_owned(),
            response: Response::Postponed,
            reasons: vec![claim, busy],
            state: OperationState::Waiting,
            alert_name: "storage.Image.vm".to_owned(),
            existing: false,
            cursor: 7,
            log_id: "log".to_owned(),
        };
        assert_eq!(
            registration(&postponed),
            [
                "Registered: delete-1",
                "Postponed: it starts by itself when what it waits for is done.",
                "  Resource: image vm",
                "  Operation: read",
                "  Blocked by: copy-1, copy-2 and others",
                "  Waits for: an executor that is there and free",
                "  Detail: busy",
            ]
        );
    }

    #[test]
    fn a_name_is_escaped_to_mean_itself() {
        assert_eq!(exactly("a.b-c"), "a.b-c");
        assert_eq!(exactly("a*[x]{y,z}?\\"), r"a\*\[x\]\{y\,z\}\?\\");
    }
}
