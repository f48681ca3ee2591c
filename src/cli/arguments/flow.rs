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

    /// The option that a member of the completed request comes from, by its pointer; none if the
    /// file says it.
    pub(in crate::cli) fn option_of(
        &self,
        params: &FlowsRegisterParams,
        pointer: &str,
    ) -> Option<&'static str> {
        let mut names = pointer.split('/').skip(1);
        let member = names.next()?;
        let index: Option<usize> = names.next().and_then(|index| index.parse().ok());
        let WhenArguments {
            at,
            before,
            after,
            after_any,
        } = &self.when;
        // What the file says of a list comes first.
        let place = |all: usize, added: usize| index?.checked_sub(all.checked_sub(added)?);
        match member {
            "id" => self.id.as_ref().map(|_| "--id"),
            "startAt" => at.map(|_| "--at"),
            "startBefore" => before.map(|_| "--before"),
            "tags" => {
                let all = params.tags.as_ref().map_or(0, Vec::len);
                place(all, self.tags.len()).map(|_| "--tag")
            }
            "after" => {
                let all = params.after.as_ref().map_or(0, Vec::len);
                let place = place(all, after.len() + after_any.len())?;
                Some(match place < after.len() {
                    true => "--after",
                    false => "--after-any",
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use opstead_client::schema::Dependency;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flow: FlowArguments,
    }

    #[test]
    fn what_an_option_says_is_known_from_what_the_file_says() {
        let mut params = FlowsRegisterParams::new("f", Vec::new());
        params.tags = Some(vec!["own".to_owned()]);
        params.after = Some(vec![Dependency {
            id: "own".to_owned(),
            states: Vec::new(),
        }]);
        let line = "flow f --id i --tag t --before 1h --after a --after b --after-any c";
        let Line { flow } = Line::parse_from(line.split(' '));
        let params = flow.completed(params);
        for (pointer, option) in [
            ("/id", Some("--id")),
            ("/tags", None),
            ("/tags/0", None),
            ("/tags/1", Some("--tag")),
            ("/startAt", None),
            ("/startBefore", Some("--before")),
            ("/after/0/id", None),
            ("/after/1/id", Some("--after")),
            ("/after/2", Some("--after")),
            ("/after/3", Some("--after-any")),
            ("/steps/0/name", None),
            ("", None),
        ] {
            assert_eq!(flow.option_of(&params, pointer), option, "{pointer}");
        }
    }
}
