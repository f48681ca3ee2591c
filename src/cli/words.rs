//! Wire types in words for a person.

use opstead_client::schema::{
    Cause, Claim, OperationInfo, OperationState, Reason, Registration, Response, Timestamp,
};

use super::output::Style;
use super::progress::bar;
use super::table::Cell;

/// The cells of a bar in a record.
const CELLS: usize = 20;

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

/// Whose claim it is comes first: the resource and the operation are the other one's.
fn reason(reason: &Reason) -> Vec<String> {
    let mut lines = Vec::new();
    let is_claim = reason.resource.is_some() || reason.operation.is_some();
    let others = if reason.more { " and others" } else { "" };
    let names = reason.blocked_by.join(", ");
    match (is_claim, names.is_empty()) {
        (true, true) => lines.push("  Blocked by a claim:".to_owned()),
        (true, false) if reason.blocked_by.len() == 1 && !reason.more => {
            lines.push(format!("  Blocked by: {names}, whose claim is"));
        }
        (true, false) => lines.push(format!("  Blocked by: {names}{others}, whose claims are")),
        (false, _) => lines.push(format!("  Waits for: {}", cause(reason.cause))),
    }
    if let Some(resource) = &reason.resource {
        lines.push(format!("    Resource: {} {}", resource.kind, resource.id));
    }
    if let Some(operation) = reason.operation {
        lines.push(format!("    Operation: {operation}"));
    }
    if !is_claim && !names.is_empty() {
        lines.push(format!("    Blocked by: {names}{others}"));
    }
    if let Some(detail) = &reason.detail {
        lines.push(format!("    Detail: {detail}"));
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

/// How far an operation is, as bars: its stages, and within them the one in progress.
pub(super) fn bars(info: &OperationInfo) -> Vec<(&'static str, Cell)> {
    let mut bars = Vec::new();
    let stage = info.stage;
    if stage.total > 1 {
        let done = 100.0 * f64::from(stage.number) / f64::from(stage.total);
        let text = format!(
            "{} {} of {}",
            bar(Some(done), CELLS),
            stage.number,
            stage.total
        );
        bars.push(("  Stages done", text.into()));
    }
    if let Some(percentage) = info.percentage.known() {
        let name = if stage.total > 1 && !stage.is_last() {
            "    This stage"
        } else {
            "  Done"
        };
        let text = format!("{} {percentage:.0} %", bar(Some(percentage), CELLS));
        bars.push((name, text.into()));
    }
    bars
}

/// A state, as it looks in a table or record.
pub(super) fn state(state: OperationState) -> Cell {
    Cell::styled(style(state), state.as_str())
}

pub(super) const fn style(state: OperationState) -> Style {
    match state {
        OperationState::Failed | OperationState::RevertFailed => Style::Bad,
        OperationState::Running | OperationState::Completed => Style::Good,
        OperationState::Scheduled | OperationState::Waiting => Style::Waiting,
        _ => Style::Plain,
    }
}

/// When an operation started, for a table.
pub(super) fn started(time: Option<Timestamp>) -> Cell {
    time.map_or_else(|| "Unstarted".into(), |time| time.to_string().into())
}

/// When an operation ended, for a table.
pub(super) fn finished(time: Option<Timestamp>) -> Cell {
    time.map_or_else(|| "Incomplete".into(), |time| time.to_string().into())
}

/// Claims, each with what is done to the resource.
pub(super) fn claims(claims: &[Claim]) -> String {
    let claim = |claim: &Claim| format!("{} {} ({})", claim.kind, claim.id, claim.operation);
    claims.iter().map(claim).collect::<Vec<_>>().join(", ")
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
    use crate::cli::table::facts;

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
                "  Blocked by: copy-1, copy-2 and others, whose claims are",
                "    Resource: image vm",
                "    Operation: read",
                "  Waits for: an executor that is there and free",
                "    Detail: busy",
            ]
        );
    }

    #[test]
    fn stages_are_shown_with_the_one_in_progress_within() {
        let shown = |info: &OperationInfo| {
            let lines = facts(bars(info)).into_iter();
            lines.map(|line| line.text()).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&info(2, 5, 50.0, "")),
            [
                "  Stages done   [########------------] 2 of 5",
                "    This stage  [##########----------] 50 %"
            ]
        );
        assert_eq!(
            shown(&info(0, 1, 25.0, "")),
            ["  Done  [#####---------------] 25 %"]
        );
        assert_eq!(
            shown(&info(3, 3, 100.0, "")),
            [
                "  Stages done  [####################] 3 of 3",
                "  Done         [####################] 100 %"
            ]
        );
        assert!(shown(&info(0, 1, -1.0, "")).is_empty());
    }

    #[test]
    fn a_name_is_escaped_to_mean_itself() {
        assert_eq!(exactly("a.b-c"), "a.b-c");
        assert_eq!(exactly("a*[x]{y,z}?\\"), r"a\*\[x\]\{y\,z\}\?\\");
    }
}
