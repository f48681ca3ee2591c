//! The help that comes from tables: exit codes, and the daemon's own methods.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{CommandFactory, FromArgMatches};
use opstead_client::schema::{METHODS, Method};

use super::arguments::{Arguments, Command};
use super::completion;
use super::error::usage_document;
use super::exit::{EXITS, Exit};

const ENVIRONMENT: &str = "\
Environment:
  OPSTEAD_CONNECT     as --connect
  OPSTEAD_DATA        as --data, for the socket and for serve
  OPSTEAD_TOKEN       the token itself
  OPSTEAD_TOKEN_FILE  as --token-file

The token for ws:// is the first of: --token-file, admin.token in --data, OPSTEAD_TOKEN,
OPSTEAD_TOKEN_FILE.";

const CALL_EXAMPLES: &str = "\
Examples:
  opstead call storage.createImage image=a sizeBytes=1048576 --wait
  opstead call storage.copyImage source=a target=b --id copy-1
  opstead call storage.deleteImage image=a --after copy-1 --at 2026-12-01T12:00
  opstead call operations.list states:='[\"waiting\"]' --json";

/// A flow to copy from.
pub(super) const FLOW_FILE: &str = r##"A flow in TOML; JSON has the same members, as flows.register takes them:
  name = "stock"
  # Also: id, tags, startAt, startBefore (times as with --at), after = [{ id = "ID" }]

  [[steps]]
  name = "create"
  methodName = "storage.createImage"
  kwargs = { image = "base", sizeBytes = 1048576 }

  [[steps]]
  name = "copy"
  methodName = "storage.copyImage"
  kwargs = { source = "base", target = "copy" }
  # The steps that must have completed. Also: version, and when it is tried again:
  # retry = { maxAttempts = 3, initialMs = 1000, factor = 2.0, maxMs = 60000 }
  requires = ["create"]

  [[steps]]
  name = "spare"
  methodName = "storage.createImage"
  # A part of another step's result, for which this one waits
  kwargs = { image = "spare", sizeBytes = { "$result" = "copy#/sizeBytes" } }"##;

/// What `--json` prints, of each command that takes it.
const JSON: &[(&str, &str)] = &[
    (
        "call",
        "the Registration; with --wait the Operation; else the answer as it came",
    ),
    ("flow", "the Registration; with --wait the Operation"),
    ("retry", "the Operation"),
    ("skip", "the Operation"),
    (
        "tasks",
        "an array of TaskInfo; with --resource an array of Operation",
    ),
    ("list", "an array of Operation"),
    ("show", "the Operation"),
    ("cancel", "the Operation"),
    (
        "watch",
        "a line {cursor, logId} of where it begins, then a line for each Alert",
    ),
    ("wait", "the Alert"),
    ("objects", "an array of ObjectInfo"),
    (
        "methods",
        "an array of {declaration: MethodDeclaration, executors: names of those there}",
    ),
    ("executors", "an array of ExecutorInfo"),
    ("status", "the SystemStatus"),
    (
        "journal",
        "a summary; with --id the Operation; a line for each event, which is an Alert or similar",
    ),
];

/// What the filter of a command is on.
const FILTERED: &[(&str, &str)] = &[
    ("tasks", "ids"),
    ("list", "alert names"),
    ("watch", "alert names"),
    ("objects", "names"),
    ("methods", "methods, or the name of one to see it whole"),
];

const COMPLETIONS: &str = "\
To have it in every shell, add a line to its start-up file:
  bash, ~/.bashrc:                   source <(opstead completions bash)
  zsh, ~/.zshrc, after compinit:     source <(opstead completions zsh)
  fish, ~/.config/fish/config.fish:  opstead completions fish | source

Methods, ids and names are asked from the daemon that --connect or --data on the line name.";

/// Reads the command line, or ends the program with help or with what is wrong. A shell that asks
/// for completions is answered, and the program ended.
pub(super) fn parse() -> Command {
    if completion::answer(command) {
        std::process::exit(Exit::Done as i32);
    }
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(arguments) => arguments.command,
        Err(error) => {
            let wants_json = std::env::args_os().any(|argument| argument == "--json");
            // Help and version go to stdout, and are no errors.
            if error.use_stderr() && wants_json {
                let text = error.to_string();
                let message = text.lines().next().unwrap_or_default();
                let document = usage_document(message.trim_start_matches("error: "));
                // The exit code says the same, should nobody read.
                let _nobody_reads = writeln!(std::io::stdout(), "{document}");
            }
            error.exit()
        }
    }
}

/// The command line with its help.
fn command() -> clap::Command {
    Arguments::command()
        .after_help(format!("{ENVIRONMENT}\n\n{}", exit_codes()))
        .mut_subcommands(|command| {
            let filtered = FILTERED
                .iter()
                .find(|(name, _)| *name == command.get_name());
            let command = match filtered {
                Some((_, names)) => command.mut_arg("filter", |filter| {
                    filter.help(format!("Which {names}; everything if left out"))
                }),
                None => command,
            };
            let json = json(command.get_name());
            match command.get_name() {
                "call" => command.after_help(format!(
                    "{CALL_EXAMPLES}\n\n{}\n{json}{}",
                    own_methods(),
                    exit_codes()
                )),
                "flow" => command.after_help(format!("{FLOW_FILE}\n\n{json}{}", exit_codes())),
                "completions" => command.after_help(COMPLETIONS),
                "demo" => command,
                _ => command.after_help(json + &exit_codes()),
            }
        })
}

/// What the command prints with `--json`; the types are those of the OpenRPC document.
fn json(name: &str) -> String {
    let told = JSON.iter().find(|(command, _)| *command == name);
    told.map(|(_, answer)| format!("With --json:\n  {answer}\n  Types are those that opstead call rpc.discover describes.\n\n"))
        .unwrap_or_default()
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
        "The daemon's own methods (those of its subsystems: opstead methods):\n".to_owned();
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

/// As they are written in a call: ` id=…`, or ` [states]` if it can be left out.
pub(super) fn parameters(method: &Method) -> String {
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
    fn help_tells_what_each_command_prints_as_json() {
        for subcommand in command().get_subcommands() {
            let takes_json = subcommand
                .get_arguments()
                .any(|argument| argument.get_id() == "json");
            let told = subcommand.get_after_help().map(ToString::to_string);
            let tells = told.is_some_and(|help| help.contains("With --json:"));
            assert_eq!(takes_json, tells, "{}", subcommand.get_name());
        }
    }

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
