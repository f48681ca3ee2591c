//! The command lines of flows.

use std::path::PathBuf;

use clap::Args;
use opstead_client::schema::params::FlowsRegisterParams;

use super::DaemonArguments;
use super::start::WhenArguments;
use crate::cli::document::Format;

/// Arguments of `flow`.
#[derive(Debug, Args)]
pub struct FlowArguments {
    /// The flow, in TOML or JSON; - reads standard input
    pub(in crate::cli) file: PathBuf,
    /// How the file is written; left out, its name or its beginning tells
    #[arg(long, value_name = "FORMAT")]
    pub(in crate::cli) format: Option<Format>,
    /// An id of your own, in place of the file's: the same flow with the same id registers once
    #[arg(long)]
    id: Option<String>,
    /// A word of your own to find the flow by, beside the file's; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Follow the flow to its end, or until a revert has failed; Ctrl-C leaves it running
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    #[command(flatten)]
    when: WhenArguments,
    #[command(flatten)]
    pub(in crate::cli) daemon: DaemonArguments,
}

/// Arguments of `retry` and `skip`.
#[derive(Debug, Args)]
pub struct DecideArguments {
    /// The id of a step in revertFailed, or of its flow for all such steps
    pub(in crate::cli) id: String,
    #[command(flatten)]
    pub(in crate::cli) daemon: DaemonArguments,
}

impl FlowArguments {
    /// The file's request with what the command line says more.
    pub(in crate::cli) fn completed(&self, mut params: FlowsRegisterParams) -> FlowsRegisterParams {
        if self.id.is_some() {
            params.id.clone_from(&self.id);
        }
        if !self.tags.is_empty() {
            let tags = params.tags.get_or_insert_default();
            tags.extend(self.tags.iter().cloned());
        }
        params.start_at = self.when.at.or(params.start_at);
        params.start_before = self.when.before.or(params.start_before);
        if let Some(after) = self.when.dependencies() {
            params.after.get_or_insert_default().extend(after);
        }
        params
    }
}
