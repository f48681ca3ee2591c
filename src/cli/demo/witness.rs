//! The second client: a connection of its own, a subscription, and a memory of every alert that it
//! was handed. It is told neither of the kill nor of the restart.

use opstead_client::schema::{Alert, AlertEvent};
use opstead_client::{Client, ClientConfig, Error, SubscribeOptions, Subscription, Target};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::evidence::Fact;
use crate::cli::error::CliError;
use crate::cli::words;

/// A subscriber at work in the background.
pub(super) struct Witness {
    received: watch::Receiver<Vec<Fact>>,
    work: JoinHandle<Error>,
}

impl Witness {
    /// Subscribes from the log's beginning on; live when it returns.
    pub(super) async fn subscribe(target: Target, filter: &str) -> Result<Self, CliError> {
        let client = Client::connect(target, ClientConfig::default()).await?;
        let log_id = client.status().await?.log_id;
        let options = SubscribeOptions::new(filter).after(0, log_id);
        let subscription = client.subscribe(options).await?;
        let (remember, received) = watch::channel(Vec::new());
        let work = tokio::spawn(listen(subscription, remember));
        Ok(Self { received, work })
    }

    /// What it received, once it has come to this place in the log.
    pub(super) async fn received_up_to(&mut self, cursor: u64) -> Result<Vec<Fact>, CliError> {
        let arrived = self
            .received
            .wait_for(|facts| facts.iter().any(|fact| fact.cursor >= cursor));
        if let Ok(facts) = arrived.await {
            return Ok(facts.clone());
        }
        let ended = (&mut self.work).await;
        let because = ended.map_or_else(|error| error.to_string(), |error| error.to_string());
        Err(CliError::Demo(format!(
            "the second client's subscription ended: {because}"
        )))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Remembers all; prints all but progress, which it only counts.
async fn listen(mut subscription: Subscription, remember: watch::Sender<Vec<Fact>>) -> Error {
    let mut progress = 0;
    loop {
        let alert = match subscription.next().await {
            Ok(alert) => alert,
            Err(error) => return error,
        };
        if alert.event == AlertEvent::Progress {
            progress += 1;
        } else {
            say!("{}", line(&alert, std::mem::take(&mut progress)));
        }
        remember.send_modify(|facts| facts.push(Fact::of(&alert)));
    }
}

fn line(alert: &Alert, progress: u32) -> String {
    let before = match progress {
        0 => String::new(),
        1 => "  (after 1 alert of progress)".to_owned(),
        many => format!("  (after {many} alerts of progress)"),
    };
    format!(
        "      | alert {:>3}  {:24}  {:10}  {}{before}",
        alert.cursor,
        alert.alert_name,
        alert.event,
        words::progress(&alert.operation_info)
    )
}
