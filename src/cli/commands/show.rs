//! `show`: the whole record of an operation.

use opstead_client::schema::{Operation, Timestamp};

use crate::cli::arguments::ShowArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::cli::pretty::pretty;
use crate::cli::table::facts;
use crate::cli::words;

pub(super) async fn run(arguments: ShowArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let operation = client.operation(arguments.id).await?;
    output.show(&operation, || lines(&operation))?;
    Ok(Exit::Done)
}

pub(super) fn lines(operation: &Operation) -> Vec<String> {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let claims: Vec<String> = operation
        .claims
        .iter()
        .map(|claim| format!("{} {} ({})", claim.kind, claim.id, claim.operation))
        .collect();
    let error = operation.error.as_ref().map(ToString::to_string);
    let mut lines = facts(&[
        ("Id", operation.id.clone()),
        (
            "Method",
            format!("{}, version {}", operation.method_name, operation.version),
        ),
        ("Arguments", operation.kwargs.get().to_owned()),
        ("Alert name", operation.alert_name.clone()),
        ("State", state(operation)),
        ("Progress", words::progress(&operation.operation_info)),
        ("Claims", claims.join(", ")),
        ("Tags", operation.tags.join(", ")),
        (
            "Registered",
            format!("{} by {}", operation.registered_at, operation.registered_by),
        ),
        ("Started", time(operation.started_at)),
        ("Finished", time(operation.finished_at)),
        ("Executor", operation.executor.clone().unwrap_or_default()),
        ("Parent", operation.parent.clone().unwrap_or_default()),
        ("Children", operation.spawned_tasks.join(", ")),
        ("Cursor", operation.cursor.to_string()),
        ("Error", error.unwrap_or_default()),
    ]);
    if !operation.reasons.is_empty() {
        lines.push("Postponed: it starts by itself when what it waits for is done.".to_owned());
        lines.extend(words::reasons(&operation.reasons));
    }
    lines.extend(words::non_fatal_errors(&operation.non_fatal_errors));
    // After an error the result is that error.
    if let (Some(result), None) = (&operation.result, &operation.error) {
        lines.push("Result".to_owned());
        lines.extend(
            pretty(result.get())
                .into_iter()
                .map(|line| format!("  {line}")),
        );
    }
    lines.iter().map(|line| plain(line)).collect()
}

fn state(operation: &Operation) -> String {
    match operation.attempt {
        0 | 1 => operation.state.to_string(),
        attempt => format!("{}, attempt {attempt}", operation.state),
    }
}
