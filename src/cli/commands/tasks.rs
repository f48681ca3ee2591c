//! `tasks`: the operations that are not done; of one resource in the order in which they will run.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use opstead_client::schema::params::{OperationsListParams, PAGE_SIZE_MOST};
use opstead_client::schema::{Claim, Operation, OperationState, Resource, TaskInfo};
use opstead_client::{Client, Error};

use super::show;
use crate::cli::arguments::TasksArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::failure;
use crate::cli::output::{Line, Output};
use crate::cli::pages::{self, open_states};
use crate::cli::reasons;
use crate::cli::table::{Cell, Column, table};
use crate::cli::words;

const COLUMNS: [Column; 5] = [
    Column::id("ID"),
    Column::name("METHOD"),
    Column::whole("STATE"),
    Column::text("PROGRESS"),
    Column::text("ARGUMENTS"),
];

const COLUMNS_OF_RESOURCE: [Column; 6] = [
    Column::text("OPERATION"),
    Column::text("RESOURCE"),
    Column::whole("STATE"),
    Column::time("START"),
    Column::time("FINISH"),
    Column::id("ID"),
];

/// How many pages of operations are read to say how far each task is; beyond, a person reads no
/// further.
const PAGES_MOST: usize = 5;
/// How many operations are looked through for those that have no claim yet, or for a flow's steps.
const LOOKED_THROUGH_MOST: NonZeroUsize = NonZeroUsize::new(5_000).unwrap();

pub(super) async fn run(arguments: TasksArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    if let Some(resource) = &arguments.resource {
        on_resource(&client, &arguments, resource, output).await?;
        return Ok(Exit::Done);
    }
    let tasks = client.get_running_tasks(arguments.filter.filter()).await?;
    let operations = match output.is_json() {
        true => BTreeMap::new(),
        false => open_operations(&client, &tasks).await?,
    };
    let away = show::away(&client, operations.values()).await?;
    let progress = |found: &Operation| match show::is_away(found, &away) {
        true => "Its executor is away".to_owned(),
        false => progress(found),
    };
    output.show(&tasks, || lines(&tasks, &operations, progress, output))?;
    Ok(Exit::Done)
}

/// The records of the tasks, as far as they are found within some pages.
async fn open_operations(
    client: &Client,
    tasks: &[TaskInfo],
) -> Result<BTreeMap<String, Operation>, Error> {
    let mut missing: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    let mut params = OperationsListParams {
        states: Some(open_states()),
        page_size: PAGE_SIZE_MOST,
        ..OperationsListParams::default()
    };
    let mut found = BTreeMap::new();
    for _ in 0..PAGES_MOST {
        if missing.is_empty() {
            break;
        }
        let page = client.list_operations(&params).await?;
        for operation in page.operations {
            if missing.remove(operation.id.as_str()) {
                found.insert(operation.id.clone(), operation);
            }
        }
        params.page_token = page.next_page_token;
        if params.page_token.is_none() {
            break;
        }
    }
    steps(client, &mut missing, &mut found).await?;
    Ok(found)
}

/// Steps that have ended, but not their flow.
async fn steps(
    client: &Client,
    missing: &mut BTreeSet<&str>,
    found: &mut BTreeMap<String, Operation>,
) -> Result<(), Error> {
    let is_missing = |operation: &&Operation| {
        let mut steps = operation.spawned_tasks.iter();
        steps.any(|id| missing.contains(id.as_str()))
    };
    let flows = found.values().filter(is_missing);
    let flows: Vec<String> = flows.map(|flow| flow.id.clone()).collect();
    for flow in flows.into_iter().take(PAGES_MOST) {
        let params = OperationsListParams {
            parent: Some(flow),
            ..OperationsListParams::default()
        };
        let steps = pages::operations(client, params, LOOKED_THROUGH_MOST).await?;
        for step in steps.found {
            if missing.remove(step.id.as_str()) {
                found.insert(step.id.clone(), step);
            }
        }
    }
    Ok(())
}

fn lines(
    tasks: &[TaskInfo],
    operations: &BTreeMap<String, Operation>,
    progress: impl Fn(&Operation) -> String,
    output: Output,
) -> Vec<Line> {
    if tasks.is_empty() {
        return vec!["Nothing is outstanding.".into()];
    }
    let row = |task: &TaskInfo| -> Vec<Cell> {
        let operation = operations.get(&task.id);
        let state = operation.map(|found| words::state(found.state));
        let progress = operation.map(&progress);
        vec![
            task.id.as_str().into(),
            task.method_name.as_str().into(),
            state.unwrap_or_default(),
            progress.unwrap_or_default().into(),
            task.kwargs.get().into(),
        ]
    };
    let rows = tasks.iter().map(row).collect();
    table(&COLUMNS, rows, output.columns())
}

/// How far an operation is, or what it waits for.
fn progress(operation: &Operation) -> String {
    match operation.reasons.is_empty() {
        true => failure::of_reverted(operation).unwrap_or_else(|| words::progress_of(operation)),
        false => reasons::brief(&operation.reasons, operation.start_at),
    }
}

/// What is outstanding on a resource, in the daemon's order, and after that what will be.
async fn on_resource(
    client: &Client,
    arguments: &TasksArguments,
    resource: &Resource,
    output: Output,
) -> Result<(), CliError> {
    let params = OperationsListParams {
        states: Some(open_states()),
        resource: Some(resource.clone()),
        ..OperationsListParams::default()
    };
    // Read first: one whose time comes meanwhile is then found in both, and not in neither.
    let placeless = will_claim(client, resource).await?;
    let mut listed = pages::operations(client, params, arguments.limit).await?;
    let known: BTreeSet<String> = listed.found.iter().map(|found| found.id.clone()).collect();
    let placeless = placeless.into_iter();
    let placeless = placeless.filter(|operation| !known.contains(&operation.id));
    listed.found.extend(placeless);
    listed.more |= listed.found.len() > arguments.limit.get();
    listed.found.truncate(arguments.limit.get());
    // The filter is for ids, as it is without a resource; the daemon's own is for alert names.
    if !arguments.filter.is_everything() {
        let ids = listed.found.iter().map(|found| found.id.clone()).collect();
        let matches = client.test_filter(arguments.filter.filter(), Some(ids));
        let matches: BTreeSet<String> = matches.await?.into_iter().collect();
        listed.found.retain(|found| matches.contains(&found.id));
    }
    output.show(&listed.found, || {
        lines_of_resource(resource, &listed.found, output)
    })?;
    listed.say_if_more(arguments.limit);
    Ok(())
}

/// Those that name the resource and are not running, as far as they are found within some pages:
/// before the start time of an operation, and of those that it follows, it has no claim yet.
async fn will_claim(client: &Client, resource: &Resource) -> Result<Vec<Operation>, Error> {
    let params = OperationsListParams {
        states: Some(vec![OperationState::Scheduled, OperationState::Waiting]),
        ..OperationsListParams::default()
    };
    let mut found = pages::operations(client, params, LOOKED_THROUGH_MOST)
        .await?
        .found;
    found.retain(|operation| {
        let mut claims = operation.claims.iter();
        claims.any(|claim| claim.kind == resource.kind && claim.id == resource.id)
    });
    Ok(found)
}

fn lines_of_resource(resource: &Resource, operations: &[Operation], output: Output) -> Vec<Line> {
    if operations.is_empty() {
        let Resource { kind, id } = resource;
        return vec![format!("Nothing is outstanding on {kind} {id}.").into()];
    }
    let row = |operation: &Operation| -> Vec<Cell> {
        let mut claims: Vec<&Claim> = operation.claims.iter().collect();
        // First the one that was asked about; sorting keeps the others in their order.
        claims.sort_by_key(|claim| claim.kind != resource.kind || claim.id != resource.id);
        let each = |words: fn(&Claim) -> String| {
            let words: Vec<String> = claims.iter().map(|claim| words(claim)).collect();
            Cell::from(words.join(", "))
        };
        vec![
            each(|claim| claim.operation.to_string()),
            each(|claim| format!("{} {}", claim.kind, claim.id)),
            words::state(operation.state),
            words::started(operation),
            words::finished(operation),
            operation.id.as_str().into(),
        ]
    };
    let rows = operations.iter().map(row).collect();
    table(&COLUMNS_OF_RESOURCE, rows, output.columns())
}
