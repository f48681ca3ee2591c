//! An operation followed to its end, from its registration on, whatever happens to the connection
//! or the daemon meanwhile; of a flow, its steps too.

use std::time::Duration;

use opstead_client::schema::{AlertEvent, LastError, Operation, OperationInfo, Registration};
use opstead_client::{Client, Error, Filter, SubscribeOptions, Subscription};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::CliError;
use super::schema::shell_word;
use super::tree::Tree;
use super::words::exactly;

/// How long without an alert before the operation itself is read; no tree is read again sooner,
/// whatever comes.
const QUIET: Duration = Duration::from_secs(5);
/// A tree is read again no sooner than so many times as long as reading it took.
const SELDOM: u32 = 20;
/// How long the daemon may be away.
const AWAY: Duration = Duration::from_secs(60);

/// What is worth showing meanwhile.
pub(super) enum Sight<'a, T> {
    /// How far it is.
    Progress(&'a T),
    /// An attempt is over, with this error or cut short, and another will follow.
    Retrying(&'a LastError),
    /// The daemon is not there.
    Away,
}

/// Follows it until nothing more will happen to it; returns its last record.
pub(super) async fn follow(
    client: &Client,
    registration: &Registration,
    mut see: impl FnMut(Sight<'_, OperationInfo>),
) -> Result<Operation, CliError> {
    let id = &registration.id;
    let filter = Filter::glob(exactly(&registration.alert_name));
    let (cursor, log) = (registration.cursor, &registration.log_id);
    let mut subscription = subscribe(client, cursor, log, filter).await?;
    let read = async || client.operation(id).await;
    let mut operation = patiently(client, id, &read).await?;
    while !operation.done {
        see(Sight::Progress(&operation.operation_info));
        match next(&mut subscription, &operation, &mut see).await {
            Some(Ok(())) => {}
            Some(Err(Error::CursorExpired { .. })) => {}
            Some(Err(error)) => return Err(error.into()),
            None if !client.is_connected() => see(Sight::Away),
            None => {}
        }
        operation = patiently(client, id, &read).await?;
    }
    see(Sight::Progress(&operation.operation_info));
    Ok(operation)
}

/// Follows a flow until nothing more happens by itself; returns how it and its steps stand then.
pub(super) async fn follow_tree(
    client: &Client,
    registration: &Registration,
    mut see: impl FnMut(Sight<'_, Tree>),
) -> Result<Tree, CliError> {
    let id = &registration.id;
    let read = async || {
        let began = Instant::now();
        let tree = Tree::read(client, id).await?;
        Ok((tree, Instant::now() + pause(began.elapsed())))
    };
    let (mut tree, mut due) = patiently(client, id, &read).await?;
    let mut filter = tree.filter();
    let (cursor, log) = (registration.cursor, &registration.log_id);
    let mut subscription = subscribe(client, cursor, log, filter.clone()).await?;
    while !tree.is_settled() {
        see(Sight::Progress(&tree));
        match next_of_tree(&mut subscription, &mut tree, due, &mut see).await {
            Some(Ok(())) => {}
            Some(Err(Error::CursorExpired { .. })) => {}
            Some(Err(error)) => return Err(error.into()),
            None if !client.is_connected() => see(Sight::Away),
            None if Instant::now() < due => continue,
            None => {}
        }
        (tree, due) = patiently(client, id, &read).await?;
        if !tree.is_settled() && tree.filter() != filter {
            filter = tree.filter();
            // The first one was read first: what is behind it may not be in the others' records.
            let cursor = tree.root().cursor;
            let grown = async || subscribe(client, cursor, log, filter.clone()).await;
            subscription = patiently(client, id, &grown).await?;
        }
    }
    see(Sight::Progress(&tree));
    Ok(tree)
}

/// What is said to whoever does not wait any longer.
pub(super) fn interrupted(registration: &Registration) -> CliError {
    let id = &registration.id;
    let word = shell_word(id);
    let filter = shell_word(&exactly(&registration.alert_name));
    CliError::Interrupted {
        hint: format!(
            "{id} goes on: opstead show {word}, opstead cancel {word}, opstead watch {filter}"
        ),
    }
}

/// Shows progress until the operation has ended, or there was nothing for a while.
async fn next(
    subscription: &mut Subscription,
    operation: &Operation,
    see: &mut impl FnMut(Sight<'_, OperationInfo>),
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

/// How long until a tree that took so long to read is read again, for there may be new ones in it.
fn pause(took: Duration) -> Duration {
    QUIET.max(took * SELDOM)
}

/// Keeps the tree up and shows it until it is settled or due to be read; none if there was nothing
/// for a while. What has come together is shown together.
async fn next_of_tree(
    subscription: &mut Subscription,
    tree: &mut Tree,
    due: Instant,
    see: &mut impl FnMut(Sight<'_, Tree>),
) -> Option<Result<(), Error>> {
    let mut is_shown = true;
    loop {
        let patience = match is_shown {
            true => due.min(Instant::now() + QUIET),
            false => Instant::now(),
        };
        match timeout_at(patience, subscription.next()).await {
            Ok(Ok(alert)) => is_shown &= !tree.hear(&alert),
            Ok(Err(error)) => return Some(Err(error)),
            Err(_) if is_shown => return None,
            Err(_) => {
                see(Sight::Progress(tree));
                is_shown = true;
            }
        }
        if tree.is_settled() || tree.root().state.has_ended() || due <= Instant::now() {
            return Some(Ok(()));
        }
    }
}

/// From this place on, so that nothing in between is missed.
async fn subscribe(
    client: &Client,
    cursor: u64,
    log_id: &str,
    filter: Filter,
) -> Result<Subscription, Error> {
    let options = SubscribeOptions::new(filter);
    match client
        .subscribe(options.clone().after(cursor, log_id))
        .await
    {
        // Long ago: how it stands is read anyway.
        Err(Error::CursorExpired { .. }) => client.subscribe(options).await,
        other => other,
    }
}

/// Asks until there is a daemon that answers.
async fn patiently<T>(
    client: &Client,
    id: &str,
    ask: &impl AsyncFn() -> Result<T, Error>,
) -> Result<T, CliError> {
    loop {
        match ask().await {
            Err(Error::Disconnected) => match client.wait_for_reconnect(AWAY).await {
                Err(Error::TimedOut) => return Err(CliError::Gone { id: id.to_owned() }),
                other => other?,
            },
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_slowly_is_read_seldom() {
        for (took_ms, pause_ms) in [(0, 5_000), (2, 5_000), (250, 5_000), (600, 12_000)] {
            let took = Duration::from_millis(took_ms);
            assert_eq!(pause(took), Duration::from_millis(pause_ms), "{took_ms}");
        }
    }
}
