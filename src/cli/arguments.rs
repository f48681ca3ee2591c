//! The command line: commands and their arguments. What they do is in `commands`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use opstead_client::schema::params::FilterType;
use opstead_client::{Filter, Target};

/// The data folder, for the daemon and for who looks for its socket.
const DATA: &str = "opstead-data";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "opstead",
    version,
    about = "A durable operations daemon: register long operations, follow them, miss no alert",
    subcommand_required = true
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What the program is asked to be: the daemon, or one of its clients.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until it is told to end (SIGTERM or Ctrl-C)
    Serve(ServeArguments),
    /// Run a program as its guard; for the daemon itself
    #[command(name = "exec-guard", hide = true)]
    ExecGuard(ExecGuardArguments),
    /// Ask a daemon.
    #[command(flatten)]
    Client(ClientCommand),
}

/// What a daemon is asked.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Call a method: register an operation, ask a query, or call one of the daemon's own methods
    #[command(name = "call")]
    Call(CallArguments),
    /// List the operations that are not done
    #[command(name = "tasks")]
    Tasks(TasksArguments),
    /// Show the whole record of an operation
    #[command(name = "show")]
    Show(ShowArguments),
    /// Cancel an operation
    #[command(name = "cancel")]
    Cancel(CancelArguments),
    /// Print alerts as they come, until Ctrl-C
    #[command(name = "watch")]
    Watch(WatchArguments),
    /// Wait for the first alert from now on, and print it
    #[command(name = "wait")]
    Wait(WaitArguments),
    /// Show how the daemon is
    #[command(name = "status")]
    Status(StatusArguments),
    /// Show what Opstead does, in a quarter of a minute, with a daemon of its own
    #[command(name = "demo")]
    Demo(DemoArguments),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The folder that everything is kept in; made if it is missing
    #[arg(long, value_name = "DIR", env = "OPSTEAD_DATA", hide_env_values = true, default_value = DATA)]
    pub data: PathBuf,
    /// Where to listen for TCP; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6770")]
    pub listen: SocketAddr,
    /// The configuration, in TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `exec-guard`.
#[derive(Debug, Args)]
pub struct ExecGuardArguments {
    /// How long the program has after SIGTERM before it is killed
    pub kill_after_ms: u64,
    /// The program, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<OsString>,
}

/// Which daemon is meant, and how its answers are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which daemon, and how it is shown")]
pub(super) struct DaemonArguments {
    /// Where the daemon is: ws://HOST:PORT or unix:PATH. Left out, it is the socket in the data
    /// folder
    #[arg(
        long,
        value_name = "URL",
        env = "OPSTEAD_CONNECT",
        hide_env_values = true
    )]
    pub(super) connect: Option<Target>,
    /// The daemon's data folder, in which its socket is; not looked at with --connect
    #[arg(long, value_name = "DIR", env = "OPSTEAD_DATA", hide_env_values = true, default_value = DATA)]
    pub(super) data: PathBuf,
    /// The file that the token is in, admin.token of the data folder; needed for ws://
    #[arg(
        long,
        value_name = "FILE",
        env = "OPSTEAD_TOKEN_FILE",
        hide_env_values = true
    )]
    pub(super) token_file: Option<PathBuf>,
    /// Print JSON: one document, or one line for each item of a stream
    #[arg(long)]
    pub(super) json: bool,
}

/// Which names are meant.
#[derive(Debug, Args)]
pub(super) struct FilterArguments {
    /// Which names; everything if left out
    #[arg(default_value = "*")]
    filter: String,
    #[command(flatten)]
    kind: FilterKindArguments,
}

/// How a filter is written.
#[derive(Debug, Args)]
pub(super) struct FilterKindArguments {
    /// How the filter is written: glob (*, ?, [ab], {a,b}) or regexp (anchored at both ends)
    #[arg(long = "type", value_name = "TYPE", default_value = "glob", value_parser = filter_type)]
    filter_type: FilterType,
}

/// Arguments of `call`.
#[derive(Debug, Args)]
pub struct CallArguments {
    /// The method, like storage.copyImage
    pub(super) method: String,
    /// Its arguments. The method's schema says of which type a value is; where it does not, a value
    /// that is JSON is taken as JSON, anything else as a string. KEY:=JSON is always JSON
    #[arg(value_name = "KEY=VALUE")]
    pub(super) values: Vec<String>,
    /// An id of your own: the same call with the same id registers once
    #[arg(long)]
    pub(super) id: Option<String>,
    /// A word of your own to find the operation by; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(super) tags: Vec<String>,
    /// Follow the operation to its end; Ctrl-C leaves it running
    #[arg(long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `tasks`.
#[derive(Debug, Args)]
pub struct TasksArguments {
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The operation's id
    pub(super) id: String,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArguments {
    /// The operation's id
    pub(super) id: String,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArguments {
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    /// Begin with the alerts after this place in the log; 0 is its beginning
    #[arg(long, value_name = "CURSOR")]
    pub(super) after: Option<u64>,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub struct WaitArguments {
    /// Which alert names
    filter: String,
    #[command(flatten)]
    kind: FilterKindArguments,
    /// How long to wait, like 10s or 2min
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `demo`: none.
#[derive(Debug, Args)]
pub struct DemoArguments {}

impl ClientCommand {
    /// Whether the answer is wanted as JSON.
    pub(super) const fn json(&self) -> bool {
        match self {
            Self::Call(arguments) => arguments.daemon.json,
            Self::Tasks(arguments) => arguments.daemon.json,
            Self::Show(arguments) => arguments.daemon.json,
            Self::Cancel(arguments) => arguments.daemon.json,
            Self::Watch(arguments) => arguments.daemon.json,
            Self::Wait(arguments) => arguments.daemon.json,
            Self::Status(arguments) => arguments.daemon.json,
            Self::Demo(_) => false,
        }
    }
}

impl FilterArguments {
    pub(super) fn filter(&self) -> Filter {
        self.kind.filter(&self.filter)
    }
}

impl WaitArguments {
    pub(super) fn filter(&self) -> Filter {
        self.kind.filter(&self.filter)
    }
}

impl FilterKindArguments {
    fn filter(&self, pattern: &str) -> Filter {
        match self.filter_type {
            FilterType::Glob => Filter::glob(pattern),
            FilterType::Regexp => Filter::regexp(pattern),
        }
    }
}

fn filter_type(text: &str) -> Result<FilterType, String> {
    match text {
        "glob" => Ok(FilterType::Glob),
        "regexp" | "regex" => Ok(FilterType::Regexp),
        _ => Err("expected glob or regexp".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_filter_is_a_glob_unless_told() {
        let filter_of = |words: &[&str]| {
            let arguments = Arguments::try_parse_from(words).unwrap();
            let Command::Client(ClientCommand::Watch(watch)) = arguments.command else {
                panic!("no watch: {arguments:?}");
            };
            watch.filter.filter()
        };
        assert_eq!(filter_of(&["opstead", "watch"]), Filter::glob("*"));
        assert_eq!(
            filter_of(&["opstead", "watch", "vm.(a|b)", "--type", "regexp"]),
            Filter::regexp("vm.(a|b)")
        );
    }
}
