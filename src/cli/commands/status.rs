//! `status`: how the daemon is.

use std::time::Duration;

use opstead_client::schema::SystemStatus;

use crate::cli::arguments::StatusArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Line, Output};
use crate::cli::table::facts;

pub(super) async fn run(arguments: StatusArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let status = client.status().await?;
    output.show(&status, || lines(&client.target().to_string(), &status))?;
    Ok(Exit::Done)
}

fn lines(target: &str, status: &SystemStatus) -> Vec<Line> {
    let counts = status.counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let operations = if counts.is_empty() {
        "none".to_owned()
    } else {
        counts.join(", ")
    };
    let log = format!(
        "{}, cursor {}, alerts kept after {}",
        status.log_id, status.cursor, status.oldest_cursor
    );
    // Whole seconds: nobody reads milliseconds here.
    let up = Duration::from_secs(status.uptime_ms / 1_000);
    let mut rows = vec![
        ("Daemon", format!("{target}, version {}", status.version)),
        ("Up", humantime::format_duration(up).to_string()),
        ("Log", log),
        ("Operations", operations),
    ];
    for executor in &status.executors {
        let attached = if executor.attached {
            ""
        } else {
            ", not attached"
        };
        let load = format!(
            "{}: {} of {} running{attached}",
            executor.executor, executor.running, executor.capacity
        );
        rows.push(("Executor", load));
    }
    let rows = rows.into_iter().map(|(name, text)| (name, text.into()));
    facts(rows.collect())
}
