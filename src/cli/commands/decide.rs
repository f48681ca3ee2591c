//! `retry` and `skip`: the two ways on from a revert that failed.

use opstead_client::schema::{Operation, OperationState};

use crate::cli::arguments::DecideArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

pub(super) async fn retry(arguments: DecideArguments) -> Result<Exit, CliError> {
    let client = connect(&arguments.daemon).await?;
    let operation = client.retry(arguments.id).await?;
    show(&operation, arguments.daemon.json)
}

pub(super) async fn skip(arguments: DecideArguments) -> Result<Exit, CliError> {
    let client = connect(&arguments.daemon).await?;
    let operation = client.skip(arguments.id).await?;
    show(&operation, arguments.daemon.json)
}

fn show(operation: &Operation, json: bool) -> Result<Exit, CliError> {
    let id = &operation.id;
    Output::new(json).show(operation, || {
        vec![match operation.state {
            OperationState::Reverting => format!("Reverting: {id}"),
            OperationState::Reverted => format!("Reverted: {id}"),
            state => format!("{id} is {state}"),
        }]
    })?;
    Ok(Exit::Done)
}
