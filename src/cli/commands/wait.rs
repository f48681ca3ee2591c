//! `wait`: the first alert from now on.

use opstead_client::SubscribeOptions;
use opstead_client::schema::Alert;
use tokio::time::timeout;

use super::watch::line;
use crate::cli::arguments::WaitArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::interrupt::until_interrupted;
use crate::cli::output::Output;

pub(super) async fn run(arguments: WaitArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let Some(alert) = until_interrupted(first(arguments)).await? else {
        let hint = "opstead tasks shows what goes on".to_owned();
        return Err(CliError::Interrupted { hint });
    };
    output.show(&alert, || vec![line(&alert)])?;
    Ok(Exit::Done)
}

async fn first(arguments: WaitArguments) -> Result<Alert, CliError> {
    let client = connect(&arguments.daemon).await?;
    let options = SubscribeOptions::new(arguments.filter());
    let within = arguments.timeout;
    let mut subscription = client.subscribe(options).await?;
    // A connection that is lost meanwhile loses no event: the subscription resumes.
    let alert = timeout(within, subscription.next()).await;
    match alert {
        Ok(alert) => Ok(alert?),
        Err(_) if client.is_connected() => Err(CliError::NoEvent { within }),
        Err(_) => Err(CliError::Away { within }),
    }
}
