//! The commands, one file each.

mod call;
mod cancel;
mod completions;
mod decide;
mod executors;
mod flow;
pub(super) mod journal;
mod list;
mod methods;
mod objects;
mod show;
mod status;
mod tasks;
mod wait;
mod watch;

use super::arguments::ClientCommand;
use super::demo;
use super::error::CliError;
use super::exit::Exit;

/// Runs a command.
pub(super) async fn run(command: ClientCommand) -> Result<Exit, CliError> {
    match command {
        ClientCommand::Call(arguments) => Box::pin(call::run(arguments)).await,
        ClientCommand::Flow(arguments) => Box::pin(flow::run(*arguments)).await,
        ClientCommand::Retry(arguments) => decide::retry(arguments).await,
        ClientCommand::Skip(arguments) => decide::skip(arguments).await,
        ClientCommand::Tasks(arguments) => tasks::run(arguments).await,
        ClientCommand::List(arguments) => list::run(*arguments).await,
        ClientCommand::Show(arguments) => show::run(arguments).await,
        ClientCommand::Cancel(arguments) => cancel::run(arguments).await,
        ClientCommand::Watch(arguments) => watch::run(arguments).await,
        ClientCommand::Wait(arguments) => wait::run(arguments).await,
        ClientCommand::Objects(arguments) => objects::run(arguments).await,
        ClientCommand::Methods(arguments) => methods::run(arguments).await,
        ClientCommand::Executors(arguments) => executors::run(arguments).await,
        ClientCommand::Status(arguments) => status::run(arguments).await,
        ClientCommand::Completions(arguments) => completions::run(&arguments),
        ClientCommand::Demo(_) => Box::pin(demo::run()).await,
    }
}
