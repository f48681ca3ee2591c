//! `cancel`: asks that an operation ends.

use opstead_client::schema::OperationState;

use crate::cli::arguments::CancelArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

pub(super) async fn run(arguments: CancelArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let operation = client.cancel(arguments.id).await?;
    output.show(&operation, || {
        let id = &operation.id;
        vec![match operation.state {
            OperationState::Canceled => format!("Canceled: {id}"),
            OperationState::Canceling => {
                format!("Canceling: {id} ends as soon as its executor stops")
            }
            state => format!("{id} is {state}"),
        }]
    })?;
    Ok(Exit::Done)
}
