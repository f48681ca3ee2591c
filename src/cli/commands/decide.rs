//! `retry` and `skip`: the two ways on from a revert that failed.

use opstead_client::Error;
use opstead_client::schema::{INVALID_PARAMS, Operation, OperationState};

use crate::cli::arguments::DecideArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

pub(super) async fn retry(arguments: DecideArguments) -> Result<Exit, CliError> {
    let client = connect(&arguments.daemon).await?;
    let answer = client.retry(arguments.id).await;
    show(answer, arguments.daemon.json)
}

pub(super) async fn skip(arguments: DecideArguments) -> Result<Exit, CliError> {
    let client = connect(&arguments.daemon).await?;
    let answer = client.skip(arguments.id).await;
    show(answer, arguments.daemon.json)
}

fn show(answer: Result<Operation, Error>, json: bool) -> Result<Exit, CliError> {
    let operation = match answer {
        Err(Error::Refused(refusal)) if refusal.code == INVALID_PARAMS => {
            let hint = "opstead list --state revertFailed shows what waits for it".to_owned();
            return Err(CliError::Advised { refusal, hint });
        }
        other => other?,
    };
    let id = &operation.id;
    Output::new(json).show(&operation, || {
        vec![match operation.state {
            OperationState::Reverting => format!("Reverting: {id}"),
            OperationState::Reverted => format!("Reverted: {id}"),
            state => format!("{id} is {state}"),
        }]
    })?;
    Ok(Exit::Done)
}
