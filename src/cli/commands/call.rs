//! `call`: registers an operation, asks a query, or calls one of the daemon's own methods.

use std::time::Duration;

use opstead_client::schema::params::{RegisterParams, TIMEOUT_MOST_MS};
use opstead_client::schema::{
    ErrorObject, Json, METHOD_NOT_FOUND, MethodDeclaration, MethodKind, Operation, OperationState,
    Registration, method,
};
use opstead_client::{Client, Error};

use crate::cli::arguments::CallArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::follow::{Sight, follow, interrupted};
use crate::cli::outcome;
use crate::cli::output::Output;
use crate::cli::pretty::pretty;
use crate::cli::progress::Progress;
use crate::cli::similar;
use crate::cli::values::{Schemas, Values};
use crate::cli::words;

/// How long an answer may take.
const SHORT: Duration = Duration::from_secs(30);
/// The same, of a method that waits: the longest wait, and an answer beside it.
const LONG: Duration = Duration::from_millis(TIMEOUT_MOST_MS + 30_000);

pub(super) async fn run(arguments: CallArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    if let Some(own) = method(&arguments.method) {
        if own.needs_web_socket {
            return Err(CliError::usage(
                format!("{} cannot be called from here", own.name),
                "opstead watch shows alerts as they come",
            ));
        }
        let values = Values::parse(&arguments.values, &Schemas::of_own_method(own.name))?;
        answered_at_once(&arguments)?;
        let client = connect(&arguments.daemon).await?;
        let within = if own.waits { LONG } else { SHORT };
        return ask(&client, own.name, values.into_json(), within, output).await;
    }
    let client = connect(&arguments.daemon).await?;
    let declaration = declaration(&client, &arguments).await?;
    let schemas = declaration
        .as_ref()
        .and_then(|found| found.kwargs_schema.as_deref());
    let schemas = schemas.map(Schemas::of_object).unwrap_or_default();
    let kwargs = Values::parse(&arguments.values, &schemas)?.into_json();
    if declaration.is_some_and(|found| found.kind == MethodKind::Query) {
        answered_at_once(&arguments)?;
        return ask(&client, &arguments.method, kwargs, SHORT, output).await;
    }
    register(&client, &arguments, kwargs, output).await
}

/// What the daemon knows of a method; nothing if it does not know it, which it shall say itself.
async fn declaration(
    client: &Client,
    arguments: &CallArguments,
) -> Result<Option<MethodDeclaration>, CliError> {
    let methods = client.methods().await?.into_iter();
    let is_meant = |found: &MethodDeclaration| {
        let wanted = arguments.version;
        found.name == arguments.method && wanted.is_none_or(|wanted| wanted == found.version)
    };
    Ok(methods.filter(is_meant).max_by_key(|found| found.version))
}

fn answered_at_once(arguments: &CallArguments) -> Result<(), CliError> {
    let is_plain = arguments.id.is_none()
        && arguments.tags.is_empty()
        && arguments.version.is_none()
        && !arguments.wait;
    if is_plain && !arguments.start.is_given() {
        return Ok(());
    }
    Err(CliError::usage(
        format!(
            "{} is answered at once and registers nothing by itself",
            arguments.method
        ),
        "--id, --tag, --version, --wait and what says when to start are for operations",
    ))
}

async fn ask(
    client: &Client,
    name: &str,
    params: Json,
    within: Duration,
    output: Output,
) -> Result<Exit, CliError> {
    let answer: Json = client.call_within(name, &params, within).await?;
    output.show(&answer, || pretty(answer.get()))?;
    Ok(Exit::Done)
}

async fn register(
    client: &Client,
    arguments: &CallArguments,
    kwargs: Json,
    output: Output,
) -> Result<Exit, CliError> {
    let mut params = RegisterParams::new(&arguments.method, kwargs);
    params.id.clone_from(&arguments.id);
    params.version = arguments.version;
    params.tags = (!arguments.tags.is_empty()).then(|| arguments.tags.clone());
    arguments.start.say_in(&mut params);
    let registration = match client.register(&params).await {
        Err(Error::Disconnected) => {
            return Err(CliError::Unanswered {
                has_id: arguments.id.is_some(),
            });
        }
        Err(Error::Refused(refusal)) if refusal.code == METHOD_NOT_FOUND => {
            return Err(unknown(client, &arguments.method, refusal).await?);
        }
        other => other?,
    };
    // One that was registered before has kept its own.
    let start_at = params.start_at.filter(|_| !registration.existing);
    let lines = || words::registration(&registration, start_at);
    if !arguments.wait {
        output.show(&registration, lines)?;
        return match registration.state.has_ended() && !registration.existing {
            true => ended_at_once(client, &registration.id, output).await,
            false => Ok(Exit::Done),
        };
    }
    output.say(lines())?;
    wait(client, &registration, output).await
}

/// Says what may have been meant.
async fn unknown(client: &Client, name: &str, refusal: ErrorObject) -> Result<CliError, Error> {
    let methods = client.methods().await?;
    let known = methods.iter().filter(|found| found.name == name);
    let versions: Vec<String> = known.map(|found| found.version.to_string()).collect();
    if !versions.is_empty() {
        let hint = format!("its versions are {}", versions.join(", "));
        return Ok(CliError::Advised { refusal, hint });
    }
    let names = methods.iter().map(|found| found.name.as_str());
    Ok(match similar::method(name, names) {
        Some(meant) => CliError::Advised {
            refusal,
            hint: format!("did you mean {meant}?"),
        },
        None => Error::Refused(refusal).into(),
    })
}

async fn wait(
    client: &Client,
    registration: &Registration,
    output: Output,
) -> Result<Exit, CliError> {
    let mut progress = if output.is_json() {
        Progress::silent()
    } else {
        Progress::on_stderr()
    };
    let mut was_away = false;
    let following = follow(client, registration, |sight| match sight {
        Sight::Progress(info) => {
            was_away = false;
            progress.show(info);
        }
        Sight::Retrying(error) => progress.note(&match words::last_error(error) {
            Some(error) => format!("Retrying: {error}"),
            None => "Retrying: the attempt was interrupted".to_owned(),
        }),
        Sight::Away => {
            if !was_away {
                progress.note("The daemon is away; waiting for it.");
            }
            was_away = true;
        }
    });
    let operation = tokio::select! {
        operation = following => operation?,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            drop(progress);
            return Err(interrupted(registration));
        }
    };
    drop(progress);
    output.show(&operation, || outcome::ended(&operation, None))?;
    Ok(exit(&operation))
}

/// One that will never start, because what it was to follow has not ended as it should have.
async fn ended_at_once(client: &Client, id: &str, output: Output) -> Result<Exit, CliError> {
    let operation = client.operation(id).await?;
    output.say(outcome::ended(&operation, None))?;
    Ok(exit(&operation))
}

fn exit(operation: &Operation) -> Exit {
    match operation.state {
        OperationState::Completed => Exit::Done,
        _ => Exit::Failed,
    }
}
