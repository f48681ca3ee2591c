//! Wire types in words for a person.

use opstead_client::schema::{
    Claim, LastError, Operation, OperationInfo, OperationState, Registration, Response, Timestamp,
};

use super::output::Style;
use super::progress::bar;
use super::reasons;
use super::table::{Cell, cut_end};

/// As much as is told of a longer name.
const NAME_WIDTH: usize = 60;
/// No name is longer, of 200 characters and what is around it.
const WORD_BYTES: usize = 1_000;
/// The cells of a bar in a record.
pub(super) const CELLS: usize = 20;

/// What became of a request; the start time where it is known.
pub(super) fn registration(
    registration: &Registration,
    start_at: Option<Timestamp>,
) -> Vec<String> {
    let id = &registration.id;
    if registration.state.has_ended() {
        let line = match registration.existing {
            true => format!("Registered before: {id} is {}.", registration.state),
            false => format!("Registered: {id}"),
        };
        return vec![line];
    }
    let before = if registration.existing { " before" } else { "" };
    match registration.response {
        Response::Accepted => vec![format!("Registered{before}: {id}")],
        Response::Postponed => {
            let mut lines = vec![
                format!("Registered{before}: {id}"),
                "Postponed: it starts by itself when what it waits for is done.".to_owned(),
            ];
            lines.extend(reasons::lines(&registration.reasons, start_at));
            lines
        }
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

/// The error that something reports of itself, if it does: `the disk is full (3001)`.
pub(super) fn last_error(error: &LastError) -> Option<String> {
    (error.code != 0).then(|| format!("{} ({})", error.message, error.code))
}

/// A name as far as it helps to find it.
pub(super) fn brief(name: &str) -> String {
    cut_end(name, NAME_WIDTH)
}

/// A message of the daemon's in which words that are too long for any name are cut.
pub(super) fn with_brief_words(message: &str) -> String {
    let word = |word: &str| match word.len() > WORD_BYTES {
        true => brief(word),
        false => word.to_owned(),
    };
    let words = message.split(' ').map(word);
    words.collect::<Vec<_>>().join(" ")
}

/// How far an operation is; nothing of one that was undone, or that never ran.
pub(super) fn progress_of(operation: &Operation) -> String {
    match operation.state {
        OperationState::Reverted | OperationState::Skipped => String::new(),
        _ => progress(&operation.operation_info),
    }
}

/// The name of the bar of the stages.
pub(super) const STAGES_DONE: &str = "  Stages done";

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
        bars.push((STAGES_DONE, text.into()));
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

/// When an operation started or will, for a table.
pub(super) fn started(operation: &Operation) -> Cell {
    match (operation.started_at, operation.start_at, operation.state) {
        (Some(time), ..) => time.to_string().into(),
        (None, Some(time), OperationState::Scheduled) => format!("Not before {time}").into(),
        (None, ..) if operation.state.has_ended() => "Never".into(),
        (None, ..) => "Unstarted".into(),
    }
}

/// When an operation ended, for a table.
pub(super) fn finished(operation: &Operation) -> Cell {
    match operation.finished_at {
        Some(time) => time.to_string().into(),
        None => "Incomplete".into(),
    }
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
        Cause, OperationDescription, Percentage, Reason, Stage, empty_object,
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
        let postponed = Registration {
            id: "delete-1".to_owned(),
            response: Response::Postponed,
            reasons: vec![Reason::of(Cause::Version), Reason::of(Cause::StartTime)],
            state: OperationState::Waiting,
            alert_name: "storage.Image.vm".to_owned(),
            existing: false,
            cursor: 7,
            log_id: "log".to_owned(),
        };
        assert_eq!(
            registration(&postponed, Some(Timestamp::from_unix_ms(1))),
            [
                "Registered: delete-1",
                "Postponed: it starts by itself when what it waits for is done.",
                "  Waits for: an executor with its version of the method; only others are offered",
                "  Waits for: its start time, 1970-01-01T00:00:00.001Z",
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
