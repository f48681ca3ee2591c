//! `methods`: what the subsystems offer, and how one method is called.

use std::collections::BTreeSet;

use opstead_client::Client;
use opstead_client::schema::{
    ExecutorInfo, InterruptPolicy, MethodDeclaration, MethodKind, method,
};
use serde::Serialize;

use crate::cli::arguments::MethodsArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::help;
use crate::cli::output::{Line, Output};
use crate::cli::schema::{Argument, Arguments};
use crate::cli::similar;
use crate::cli::table::{Cell, Column, facts, table};
use crate::cli::words;

const COLUMNS: [Column; 5] = [
    Column::name("NAME"),
    Column::whole("VERSION"),
    Column::whole("KIND"),
    Column::text("EXECUTOR"),
    Column::text("SUMMARY"),
];

/// A method, and who is there to carry it out.
#[derive(Serialize)]
struct Method {
    declaration: MethodDeclaration,
    executors: Vec<String>,
}

pub(super) async fn run(arguments: MethodsArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let mut methods = methods(&client).await?;
    let names: Vec<String> = methods
        .iter()
        .map(|one| one.declaration.name.clone())
        .collect();
    let pattern = arguments.filter.pattern();
    let is_this = |method: &Method| method.declaration.name == pattern;
    if methods.iter().any(is_this) {
        methods.retain(is_this);
        let newest = methods.iter().map(|one| one.declaration.version).max();
        let whole = |method| whole(method, newest);
        output.show(&methods, || methods.iter().flat_map(whole).collect())?;
        return Ok(Exit::Done);
    }
    if !arguments.filter.is_everything() {
        let names = methods.iter().map(|method| method.declaration.name.clone());
        let matches = client.test_filter(arguments.filter.filter(), Some(names.collect()));
        let matches: BTreeSet<String> = matches.await?.into_iter().collect();
        methods.retain(|method| matches.contains(&method.declaration.name));
    }
    // A filter that is a name means one method.
    if methods.is_empty() && words::exactly(pattern) == pattern {
        return Err(unknown(pattern, &names));
    }
    output.show(&methods, || list(&methods, output))?;
    Ok(Exit::Done)
}

/// Says where it is, or what may have been meant.
fn unknown(name: &str, names: &[String]) -> CliError {
    if let Some(own) = method(name) {
        let parameters = help::parameters(own);
        let hint = match own.needs_web_socket {
            true => "it is not for the command line".to_owned(),
            false => format!("opstead call {name}{parameters}; opstead call --help tells them all"),
        };
        let message = format!("{name} is one of the daemon's own methods, and of no subsystem");
        return CliError::usage(message, hint);
    }
    let hint = match similar::method(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "opstead methods shows them all, opstead call --help the daemon's own".to_owned(),
    };
    CliError::usage(format!("no subsystem has the method {name}"), hint)
}

async fn methods(client: &Client) -> Result<Vec<Method>, CliError> {
    let executors = client.executors().await?;
    let method = |declaration| Method {
        executors: offering(&executors, &declaration),
        declaration,
    };
    Ok(client.methods().await?.into_iter().map(method).collect())
}

/// Who is there and offers exactly this.
fn offering(executors: &[ExecutorInfo], declaration: &MethodDeclaration) -> Vec<String> {
    let offers = |executor: &&ExecutorInfo| {
        let mut methods = executor.methods.iter();
        executor.attached
            && methods.any(|offered| {
                offered.name == declaration.name && offered.version == declaration.version
            })
    };
    let names = executors.iter().filter(offers);
    names.map(|executor| executor.executor.clone()).collect()
}

fn list(methods: &[Method], output: Output) -> Vec<Line> {
    if methods.is_empty() {
        return vec!["There is no such method.".into()];
    }
    let row = |method: &Method| -> Vec<Cell> {
        let declaration = &method.declaration;
        let executors = match method.executors.is_empty() {
            true => "none".to_owned(),
            false => method.executors.join(", "),
        };
        vec![
            declaration.name.as_str().into(),
            declaration.version.to_string().into(),
            declaration.kind.as_str().into(),
            executors.into(),
            declaration.summary.as_str().into(),
        ]
    };
    let rows = methods.iter().map(row).collect();
    table(&COLUMNS, rows, output.columns())
}

/// All that is to be known to call it; a version must be named unless it is the newest.
fn whole(method: &Method, newest: Option<u32>) -> Vec<Line> {
    let declaration = &method.declaration;
    let schema = declaration.kwargs_schema.as_deref();
    let arguments = Arguments::of(schema);
    let mut lines = facts(record(method));
    lines.extend(told(&arguments));
    lines.push("Example:".into());
    let mut example = arguments.example(&declaration.name);
    if Some(declaration.version) != newest && declaration.kind == MethodKind::Operation {
        example += &format!(" --version {}", declaration.version);
    }
    lines.push(format!("  {example}").into());
    lines
}

fn record(method: &Method) -> Vec<(&'static str, Cell)> {
    let declaration = &method.declaration;
    let is_query = declaration.kind == MethodKind::Query;
    let name = format!("{}, version {}", declaration.name, declaration.version);
    let kind = match is_query {
        true => "query: answered at once",
        false => "operation: registered, then carried out on its own",
    };
    let executor = match (method.executors.is_empty(), is_query) {
        (false, _) => method.executors.join(", "),
        (true, true) => "none is there; it cannot be answered now".to_owned(),
        (true, false) => "none is there; an operation waits until one is".to_owned(),
    };
    let mut facts = vec![
        ("Method", name.into()),
        ("Summary", declaration.summary.as_str().into()),
        ("Kind", kind.into()),
        ("Executor", executor.into()),
        ("Secrets", declaration.secrets.join(", ").into()),
    ];
    if is_query {
        return facts;
    }
    let subsystem = declaration.name.split('.').next().unwrap_or_default();
    let object = declaration.object.as_ref();
    let object = object.map(|object| format!("{subsystem}.{object}"));
    let cancel = match declaration.cancelable {
        true => "also while it runs",
        false => "only until it runs",
    };
    let revert = match declaration.revertible {
        true => "yes, as a step of a flow that fails",
        false => "no; as a step of a flow that fails it stays as it is",
    };
    let interrupted = match declaration.on_interrupt {
        InterruptPolicy::Retry => "it is tried again",
        InterruptPolicy::Fail => "it fails",
    };
    facts.extend([
        ("Object", object.unwrap_or_default().into()),
        ("Claims", words::claims(&declaration.claims).into()),
        ("Can be canceled", cancel.into()),
        ("Can be reverted", revert.into()),
        ("When interrupted", interrupted.into()),
    ]);
    facts
}

fn told(arguments: &Arguments) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    lines.push(match arguments.named.is_empty() {
        true => "Arguments: none are named".into(),
        false => "Arguments:".into(),
    });
    let widest = arguments.named.iter().map(|named| named.name.len()).max();
    let widest = widest.unwrap_or_default();
    for argument in &arguments.named {
        lines.push(format!("  {:widest$}  {}", argument.name, meaning(argument)).into());
        let limits = argument.limits().into_iter();
        lines.extend(limits.map(|limit| Line::from(format!("  {:widest$}    {limit}", ""))));
    }
    if arguments.others {
        lines.push("  Others are taken as they are.".into());
    }
    lines
}

/// `string, required: the image to copy`
fn meaning(argument: &Argument) -> String {
    let mut meaning = argument.kind();
    if argument.required {
        meaning += ", required";
    }
    if !argument.description().is_empty() {
        meaning += ": ";
        meaning += argument.description();
    }
    meaning
}
