//! Which daemon is meant, and how to get to it.

use opstead_client::{Client, ClientConfig, Target, Token};

use super::arguments::DaemonArguments;
use super::error::CliError;

/// The daemon's Unix socket in its data folder.
pub(super) const SOCKET: &str = "opstead.sock";

/// The token's file in the data folder.
const TOKEN: &str = "admin.token";

/// Connects to the daemon that the arguments mean.
pub(super) async fn connect(arguments: &DaemonArguments) -> Result<Client, CliError> {
    let config = ClientConfig {
        token: token(arguments),
        ..ClientConfig::default()
    };
    Ok(Client::connect(target(arguments), config).await?)
}

fn target(arguments: &DaemonArguments) -> Target {
    match &arguments.connect {
        Some(target) => target.clone(),
        None => Target::Unix(arguments.data().join(SOCKET)),
    }
}

/// The command line comes before the environment. A data folder that only the environment names is
/// not looked into: its daemon need not be the one that is asked.
fn token(arguments: &DaemonArguments) -> Token {
    if let Some(file) = &arguments.token_file {
        return Token::File(file.clone());
    }
    match (target(arguments), arguments.named_data()) {
        (Target::Tcp { .. }, Some(data)) => Token::File(data.join(TOKEN)),
        _ => Token::Environment,
    }
}
