//! `executors`: who carries out methods, and how busy they are.

use opstead_client::schema::{ExecutorInfo, OfferedMethod};

use crate::cli::arguments::ExecutorsArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Line, Output, Style};
use crate::cli::table::{Cell, Column, table};

const COLUMNS: [Column; 6] = [
    Column::name("NAME"),
    Column::whole("ATTACHED"),
    Column::whole("CAPACITY"),
    Column::whole("RUNNING"),
    Column::name("METHOD"),
    Column::whole("VERSION"),
];

pub(super) async fn run(arguments: ExecutorsArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let executors = client.executors().await?;
    output.show(&executors, || lines(&executors, output))?;
    Ok(Exit::Done)
}

fn lines(executors: &[ExecutorInfo], output: Output) -> Vec<Line> {
    if executors.is_empty() {
        return vec!["There is no executor.".into()];
    }
    let rows = executors.iter().flat_map(rows).collect();
    table(&COLUMNS, rows, output.columns())
}

/// The executor with its first method, and a row for each other one.
fn rows(executor: &ExecutorInfo) -> Vec<Vec<Cell>> {
    let attached = match executor.attached {
        true => Cell::styled(Style::Good, "yes"),
        false => Cell::styled(Style::Bad, "no"),
    };
    let mut row = vec![
        executor.executor.as_str().into(),
        attached,
        executor.capacity.to_string().into(),
        executor.running.to_string().into(),
    ];
    let mut methods = executor.methods.iter().map(method);
    row.extend(methods.next().into_iter().flatten());
    let further = methods.map(|method| {
        let nothing = vec![Cell::default(); COLUMNS.len() - method.len()];
        [nothing, method.to_vec()].concat()
    });
    std::iter::once(row).chain(further).collect()
}

fn method(method: &OfferedMethod) -> [Cell; 2] {
    [
        method.name.as_str().into(),
        method.version.to_string().into(),
    ]
}
