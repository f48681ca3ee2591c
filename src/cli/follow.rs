//! An operation followed to its end, from its registration on, whatever happens to the connection
//! or the daemon meanwhile.

use std::time::Duration;

use opstead_client::schema::{AlertEvent, LastError, Operation, OperationInfo, Registration};
use opstead_client::{Client, Error, Filter, SubscribeOptions, Subscription};
use tokio::time::timeout;

use super::error::CliError;
use super::words::exactly;

/// How long without an alert before the operation itself is read.
const QUIET: Duration = Duration::from_secs(5);
/// How long the daemon may be away.
const AWAY: Duration = Duration::from_secs(60);

/// What is worth showing meanwhile.
pub(super) enum Sight<'a> {
    /// How far it is.
    Progress(&'a OperationInfo),
    /// An attempt is over, with this error or cut short, and another will follow.
    Retrying(&'a LastError),
    /// The daemon is not there.
    Away,
}

/// Follows it until nothing more will happen to it; returns its last record.
pub(super) async fn follow(
    client: &Client,
    registration: &Registration,
    mut see: impl FnMut(Sight<'_>),
) -> Result<Operation, CliError> {
    let id = &registration.id;
    let mut subscription = subscribe(client, registration).await?;
    let mut operation = read(client, id).await?;
    while !operation.done {
        see(Sight::Progress(&operation.operation_info));
        match next(&mut subscription, &operation, &mut see).await {
            Some(Ok(())) => {}
            Some(Err(Error::CursorExpired { .. })) => {}
            Some(Err(error)) => return Err(error.into()),
            None if !client.is_connected() => see(Sight::Away),
            None => {}
        }
        operation = read(client, id).await?;
    }
    see(Sight::Progress(&operation.operation_info));
    Ok(operation)
}

/// Shows progress until the operation has ended, or there was nothing for a while.
async fn next(
    subscription: &mut Subscription,
    operation: &Operation,
    see: &mut impl FnMut(Sight<'_>),
) -> Option<Result<(), Error>> {
    loop {
        let alert = match timeout(QUIET, subscription.next()).await {
            Ok(Ok(alert)) => alert,
            Ok(Err(error)) => return Some(Err(error)),
            Err(_) => return None,
        };
        if alert.operation_id.as_ref() != Some(&operation.id) {
            continue;
        }
        // The record tells only of the last attempt.
        if alert.event == AlertEvent::Retrying {
            see(Sight::Retrying(&alert.operation_info.last_error));
        }
        // What lies before the record was shown with it.
        if alert.cursor <= operation.cursor {
            continue;
        }
        if alert.state.is_some_and(|state| state.has_ended()) {
            return Some(Ok(()));
        }
        see(Sight::Progress(&alert.operation_info));
    }
}

/// From the registration on, so that nothing in between is missed.
async fn subscribe(client: &Client, registration: &Registration) -> Result<Subscription, Error> {
    let options = SubscribeOptions::new(Filter::glob(exactly(&registration.alert_name)));
    let from_registration = options
        .clone()
        .after(registration.cursor, &registration.log_id);
    match client.subscribe(from_registration).await {
        // Registered long ago: how it stands is read anyway.
        Err(Error::CursorExpired { .. }) => client.subscribe(options).await,
        other => other,
    }
}

async fn read(client: &Client, id: &str) -> Result<Operation, CliError> {
    loop {
        match client.operation(id).await {
            Err(Error::Disconnected) => match client.wait_for_reconnect(AWAY).await {
                Err(Error::TimedOut) => return Err(CliError::Gone { id: id.to_owned() }),
                other => other?,
            },
            other => return Ok(other?),
        }
    }
}
