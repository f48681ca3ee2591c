//! What happens in the demo, in order, told in short lines.

use std::time::{Duration, Instant};

use opstead_client::schema::params::{AlertsReadParams, RegisterParams};
use opstead_client::schema::{Alert, Operation, OperationState, Registration, Response, to_json};
use opstead_client::{Client, ClientConfig, Error, SubscribeOptions, Subscription};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::evidence::{Evidence, Fact};
use super::folder::{COPY_BYTES_PER_SECOND, Folder, IMAGE_BYTES};
use super::witness::Witness;
use crate::cli::error::CliError;
use crate::cli::progress::bar;
use crate::cli::reasons;
use crate::cli::words;

/// What the second client watches, and what is counted.
const FILTER: &str = "storage.*";
/// How long anything that must come may take.
const SOON: Duration = Duration::from_secs(30);
/// Between two lines of progress.
const STEP_PERCENT: f64 = 20.0;
/// How far the copy is when others come in its way, and when the daemon is killed.
const CROWDED_PERCENT: f64 = 25.0;
const KILLED_PERCENT: f64 = 60.0;

/// Tells the whole story; what it comes to is the evidence.
pub(super) async fn tell(folder: &Folder) -> Result<Evidence, CliError> {
    say!(
        "Opstead demo, in a fresh folder: {}\n",
        folder.path().display()
    );
    let daemon = Daemon::start(folder).await?;
    say!("1. A daemon is started: process {}.", daemon.process_id());
    let client = Client::connect(Daemon::target(folder), ClientConfig::default()).await?;

    say!("\n2. A second client subscribes to {FILTER}; its alerts stand behind a |.");
    let mut witness = Witness::subscribe(Daemon::target(folder), FILTER).await?;

    import(&client, folder).await?;

    let copy = Copy::begin(&client).await?;
    let (mut copy, deletion) = crowd(&client, copy).await?;

    let percent = copy.until(KILLED_PERCENT).await?;
    daemon.kill()?;
    say!("\n7. kill -9, with {percent:.0} % of the copy done.");
    say!("   The daemon is gone, without a warning. It is started again.");
    let daemon = Daemon::start(folder).await?;
    say!(
        "   Process {} is ready, and both clients come back by themselves.",
        daemon.process_id()
    );
    resume(&client, copy, &deletion).await?;

    say!("\n9. What the second client was told is compared with the whole log, read from disk.");
    let log = read_log(&client).await?;
    let head = log.last().map_or(0, |fact| fact.cursor);
    let received = witness.received_up_to(head).await?;
    say!(
        "   In the log: {} alerts, up to cursor {head}.\n",
        log.len()
    );
    daemon.stop().await?;
    Ok(Evidence::of(&received, &log))
}

async fn import(client: &Client, folder: &Folder) -> Result<(), CliError> {
    say!(
        "\n3. A file of {} MiB of random bytes is imported as the image \"vm\", at {} MiB/s.",
        IMAGE_BYTES >> 20,
        COPY_BYTES_PER_SECOND >> 20
    );
    let path = folder.write_disk()?;
    let arguments = json!({"image": "vm", "path": path.to_string_lossy()});
    let registration = register(client, "storage.importImage", arguments).await?;
    let operation = client.wait_for_operation(registration.id, SOON).await?;
    completed(&operation)
}

/// The copy that the story is about, and its alerts as the first client sees them.
struct Copy {
    id: String,
    alerts: Subscription,
    shown_percent: f64,
}

impl Copy {
    async fn begin(client: &Client) -> Result<Self, CliError> {
        say!(
            "\n4. \"vm\" is copied to \"backup\". The answer comes when the copy is registered on disk:"
        );
        let options = SubscribeOptions::new("storage.Image.backup");
        let alerts = client.subscribe(options).await?;
        let arguments = json!({"source": "vm", "target": "backup"});
        let registration = register(client, "storage.copyImage", arguments).await?;
        tell_lines(&words::registration(&registration, None));
        Ok(Self {
            id: registration.id,
            alerts,
            shown_percent: -STEP_PERCENT,
        })
    }

    /// Follows it until it is so far.
    async fn until(&mut self, percent: f64) -> Result<f64, CliError> {
        loop {
            let alert = self.next().await?;
            if ended(&alert) {
                return Err(CliError::Demo(format!(
                    "the copy is {} too early",
                    alert.event
                )));
            }
            let reached = alert.operation_info.percentage.value();
            if reached >= percent {
                return Ok(reached);
            }
        }
    }

    /// The next alert of the copy; a line of progress now and then.
    async fn next(&mut self) -> Result<Alert, CliError> {
        loop {
            let alert = self.alerts.next().await?;
            if alert.operation_id.as_ref() != Some(&self.id) {
                continue;
            }
            if let Some(percent) = alert.operation_info.percentage.known() {
                let moved = percent >= self.shown_percent + STEP_PERCENT;
                // A new attempt begins anew.
                if moved || percent < self.shown_percent {
                    say!("   {} {percent:>3.0} %", bar(Some(percent), 20));
                    self.shown_percent = percent;
                }
            }
            return Ok(alert);
        }
    }
}

/// Others want the image while it is copied.
async fn crowd(client: &Client, mut copy: Copy) -> Result<(Copy, Registration), CliError> {
    copy.until(CROWDED_PERCENT).await?;
    say!("\n5. \"vm\" is to be deleted, but it is being read:");
    let deletion = register(client, "storage.deleteImage", json!({"image": "vm"})).await?;
    tell_lines(&words::registration(&deletion, None));
    if deletion.response != Response::Postponed {
        return Err(CliError::Demo("the deletion was not postponed".to_owned()));
    }

    say!("\n6. \"vm\" is to be resized, but it will be gone by then:");
    let arguments = json!({"image": "vm", "sizeBytes": 2 * IMAGE_BYTES});
    match register(client, "storage.resizeImage", arguments).await {
        Err(Error::Refused(refusal)) => {
            say!("   Rejected: it cannot be queued behind that; nothing of it is stored.");
            let conflict = refusal.details().unwrap_or_default();
            tell_lines(&reasons::lines(&conflict.reasons, None));
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(CliError::Demo("the resize was not rejected".to_owned())),
    }
    Ok((copy, deletion))
}

/// After the restart: the copy goes on, and then the deletion.
async fn resume(client: &Client, mut copy: Copy, deletion: &Registration) -> Result<(), CliError> {
    client.wait_for_reconnect(SOON).await?;
    let operation = client.operation(&copy.id).await?;
    say!(
        "\n8. The copy goes on: it is {}, attempt {}.",
        operation.state,
        operation.attempt
    );
    let since = Instant::now();
    while !ended(&copy.next().await?) {}
    let operation = client.operation(&copy.id).await?;
    completed(&operation)?;
    if operation.attempt < 2 {
        return Err(CliError::Demo("the copy was not interrupted".to_owned()));
    }
    say!(
        "   The copy is completed in attempt {}, {:.1} s after the restart.",
        operation.attempt,
        since.elapsed().as_secs_f64()
    );
    completed(&client.wait_for_operation(&deletion.id, SOON).await?)?;
    say!("   So the deletion has started by itself, and is completed too.");
    Ok(())
}

async fn register(client: &Client, method: &str, arguments: Value) -> Result<Registration, Error> {
    let kwargs = to_json(&arguments).map_err(Error::Params)?;
    client.register(&RegisterParams::new(method, kwargs)).await
}

/// The whole log as it is on disk.
async fn read_log(client: &Client) -> Result<Vec<Fact>, CliError> {
    let mut params = AlertsReadParams {
        filter: FILTER.to_owned(),
        ..AlertsReadParams::default()
    };
    let mut log = Vec::new();
    loop {
        let page = client.read_alerts(&params).await?;
        log.extend(page.alerts.iter().map(Fact::of));
        params.after = page.cursor;
        if !page.more {
            return Ok(log);
        }
    }
}

fn completed(operation: &Operation) -> Result<(), CliError> {
    if operation.state == OperationState::Completed {
        return Ok(());
    }
    let error = operation.error.as_ref().map(ToString::to_string);
    Err(CliError::Demo(format!(
        "{} is {}: {}",
        operation.id,
        operation.state,
        error.unwrap_or_default()
    )))
}

fn ended(alert: &Alert) -> bool {
    alert.state.is_some_and(OperationState::has_ended)
}

fn tell_lines(lines: &[String]) {
    for line in lines {
        say!("   {line}");
    }
}
