//! What is asked from the daemon that the line is for, within a short time; nothing if there is
//! none.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Command, Parser};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use opstead_client::schema::params::{
    AlertsReadParams, ObjectsListParams, OperationsListParams, PAGE_SIZE_MOST,
};
use opstead_client::schema::{METHODS, OperationState};
use opstead_client::{Client, Error, Filter};
use tokio::time::timeout;

use super::line::Line;
use crate::cli::arguments::{Arguments, ClientCommand, Command as Asked};
use crate::cli::connection::connect;
use crate::cli::pages::open_states;
use crate::cli::schema;
use crate::cli::words::exactly;

/// How long somebody may be kept waiting who types.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many of the latest alerts are looked at for the operations they are of.
const RECENT_ALERTS: u64 = 1_000;
/// What fits every argument, so that a line can be read that is not finished.
const ANYTHING: &str = "x:x";

/// What an argument can be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A method of a subsystem.
    Method,
    /// Those, and the daemon's own.
    AnyMethod,
    /// An argument of the method on the line.
    Kwarg,
    Subsystem,
    /// An operation that is not done.
    OpenId,
    /// Those, and who was heard of lately.
    Id,
    /// An operation whose revert has failed.
    RevertFailed,
    AlertName,
    Resource,
}

const ARGUMENTS: &[(&str, &str, Kind)] = &[
    ("call", "method", Kind::AnyMethod),
    ("call", "values", Kind::Kwarg),
    ("call", "after", Kind::Id),
    ("call", "after_any", Kind::Id),
    ("flow", "after", Kind::Id),
    ("flow", "after_any", Kind::Id),
    ("retry", "id", Kind::RevertFailed),
    ("skip", "id", Kind::RevertFailed),
    ("tasks", "filter", Kind::OpenId),
    ("tasks", "resource", Kind::Resource),
    ("list", "filter", Kind::AlertName),
    ("list", "method", Kind::Method),
    ("list", "parent", Kind::Id),
    ("list", "resource", Kind::Resource),
    ("list", "subsystem", Kind::Subsystem),
    ("show", "id", Kind::Id),
    ("cancel", "id", Kind::OpenId),
    ("watch", "filter", Kind::AlertName),
    ("wait", "filter", Kind::AlertName),
    ("objects", "filter", Kind::AlertName),
    ("methods", "filter", Kind::Method),
];

/// The command line with what its arguments can be. Options are offered only to who begins one, or
/// where there is nothing else.
pub(super) fn with_names(mut command: Command, line: &Line) -> Command {
    let line = Arc::new(line.clone());
    for &(name, argument, kind) in ARGUMENTS {
        let line = Arc::clone(&line);
        let completer = move |current: &OsStr| {
            let current = current.to_str().unwrap_or_default();
            candidates(kind, &line, current).unwrap_or_default()
        };
        let completer = ArgValueCompleter::new(completer);
        command = command.mut_subcommand(name, |command| {
            command.mut_arg(argument, |argument| argument.add(completer))
        });
    }
    // The options of every command are there only now.
    command.build();
    match line.current().starts_with('-') {
        true => command,
        false => without_options(command).mut_subcommands(without_options),
    }
}

fn without_options(command: Command) -> Command {
    command.mut_args(|argument| match argument.is_positional() {
        true => argument,
        false => argument.hide(true),
    })
}

fn candidates(kind: Kind, line: &Line, current: &str) -> Option<Vec<CompletionCandidate>> {
    let words = line.completed_with(ANYTHING);
    let Asked::Client(asked) = Arguments::try_parse_from(words).ok()?.command else {
        return None;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let found = runtime.block_on(async {
        let names = async {
            let client = connect(asked.daemon()?).await.ok()?;
            names(kind, &client, &asked, current).await.ok()
        };
        timeout(PATIENCE, names).await.ok()?
    });
    // A name server that does not answer either would be waited for.
    runtime.shutdown_background();
    let candidate = |(name, help): (String, String)| {
        CompletionCandidate::new(name).help((!help.is_empty()).then(|| help.into()))
    };
    let mut found = found?;
    found.retain(|(name, _)| name.starts_with(current));
    Some(found.into_iter().map(candidate).collect())
}

/// Names and what they are, perhaps more than begin so.
async fn names(
    kind: Kind,
    client: &Client,
    asked: &ClientCommand,
    begins: &str,
) -> Result<Vec<(String, String)>, Error> {
    match kind {
        Kind::Method => methods(client).await,
        Kind::AnyMethod => {
            let own = METHODS.iter().filter(|method| !method.needs_web_socket);
            let own = own.map(|method| (method.name.to_owned(), method.summary.to_owned()));
            Ok(methods(client).await?.into_iter().chain(own).collect())
        }
        Kind::Kwarg => kwargs(client, asked).await,
        Kind::Subsystem => {
            let methods = methods(client).await?.into_iter();
            let names = methods.filter_map(|(name, _)| Some(name.split_once('.')?.0.to_owned()));
            Ok(without_help(names.collect::<BTreeSet<_>>()))
        }
        Kind::OpenId => open_ids(client, begins).await,
        Kind::Id => {
            let mut ids = open_ids(client, begins).await?;
            let known: BTreeSet<String> = ids.iter().map(|(id, _)| id.clone()).collect();
            let recent = recent_ids(client).await?.into_iter();
            ids.extend(recent.filter(|(id, _)| !known.contains(id)));
            Ok(ids)
        }
        Kind::RevertFailed => revert_failed_ids(client).await,
        Kind::AlertName => alert_names(client, begins).await,
        Kind::Resource => resources(client).await,
    }
}

fn without_help(names: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    names
        .into_iter()
        .map(|name| (name, String::new()))
        .collect()
}

async fn methods(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let methods = client.methods().await?.into_iter();
    Ok(methods
        .map(|method| (method.name, method.summary))
        .collect())
}

/// The arguments of the method that is on the line, as `name=`.
async fn kwargs(client: &Client, asked: &ClientCommand) -> Result<Vec<(String, String)>, Error> {
    let ClientCommand::Call(call) = asked else {
        return Ok(Vec::new());
    };
    let mut methods = client.methods().await?;
    methods.retain(|method| method.name == call.method);
    let Some(method) = methods.into_iter().max_by_key(|method| method.version) else {
        return Ok(Vec::new());
    };
    let given = |name: &str| {
        let mut given = call.values.iter().filter_map(|value| value.split_once('='));
        given.any(|(key, _)| key.trim_end_matches(':') == name)
    };
    let arguments = schema::Arguments::of(method.kwargs_schema.as_deref());
    let missing = arguments
        .named
        .into_iter()
        .filter(|named| !given(&named.name));
    let name = |argument: schema::Argument| {
        let help = argument.description().to_owned();
        (format!("{}=", argument.name), help)
    };
    Ok(missing.map(name).collect())
}

async fn open_ids(client: &Client, begins: &str) -> Result<Vec<(String, String)>, Error> {
    let filter = Filter::glob(exactly(begins) + "*");
    let tasks = client.get_running_tasks(filter).await?.into_iter();
    Ok(tasks.map(|task| (task.id, task.method_name)).collect())
}

async fn revert_failed_ids(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let params = OperationsListParams {
        states: Some(vec![OperationState::RevertFailed]),
        page_size: PAGE_SIZE_MOST,
        ..OperationsListParams::default()
    };
    let found = client.list_operations(&params).await?.operations;
    let found = found.into_iter();
    Ok(found.map(|one| (one.id, one.method_name)).collect())
}

/// The operations that the latest alerts are of, the latest first.
async fn recent_ids(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let status = client.status().await?;
    let params = AlertsReadParams {
        after: status
            .cursor
            .saturating_sub(RECENT_ALERTS)
            .max(status.oldest_cursor),
        ..AlertsReadParams::default()
    };
    let mut seen = BTreeSet::new();
    let mut ids = Vec::new();
    for alert in client.read_alerts(&params).await?.alerts.into_iter().rev() {
        if let Some(id) = alert.operation_id
            && seen.insert(id.clone())
        {
            ids.push((id, alert.method_name.unwrap_or_default()));
        }
    }
    Ok(ids)
}

/// As filters, which is what they are asked for.
async fn alert_names(client: &Client, begins: &str) -> Result<Vec<(String, String)>, Error> {
    let params = ObjectsListParams {
        filter: exactly(begins) + "*",
        page_size: PAGE_SIZE_MOST,
        ..ObjectsListParams::default()
    };
    let objects = client.list_objects(&params).await?.objects.into_iter();
    Ok(without_help(
        objects.map(|object| exactly(&object.alert_name)),
    ))
}

/// What is claimed now.
async fn resources(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let params = OperationsListParams {
        states: Some(open_states()),
        page_size: PAGE_SIZE_MOST,
        ..OperationsListParams::default()
    };
    let operations = client
        .list_operations(&params)
        .await?
        .operations
        .into_iter();
    let claims = operations.flat_map(|operation| operation.claims);
    let names = claims.map(|claim| format!("{}:{}", claim.kind, claim.id));
    Ok(without_help(names.collect::<BTreeSet<_>>()))
}
