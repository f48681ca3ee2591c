//! The command line: commands and their arguments. What they do is in `commands`.

mod flow;
mod moment;
mod parse;
mod start;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use opstead_client::schema::params::FilterType;
use opstead_client::schema::{OperationState, Resource};
use opstead_client::{Filter, Target};

pub(super) use flow::{DecideArguments, FlowArguments};
pub(super) use moment::moment;
use parse::{address, filter_type, limit, resource, state};
use start::StartArguments;

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
    /// Show what the journal of a stopped daemon holds; changes nothing
    Journal(JournalArguments),
    /// Run a program as its guard; for the daemon itself
    #[command(hide = true)]
    Guard(GuardArguments),
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
    /// Register a flow that a file describes: steps that succeed together, or are reverted
    #[command(name = "flow")]
    Flow(Box<FlowArguments>),
    /// List the operations that are not done
    #[command(name = "tasks")]
    Tasks(TasksArguments),
    /// List operations as they were registered, with --all also those that have ended
    #[command(name = "list")]
    List(Box<ListArguments>),
    /// Show the whole record of an operation
    #[command(name = "show")]
    Show(ShowArguments),
    /// Cancel an operation
    #[command(name = "cancel")]
    Cancel(CancelArguments),
    /// Revert again what could not be reverted
    #[command(name = "retry")]
    Retry(DecideArguments),
    /// Take for reverted what could not be reverted
    #[command(name = "skip")]
    Skip(DecideArguments),
    /// Print alerts as they come, until Ctrl-C
    #[command(name = "watch")]
    Watch(WatchArguments),
    /// Wait for the first alert from now on, and print it
    #[command(name = "wait")]
    Wait(WaitArguments),
    /// List the objects there are, and how they stand
    #[command(name = "objects")]
    Objects(ObjectsArguments),
    /// List the methods of the subsystems, or show how one of them is called
    #[command(name = "methods")]
    Methods(MethodsArguments),
    /// List who carries out methods, and how busy they are
    #[command(name = "executors")]
    Executors(ExecutorsArguments),
    /// Show how the daemon is
    #[command(name = "status")]
    Status(StatusArguments),
    /// Show what Opstead does, in a quarter of a minute, with a daemon of its own
    #[command(name = "demo")]
    Demo(DemoArguments),
    /// Print what makes a shell complete commands, methods, ids and names
    #[command(name = "completions")]
    Completions(CompletionsArguments),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The folder that everything is kept in; made if it is missing
    #[arg(long, value_name = "DIR", env = "OPSTEAD_DATA", hide_env_values = true, default_value = DATA)]
    pub data: PathBuf,
    /// Where to listen for TCP; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:6770", value_parser = address)]
    pub listen: SocketAddr,
    /// The configuration, in TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `guard`.
#[derive(Debug, Args)]
pub struct GuardArguments {
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
    /// The daemon's data folder, in which its socket is. Beside --connect ws://… the token is taken
    /// from its admin.token. Left out, it is OPSTEAD_DATA or opstead-data, for the socket only
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The file that the token is in, needed for ws://. Left out, the token is the one in --data,
    /// else OPSTEAD_TOKEN, else in the file OPSTEAD_TOKEN_FILE
    #[arg(long, value_name = "FILE")]
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
    #[arg(long = "type", value_name = "TYPE", default_value = "glob", value_parser = filter_type())]
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
    /// Of the method; the highest declared if left out
    #[arg(long, value_name = "N")]
    pub(super) version: Option<u32>,
    /// Follow the operation to its end; Ctrl-C leaves it running
    #[arg(long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) start: StartArguments,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// How many entries of a list are read.
#[derive(Debug, Args)]
pub(super) struct LimitArguments {
    /// The most entries; that there are others is said on stderr
    #[arg(long, value_name = "N", default_value = "1000", value_parser = limit)]
    pub(super) limit: NonZeroUsize,
}

/// Arguments of `tasks`.
#[derive(Debug, Args)]
pub struct TasksArguments {
    /// Those that claim this resource, like image:a: what runs first, then in the order in which it
    /// will run, then what has no claim before its start time
    #[arg(long, value_name = "TYPE:ID", value_parser = resource)]
    pub(super) resource: Option<Resource>,
    /// The most entries with --resource; that there are others is said on stderr
    #[arg(long, value_name = "N", default_value = "1000", requires = "resource", value_parser = limit)]
    pub(super) limit: NonZeroUsize,
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Those that have ended, too
    #[arg(long)]
    pub(super) all: bool,
    /// Those in this state, ended or not; can be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = state())]
    pub(super) states: Vec<OperationState>,
    /// Those of this subsystem
    #[arg(long)]
    pub(super) subsystem: Option<String>,
    /// Those that run this method
    #[arg(long)]
    pub(super) method: Option<String>,
    /// Those that bear this tag; can be repeated, for those that bear all
    #[arg(long = "tag", value_name = "TAG")]
    pub(super) tags: Vec<String>,
    /// Those that this operation registered; of a flow, its steps
    #[arg(long, value_name = "ID")]
    pub(super) parent: Option<String>,
    /// Those that claim this resource, like image:a
    #[arg(long, value_name = "TYPE:ID", value_parser = resource)]
    pub(super) resource: Option<Resource>,
    #[command(flatten)]
    pub(super) limit: LimitArguments,
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `objects`.
#[derive(Debug, Args)]
pub struct ObjectsArguments {
    #[command(flatten)]
    pub(super) limit: LimitArguments,
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    #[command(flatten)]
    pub(super) daemon: DaemonArguments,
}

/// Arguments of `methods`.
#[derive(Debug, Args)]
pub struct MethodsArguments {
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
    /// The log that the cursor is a place of; watch tells it when it begins. Another log is refused
    #[arg(long, value_name = "ID", requires = "after")]
    pub(super) log: Option<String>,
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

/// Arguments of `executors`.
#[derive(Debug, Args)]
pub struct ExecutorsArguments {
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

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// For which shell
    pub(super) shell: Shell,
}

/// A shell that can be taught to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Arguments of `journal`.
#[derive(Debug, Args)]
pub struct JournalArguments {
    /// The data folder of a daemon that does not run
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// Show the events of these alert names
    filter: Option<String>,
    #[command(flatten)]
    kind: FilterKindArguments,
    /// Show the events after this place in the log; 0 is its beginning
    #[arg(long, value_name = "CURSOR")]
    pub(super) after: Option<u64>,
    /// Show so many events at the most [default: 1000]
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(super) limit: Option<NonZeroUsize>,
    /// Show the record of this operation, and its events
    #[arg(long, value_name = "OPERATION")]
    pub(super) id: Option<String>,
    /// Print JSON: one document, or one line for each event
    #[arg(long)]
    pub(super) json: bool,
}

impl DaemonArguments {
    /// The data folder, as far as the command line names it.
    pub(super) fn named_data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The data folder: the command line's, the environment's, or the usual one.
    pub(super) fn data(&self) -> PathBuf {
        let environment = || std::env::var_os("OPSTEAD_DATA").filter(|path| !path.is_empty());
        self.data
            .clone()
            .or_else(|| environment().map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(DATA))
    }
}

impl ClientCommand {
    /// Whether the answer is wanted as JSON.
    pub(super) fn json(&self) -> bool {
        self.daemon().is_some_and(|daemon| daemon.json)
    }

    /// Which daemon is asked; none if the command asks none, or one of its own.
    pub(super) const fn daemon(&self) -> Option<&DaemonArguments> {
        Some(match self {
            Self::Call(arguments) => &arguments.daemon,
            Self::Flow(arguments) => &arguments.daemon,
            Self::Retry(arguments) | Self::Skip(arguments) => &arguments.daemon,
            Self::Tasks(arguments) => &arguments.daemon,
            Self::List(arguments) => &arguments.daemon,
            Self::Show(arguments) => &arguments.daemon,
            Self::Cancel(arguments) => &arguments.daemon,
            Self::Watch(arguments) => &arguments.daemon,
            Self::Wait(arguments) => &arguments.daemon,
            Self::Objects(arguments) => &arguments.daemon,
            Self::Methods(arguments) => &arguments.daemon,
            Self::Executors(arguments) => &arguments.daemon,
            Self::Status(arguments) => &arguments.daemon,
            Self::Demo(_) | Self::Completions(_) => return None,
        })
    }
}

impl FilterArguments {
    pub(super) fn filter(&self) -> Filter {
        self.kind.filter(&self.filter)
    }

    /// Whether it is everything that is meant.
    pub(super) fn is_everything(&self) -> bool {
        self.filter() == Filter::glob("*")
    }

    /// The filter as it is written.
    pub(super) fn pattern(&self) -> &str {
        &self.filter
    }
}

impl WaitArguments {
    pub(super) fn filter(&self) -> Filter {
        self.kind.filter(&self.filter)
    }
}

impl JournalArguments {
    /// Which events; nothing if no filter was given.
    pub(super) fn filter(&self) -> Option<Filter> {
        let pattern = self.filter.as_deref()?;
        Some(self.kind.filter(pattern))
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
        for regexp in ["regexp", "regex"] {
            assert_eq!(
                filter_of(&["opstead", "watch", "vm.(a|b)", "--type", regexp]),
                Filter::regexp("vm.(a|b)")
            );
        }
    }
}
