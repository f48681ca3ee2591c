//! `watch`: alerts as they come.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opstead_client::schema::{Alert, ErrorCode};
use opstead_client::{Client, Error, SubscribeOptions, Subscription};
use serde::Serialize;

use crate::cli::arguments::WatchArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::interrupt::{nobody_reads, until_interrupted};
use crate::cli::output::{Output, note, plain};
use crate::cli::words;

/// A place to go on from.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    cursor: u64,
    log_id: String,
}

/// How far it has come; nothing before it has begun.
type Progress = Arc<Mutex<Option<Place>>>;

pub(super) async fn run(arguments: WatchArguments) -> Result<Exit, CliError> {
    let progress = Progress::default();
    let watched = tokio::select! {
        watched = until_interrupted(watch(arguments, progress.clone())) => watched?,
        () = nobody_reads() => return Ok(Exit::Done),
    };
    match watched {
        Some(never) => match never {},
        None => {
            if let Some(Place { cursor, log_id }) = &*lock(&progress) {
                note(&format!("Go on with --after {cursor} --log {log_id}"));
            }
            Ok(Exit::Interrupted)
        }
    }
}

async fn watch(arguments: WatchArguments, progress: Progress) -> Result<Infallible, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let mut subscription = subscribe(&client, &arguments).await?;
    let mut place = Place {
        cursor: subscription.cursor(),
        log_id: subscription.log_id().to_owned(),
    };
    let Place { cursor, log_id } = &place;
    match output.is_json() {
        true => output.show(&place, Vec::<String>::new)?,
        false => note(&format!("Watching log {log_id} after cursor {cursor}")),
    }
    let presence = tell_presence(&client);
    tokio::pin!(presence);
    loop {
        *lock(&progress) = Some(place.clone());
        let next = tokio::select! {
            next = subscription.next() => next,
            never = &mut presence => match never {},
        };
        match next {
            Ok(alert) => {
                output.show(&alert, || vec![line(&alert)])?;
                place.cursor = alert.cursor;
            }
            // It goes on from there by itself, but that something is missing must be said.
            Err(Error::CursorExpired { oldest_cursor }) => note(&format!(
                "Alerts up to {oldest_cursor} are no longer kept and were not shown."
            )),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A subscription goes on by itself when the daemon is back, but a person may wonder.
async fn tell_presence(client: &Client) -> Infallible {
    loop {
        client.wait_for_disconnect().await;
        note("The daemon is away; waiting for it.");
        while client
            .wait_for_reconnect(Duration::from_secs(60))
            .await
            .is_err()
        {}
        note("The daemon is back.");
    }
}

async fn subscribe(client: &Client, arguments: &WatchArguments) -> Result<Subscription, CliError> {
    let options = SubscribeOptions::new(arguments.filter.filter());
    let Some(after) = arguments.after else {
        return Ok(client.subscribe(options).await?);
    };
    let given = match &arguments.log {
        Some(log) => log.clone(),
        None => client.status().await?.log_id,
    };
    match client.subscribe(options.after(after, &given)).await {
        Err(Error::Refused(refusal)) if refusal.known() == Some(ErrorCode::CursorUnknown) => {
            let present = refusal.details().and_then(|details| details.log_id);
            Err(match present {
                Some(present) if present != given => CliError::OtherLog {
                    refusal,
                    given,
                    present,
                },
                _ => Error::Refused(refusal).into(),
            })
        }
        other => Ok(other?),
    }
}

/// It is replaced as a whole.
fn lock(progress: &Progress) -> std::sync::MutexGuard<'_, Option<Place>> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One alert on a line, in columns wide enough for most.
pub(super) fn line(alert: &Alert) -> String {
    let time = alert.time.to_string();
    let text = format!(
        "{time}  {:>6}  {:12}  {:32}  {}",
        alert.cursor,
        alert.event,
        alert.alert_name,
        words::progress(&alert.operation_info)
    );
    plain(&text)
}
