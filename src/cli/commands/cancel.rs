//! `cancel`: asks that an operation ends.

use opstead_client::schema::{ErrorCode, ErrorObject, Operation, OperationState};
use opstead_client::{Client, Error};

use crate::cli::arguments::CancelArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::schema::shell_word;
use crate::cli::tree::is_flow;

pub(super) async fn run(arguments: CancelArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let operation = match client.cancel(&arguments.id).await {
        Err(Error::Refused(refusal)) if refusal.known() == Some(ErrorCode::NotCancelable) => {
            return Err(advised(&client, &arguments.id, refusal).await?);
        }
        other => other?,
    };
    output.show(&operation, || vec![told(&operation)])?;
    Ok(Exit::Done)
}

fn told(operation: &Operation) -> String {
    let id = &operation.id;
    match operation.state {
        OperationState::Canceled => format!("Canceled: {id}"),
        OperationState::Canceling | OperationState::Reverting if is_flow(operation) => {
            format!("Canceling: {id} ends when what ran of it is reverted")
        }
        OperationState::Canceling => {
            format!("Canceling: {id} ends as soon as its executor stops")
        }
        state => format!("{id} is {state}"),
    }
}

/// What can be canceled instead, of a step; and what goes on, of a flow.
async fn advised(client: &Client, id: &str, refusal: ErrorObject) -> Result<CliError, Error> {
    let operation = client.operation(id).await?;
    if is_flow(&operation) {
        let id = shell_word(id);
        let hint = format!("it is being reverted; opstead show {id} tells how far that is");
        return Ok(CliError::Advised { refusal, hint });
    }
    if let Some(parent) = &operation.parent
        && is_flow(&client.operation(parent).await?)
    {
        let parent = shell_word(parent);
        let hint = format!("it is a step; opstead cancel {parent} cancels its whole flow");
        return Ok(CliError::Advised { refusal, hint });
    }
    Ok(Error::Refused(refusal).into())
}
