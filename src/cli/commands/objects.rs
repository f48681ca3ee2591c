//! `objects`: the objects there are, and how they stand.

use opstead_client::schema::ObjectInfo;
use opstead_client::schema::params::ObjectsListParams;

use crate::cli::arguments::ObjectsArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Line, Output, Style};
use crate::cli::pages;
use crate::cli::table::{Cell, Column, table};
use crate::cli::words;

const COLUMNS: [Column; 3] = [
    Column::name("NAME"),
    Column::text("HOW IT STANDS"),
    Column::time("UPDATED"),
];

pub(super) async fn run(arguments: ObjectsArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let filter = arguments.filter.filter();
    let params = ObjectsListParams {
        filter: filter.pattern,
        filter_type: filter.filter_type,
        ..ObjectsListParams::default()
    };
    let limit = arguments.limit.limit;
    let listed = pages::objects(&client, params, limit).await?;
    output.show(&listed.found, || lines(&listed.found, output))?;
    listed.say_if_more(limit);
    Ok(Exit::Done)
}

fn lines(objects: &[ObjectInfo], output: Output) -> Vec<Line> {
    if objects.is_empty() {
        return vec!["There is no such object.".into()];
    }
    let row = |object: &ObjectInfo| -> Vec<Cell> {
        vec![
            object.alert_name.as_str().into(),
            standing(object),
            object.updated_at.to_string().into(),
        ]
    };
    let rows = objects.iter().map(row).collect();
    table(&COLUMNS, rows, output.columns())
}

fn standing(object: &ObjectInfo) -> Cell {
    let text = words::progress(&object.operation_info);
    let error = &object.operation_info.last_error;
    match error.code {
        0 => text.into(),
        code => Cell::styled(Style::Bad, format!("{text}; {} ({code})", error.message)),
    }
}
