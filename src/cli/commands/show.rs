//! `show`: the whole record of an operation.

use std::collections::BTreeSet;

use opstead_client::schema::{Dependency, Operation, OperationState, Timestamp};
use opstead_client::{Client, Error};

use crate::cli::arguments::ShowArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::failure;
use crate::cli::outcome;
use crate::cli::output::{Line, Output, Style};
use crate::cli::pretty::pretty;
use crate::cli::reasons;
use crate::cli::table::{Cell, facts};
use crate::cli::tree::Tree;
use crate::cli::words;

pub(super) async fn run(arguments: ShowArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    if output.is_json() {
        let operation = client.operation(arguments.id).await?;
        output.show(&operation, Vec::<Line>::new)?;
        return Ok(Exit::Done);
    }
    let tree = Tree::read(&client, &arguments.id).await?;
    let away = away(&client, [tree.root()]).await?;
    let below = tree.lines(output.columns(), None);
    let is_executor_away = is_away(tree.root(), &away);
    output.show(tree.root(), || {
        lines(tree.root(), tree.failed_step(), below, is_executor_away)
    })?;
    Ok(Exit::Done)
}

/// The executors that are away, if any of these operations is carried out now.
pub(super) async fn away(
    client: &Client,
    operations: impl IntoIterator<Item = &Operation>,
) -> Result<BTreeSet<String>, Error> {
    if !operations.into_iter().any(is_carried_out) {
        return Ok(BTreeSet::new());
    }
    let executors = client.executors().await?.into_iter();
    let away = executors.filter(|executor| !executor.attached);
    Ok(away.map(|executor| executor.executor).collect())
}

/// Whether an operation is carried out by an executor that is away.
pub(super) fn is_away(operation: &Operation, away: &BTreeSet<String>) -> bool {
    let executor = operation.executor.as_ref();
    is_carried_out(operation) && executor.is_some_and(|executor| away.contains(executor))
}

const fn is_carried_out(operation: &Operation) -> bool {
    matches!(
        operation.state,
        OperationState::Running | OperationState::Canceling
    )
}

/// A whole record, and the lines of those that it registered. By which of them it failed, and
/// whether its executor is away, the record itself does not tell.
pub(super) fn lines(
    operation: &Operation,
    failed_step: Option<&str>,
    below: Vec<Line>,
    is_executor_away: bool,
) -> Vec<Line> {
    let mut lines = facts(record(operation));
    if is_executor_away {
        let executor = operation.executor.as_deref().unwrap_or_default();
        let sentence =
            format!("Its executor {executor} is away; the attempt is kept until its lease ends.");
        lines.push(Line::default().and(Style::Waiting, sentence));
    }
    if !operation.reasons.is_empty() {
        lines.push("Postponed: it starts by itself when what it waits for is done.".into());
        lines.extend(
            reasons::lines(&operation.reasons, operation.start_at)
                .into_iter()
                .map(Line::from),
        );
    }
    if let Some(error) = &operation.error {
        let sentence = failure::sentence_of_step(failed_step, error);
        let sentence = format!("Error: {sentence}");
        lines.push(Line::default().and(Style::Bad, sentence));
        lines.extend(failure::more(error).into_iter().map(Line::from));
    }
    if !operation.non_fatal_errors.is_empty() {
        lines.push("Errors that did not end it:".into());
        let errors = failure::non_fatal(&operation.non_fatal_errors);
        lines.extend(errors.into_iter().map(Line::from));
    }
    lines.extend(outcome::ways_out(operation).into_iter().map(Line::from));
    lines.extend(below);
    // After an error the result is that error.
    if let (Some(result), None) = (&operation.result, &operation.error) {
        lines.push("Result:".into());
        let result = pretty(result.get()).into_iter();
        lines.extend(result.map(|line| format!("  {line}").into()));
    }
    lines
}

/// What fits on a line each.
fn record(operation: &Operation) -> Vec<(&'static str, Cell)> {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let method = format!("{}, version {}", operation.method_name, operation.version);
    let registered = format!("{} by {}", operation.registered_at, operation.registered_by);
    let after: Vec<String> = operation.after.iter().map(dependency).collect();
    let weight = match operation.weight {
        0 => String::new(),
        weight => weight.to_string(),
    };
    let progress = words::progress_of(operation);
    let mut facts = vec![
        ("Id", operation.id.as_str().into()),
        ("Method", method.into()),
        ("Arguments", operation.kwargs.get().into()),
        ("Alert name", operation.alert_name.as_str().into()),
        ("State", words::state(operation.state)),
        ("Progress", progress.as_str().into()),
    ];
    if !progress.is_empty() {
        let mut bars = words::bars(&operation.operation_info);
        if operation.done && operation.state != OperationState::Completed {
            // However it ended, all of its stages count as done.
            bars.retain(|(name, _)| *name != words::STAGES_DONE);
        }
        facts.extend(bars);
    }
    // The error that ended it is told whole.
    if let (None, Some(error)) = (
        &operation.error,
        words::last_error(&operation.operation_info.last_error),
    ) {
        facts.push(("Last error", Cell::styled(Style::Bad, error)));
    }
    facts.extend([
        ("Attempt", attempt(operation).into()),
        ("Claims", words::claims(&operation.claims).into()),
        ("Weight", weight.into()),
        ("Tags", operation.tags.join(", ").into()),
        ("Registered", registered.into()),
        ("Not before", time(operation.start_at).into()),
        ("Not after", time(operation.start_before).into()),
        ("After", after.join(", ").into()),
        (
            if operation.attempt > 1 {
                "First started"
            } else {
                "Started"
            },
            time(operation.started_at).into(),
        ),
        ("Finished", time(operation.finished_at).into()),
        (
            "Executor",
            operation.executor.as_deref().unwrap_or_default().into(),
        ),
        (
            "Parent",
            operation.parent.as_deref().unwrap_or_default().into(),
        ),
        ("Cursor", operation.cursor.to_string().into()),
    ]);
    facts
}

fn dependency(dependency: &Dependency) -> String {
    let states: Vec<&str> = dependency
        .states
        .iter()
        .map(|state| state.as_str())
        .collect();
    format!("{} ({})", dependency.id, states.join(" or "))
}

/// `2 of 3`; attempts that were interrupted do not count towards the most there may be.
fn attempt(operation: &Operation) -> String {
    match (operation.attempt, operation.max_attempts) {
        (0, _) => String::new(),
        (attempt, most) if attempt <= most => format!("{attempt} of {most}"),
        (attempt, most) => format!(
            "{attempt} (interrupted ones and reverts do not count; of others there may be {most})"
        ),
    }
}

#[cfg(test)]
mod tests {
    use opstead_client::schema::Percentage;

    use super::*;

    const OPERATION: &str = r#"{"id":"one","methodName":"vm.move","version":2,"kwargs":{"vm":"a"},
        "subsystem":"vm","alertName":"vm.VM.a","state":"failed","done":true,"reasons":[],
        "operationInfo":{"operationDescription":"Failed","stageDescription":"","stage":{"number":2,"total":2},
            "percentage":-1,"lastError":{"code":3001,"message":"no"}},
        "claims":[{"type":"vm","id":"a","operation":"update"}],"weight":3,"tags":[],
        "registeredAt":"2026-01-02T03:04:05.006Z","startAt":"2026-01-02T04:00:00.000Z",
        "startedAt":"2026-01-02T04:00:00.001Z","finishedAt":"2026-01-02T04:00:01.000Z",
        "attempt":2,"maxAttempts":3,"executor":"vm","error":{"code":3001,"message":"no",
            "data":{"reason":"vmGone","traceback":"File a\n  line 1"}},
        "result":{"code":3001,"message":"no"},
        "nonFatalErrors":[{"time":"2026-01-02T04:00:00.100Z","code":3002,"message":"slow"},
            {"time":"2026-01-02T04:00:00.200Z","code":3003,"message":"late","data":{"reason":"tooLate","by":7}}],
        "spawnedTasks":["child-1","child-2"],"after":[{"id":"zero","states":["completed","failed"]}],
        "registeredBy":"uid:0","cursor":9}"#;

    #[test]
    fn a_record_is_shown_whole() {
        let operation: Operation = serde_json::from_str(OPERATION).unwrap();
        let below = vec![Line::from("below")];
        let lines = lines(&operation, Some("copy"), below, false);
        let lines: Vec<String> = lines.iter().map(Line::text).collect();
        assert_eq!(
            lines.join("\n"),
            "\
Id             one
Method         vm.move, version 2
Arguments      {\"vm\":\"a\"}
Alert name     vm.VM.a
State          failed
Progress       Failed
Attempt        2 of 3
Claims         vm a (update)
Weight         3
Registered     2026-01-02T03:04:05.006Z by uid:0
Not before     2026-01-02T04:00:00.000Z
After          zero (completed or failed)
First started  2026-01-02T04:00:00.001Z
Finished       2026-01-02T04:00:01.000Z
Executor       vm
Cursor         9
Error: step copy: no (vmGone, 3001)
  Traceback:
    File a
      line 1
Errors that did not end it:
  Non-fatal error 2026-01-02T04:00:00.100Z: slow (3002)
  Non-fatal error 2026-01-02T04:00:00.200Z: late (tooLate, 3003)
    by: 7
below"
        );
    }

    /// What its executor last said of it is about its revert, or about an attempt that never was.
    #[test]
    fn of_what_was_undone_or_never_ran_no_progress_is_shown() {
        let mut operation: Operation = serde_json::from_str(OPERATION).unwrap();
        operation.operation_info.percentage = Percentage::new(100.0).unwrap();
        for (state, shown) in [
            (OperationState::Failed, true),
            (OperationState::Reverted, false),
            (OperationState::Skipped, false),
        ] {
            operation.state = state;
            let lines = facts(record(&operation));
            for name in ["Progress ", "  Done "] {
                let is_shown = lines.iter().any(|line| line.text().starts_with(name));
                assert_eq!(is_shown, shown, "{state}, {name}");
            }
        }
    }

    #[test]
    fn interrupted_attempts_do_not_count() {
        let mut operation: Operation = serde_json::from_str(OPERATION).unwrap();
        operation.max_attempts = 1;
        assert_eq!(
            attempt(&operation),
            "2 (interrupted ones and reverts do not count; of others there may be 1)"
        );
        operation.attempt = 0;
        assert_eq!(attempt(&operation), "");
    }
}
