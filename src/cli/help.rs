//! The help that comes from tables: exit codes, and the daemon's own methods.

use std::fmt::Write;

use clap::{CommandFactory, FromArgMatches};
use opstead_client::schema::{METHODS, Method};

use super::arguments::{Arguments, Command};
use super::exit::EXITS;

const ENVIRONMENT: &str = "\
Environment:
  OPSTEAD_CONNECT     as --connect
  OPSTEAD_DATA        as --data
  OPSTEAD_TOKEN_FILE  as --token-file
  OPSTEAD_TOKEN       the token itself";

const CALL_EXAMPLES: &str = "\
Examples:
  opstead call storage.createImage image=a sizeBytes=1048576 --wait
  opstead call storage.copyImage source=a target=b --id copy-1
  opstead call operations.list states:='[\"waiting\"]' --json
  opstead call methods.list";

/// Reads the command line, or ends the program with help or with what is wrong.
pub(super) fn parse() -> Command {
    let matches = command().get_matches();
    match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments.command,
        Err(error) => error.exit(),
    }
}

/// The command line with its help.
fn command() -> clap::Command {
    Arguments::command()
        .after_help(format!("{ENVIRONMENT}\n\n{}", exit_codes()))
        .mut_subcommands(|command| match command.get_name() {
            "call" => command.after_help(format!(
                "{CALL_EXAMPLES}\n\n{}\n{}",
                own_methods(),
                exit_codes()
            )),
            "serve" | "demo" => command,
            _ => command.after_help(exit_codes()),
        })
}

fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for (exit, meaning) in EXITS {
        let _infallible = writeln!(text, "  {:>3}  {meaning}", *exit as u8);
    }
    text
}

/// The methods that can be called: what pushes has a command of its own.
fn own_methods() -> String {
    let mut text =
        "The daemon's own methods (those of its subsystems: opstead call methods.list):\n"
            .to_owned();
    for method in METHODS.iter().filter(|method| !method.needs_web_socket) {
        let _infallible = writeln!(
            text,
            "  {}{}\n      {}",
            method.name,
            parameters(method),
            method.summary
        );
    }
    text
}

fn parameters(method: &Method) -> String {
    method
        .params
        .iter()
        .map(|param| match param.required {
            true => format!(" {}=…", param.name),
            false => format!(" [{}]", param.name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_every_exit_code_and_every_method() {
        let help = command().render_long_help().to_string();
        for (exit, meaning) in EXITS {
            assert!(
                help.contains(&format!("{}  {meaning}", *exit as u8)),
                "{help}"
            );
        }
        let call = command()
            .find_subcommand_mut("call")
            .unwrap()
            .render_help()
            .to_string();
        for method in METHODS {
            let told = call.contains(&format!("\n  {}", method.name));
            assert_eq!(told, !method.needs_web_socket, "{}", method.name);
        }
    }
}
