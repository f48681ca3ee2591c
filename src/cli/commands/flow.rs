//! `flow`: registers what a file says, and follows it with its steps.

use opstead_client::schema::{ErrorObject, OperationState, Registration};
use opstead_client::{Client, Error};

use crate::cli::arguments::FlowArguments;
use crate::cli::connection::connect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flow_file::FlowFile;
use crate::cli::follow::{Sight, follow_tree, interrupted};
use crate::cli::outcome;
use crate::cli::output::{Line, Output};
use crate::cli::tree::{LiveTree, Tree};
use crate::cli::words;

pub(super) async fn run(arguments: FlowArguments) -> Result<Exit, CliError> {
    let output = Output::new(arguments.daemon.json);
    let file = FlowFile::read(&arguments.file, arguments.format)?;
    let params = arguments.completed(file.request()?);
    let client = connect(&arguments.daemon).await?;
    let registration = match client.register_flow(&params).await {
        Err(Error::Disconnected) => {
            return Err(CliError::Unanswered {
                has_id: params.id.is_some(),
            });
        }
        Err(Error::Refused(refusal)) => {
            let option_of = |pointer: &str| arguments.option_of(&params, pointer);
            return Err(refused(&client, &file, option_of, refusal).await?);
        }
        other => other?,
    };
    // One that was registered before has kept its own.
    let start_at = params.start_at.filter(|_| !registration.existing);
    let lines = || words::registration(&registration, start_at);
    if !arguments.wait {
        output.show(&registration, lines)?;
        return Ok(Exit::Done);
    }
    output.say(lines())?;
    wait(&client, &registration, output).await
}

/// What the daemon says of a member, is told where that stands: in the file, or as an option.
async fn refused(
    client: &Client,
    file: &FlowFile,
    option_of: impl Fn(&str) -> Option<&'static str>,
    refusal: ErrorObject,
) -> Result<CliError, CliError> {
    let all = refusal.details().unwrap_or_default().faults;
    if all.is_empty() {
        return Ok(Error::Refused(refusal).into());
    }
    let (mut options, mut faults) = (Vec::new(), Vec::new());
    for fault in all {
        match option_of(&fault.pointer) {
            Some(option) => options.push(format!("{option}: {}", fault.message)),
            None => faults.push(fault),
        }
    }
    let methods = client.methods().await?.into_iter();
    let methods: Vec<String> = methods.map(|method| method.name).collect();
    Ok(CliError::FileRefused {
        options,
        faults: file.placed(&faults, &methods),
        name: file.name().to_owned(),
        refusal,
    })
}

async fn wait(
    client: &Client,
    registration: &Registration,
    output: Output,
) -> Result<Exit, CliError> {
    let mut live = match output.is_json() {
        true => LiveTree::silent(),
        false => LiveTree::on_stderr(),
    };
    let mut was_away = false;
    let following = follow_tree(client, registration, |sight| match sight {
        Sight::Progress(tree) => {
            was_away = false;
            live.show(tree);
        }
        // The tree shows it.
        Sight::Retrying(_) => {}
        Sight::Away => {
            if !was_away {
                live.note("The daemon is away; waiting for it.");
            }
            was_away = true;
        }
    });
    let tree = tokio::select! {
        tree = following => tree?,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            drop(live);
            return Err(interrupted(registration));
        }
    };
    drop(live);
    let flow = tree.root();
    output.show(flow, || ended(&tree, output))?;
    Ok(match flow.state {
        OperationState::Completed => Exit::Done,
        _ => Exit::Failed,
    })
}

fn ended(tree: &Tree, output: Output) -> Vec<Line> {
    let mut lines = tree.lines(output.columns(), None);
    lines.extend(outcome::ended(tree.root(), tree.failed_step()));
    lines
}
