//! `watch`: alerts as they come.

use opstead_client::schema::Alert;
use opstead_client::{Error, SubscribeOptions};

use crate::cli::arguments::WatchArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::cli::words;

pub(super) async fn run(arguments: WatchArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let client = connect(&arguments.daemon).await?;
    let mut options = SubscribeOptions::new(arguments.filter.filter());
    if let Some(after) = arguments.after {
        options = options.after(after, client.status().await?.log_id);
    }
    let mut subscription = client.subscribe(options).await?;
    loop {
        match subscription.next().await {
            Ok(alert) => output.show(&alert, || vec![line(&alert)])?,
            // It goes on from there by itself, but that something is missing must be said.
            Err(Error::CursorExpired { oldest_cursor }) => {
                eprintln!("Alerts up to {oldest_cursor} are no longer kept and were not shown.");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// One alert on a line, in columns wide enough for most.
pub(super) fn line(alert: &Alert) -> String {
    let time = alert.time.to_string();
    let text = format!(
        "{time}  {:>6}  {:10}  {:32}  {}",
        alert.cursor,
        alert.event,
        alert.alert_name,
        words::progress(&alert.operation_info)
    );
    plain(&text)
}
