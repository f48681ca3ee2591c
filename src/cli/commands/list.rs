//! `list`: operations as they were registered.

use opstead_client::schema::Operation;
use opstead_client::schema::params::OperationsListParams;

use crate::cli::arguments::ListArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Line, Output};
use crate::cli::pages::{self, Listed, open_states};
use crate::cli::table::{Cell, Column, table};
use crate::cli::words;

const COLUMNS: [Column; 6] = [
    Column::name("METHOD"),
    Column::name("NAME"),
    Column::whole("STATE"),
    Column::time("START"),
    Column::time("FINISH"),
    Column::id("ID"),
];

pub(super) async fn run(arguments: ListArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let limit = arguments.limit.limit;
    let listed = pages::operations(&client, params(arguments), limit).await?;
    output.show(&listed.found, || lines(&listed, output))?;
    listed.say_if_more(limit);
    Ok(Exit::Done)
}

fn params(arguments: ListArguments) -> OperationsListParams {
    let filter = arguments.filter.filter();
    // Who names states means these, ended or not.
    let states = match (arguments.all, arguments.states.is_empty()) {
        (_, false) => Some(arguments.states),
        (true, true) => None,
        (false, true) => Some(open_states()),
    };
    OperationsListParams {
        filter: filter.pattern,
        filter_type: filter.filter_type,
        states,
        subsystem: arguments.subsystem,
        method_name: arguments.method,
        resource: arguments.resource,
        parent: arguments.parent,
        tags: (!arguments.tags.is_empty()).then_some(arguments.tags),
        ..OperationsListParams::default()
    }
}

fn lines(listed: &Listed<Operation>, output: Output) -> Vec<Line> {
    if listed.found.is_empty() {
        return vec!["There is no such operation.".into()];
    }
    let row = |operation: &Operation| -> Vec<Cell> {
        vec![
            operation.method_name.as_str().into(),
            operation.alert_name.as_str().into(),
            words::state(operation.state),
            words::started(operation),
            words::finished(operation),
            operation.id.as_str().into(),
        ]
    };
    let rows = listed.found.iter().map(row).collect();
    table(&COLUMNS, rows, output.columns())
}
