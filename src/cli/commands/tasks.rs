//! `tasks`: the operations that are not done.

use std::collections::{BTreeMap, BTreeSet};

use opstead_client::schema::params::{OperationsListParams, PAGE_SIZE_MOST};
use opstead_client::schema::{Operation, OperationState, TaskInfo};
use opstead_client::{Client, Error};

use crate::cli::arguments::TasksArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::table::table;
use crate::cli::words;

/// How many pages of operations are read to say how far each task is; beyond, a person reads no
/// further.
const PAGES_MOST: usize = 5;

pub(super) async fn run(arguments: TasksArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let tasks = client.get_running_tasks(arguments.filter.filter()).await?;
    let operations = match output.is_json() {
        true => BTreeMap::new(),
        false => open_operations(&client, &tasks).await?,
    };
    output.show(&tasks, || lines(&tasks, &operations))?;
    Ok(Exit::Done)
}

/// The records of the tasks, as far as they are found within some pages.
async fn open_operations(
    client: &Client,
    tasks: &[TaskInfo],
) -> Result<BTreeMap<String, Operation>, Error> {
    let mut missing: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    let open = OperationState::ALL
        .iter()
        .copied()
        .filter(|state| !state.has_ended());
    let mut params = OperationsListParams {
        states: Some(open.collect()),
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
    Ok(found)
}

fn lines(tasks: &[TaskInfo], operations: &BTreeMap<String, Operation>) -> Vec<String> {
    if tasks.is_empty() {
        return vec!["Nothing is outstanding.".to_owned()];
    }
    let row = |task: &TaskInfo| {
        let operation = operations.get(&task.id);
        let state = operation.map(|found| found.state.to_string());
        let progress = operation.map(|found| words::progress(&found.operation_info));
        vec![
            task.id.clone(),
            task.method_name.clone(),
            state.unwrap_or_default(),
            progress.unwrap_or_default(),
            task.kwargs.get().to_owned(),
        ]
    };
    let rows: Vec<_> = tasks.iter().map(row).collect();
    table(&["ID", "METHOD", "STATE", "PROGRESS", "ARGUMENTS"], &rows)
}
