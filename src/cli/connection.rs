//! Which daemon is meant, and how to get to it.

use opstead_client::{Client, ClientConfig, Target, Token};

use super::arguments::DaemonArguments;
use super::error::CliError;

/// The daemon's Unix socket in its data folder.
pub(super) const SOCKET: &str = "opstead.sock";

/// Connects to the daemon that the arguments mean.
pub(super) async fn connect(arguments: &DaemonArguments) -> Result<Client, CliError> {
    let token = match &arguments.token_file {
        Some(path) => Token::File(path.clone()),
        None => Token::Environment,
    };
    let config = ClientConfig {
        token,
        ..ClientConfig::default()
    };
    Ok(Client::connect(target(arguments), config).await?)
}

fn target(arguments: &DaemonArguments) -> Target {
    match &arguments.connect {
        Some(target) => target.clone(),
        None => Target::Unix(arguments.data.join(SOCKET)),
    }
}
