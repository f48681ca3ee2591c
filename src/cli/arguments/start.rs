//! What is said of when an operation or a flow may start.

use clap::Args;
use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{Dependency, OperationState, Timestamp};

use super::moment::moment;

/// However an operation can end.
const ANY: [OperationState; 5] = [
    OperationState::Completed,
    OperationState::Failed,
    OperationState::Canceled,
    OperationState::Skipped,
    OperationState::Reverted,
];

/// When an operation may start, and what it takes then.
#[derive(Debug, Args)]
#[command(next_help_heading = "When it may start")]
pub(in crate::cli) struct StartArguments {
    #[command(flatten)]
    when: WhenArguments,
    /// Its share of the capacity, in place of what the method declares
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
}

/// When an operation or a flow may start.
#[derive(Debug, Args)]
#[command(next_help_heading = "When it may start")]
pub(super) struct WhenArguments {
    /// Not before: a local time like 2026-12-01T12:00, one with an offset like 2026-12-01T12:00Z, or
    /// how long from now on, like 10min
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) at: Option<Timestamp>,
    /// Not later, or it fails; written as --at is
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) before: Option<Timestamp>,
    /// When this operation has completed; if it ends otherwise, this one is skipped. Can be repeated
    #[arg(long, value_name = "ID")]
    pub(super) after: Vec<String>,
    /// When this operation has ended, however it did; can be repeated
    #[arg(long, value_name = "ID")]
    pub(super) after_any: Vec<String>,
}

impl StartArguments {
    pub(in crate::cli) fn is_given(&self) -> bool {
        let WhenArguments {
            at,
            before,
            after,
            after_any,
        } = &self.when;
        let moments = at.is_some() || before.is_some();
        moments || !after.is_empty() || !after_any.is_empty() || self.weight.is_some()
    }

    /// Says it in a request.
    pub(in crate::cli) fn say_in(&self, params: &mut RegisterParams) {
        params.start_at = self.when.at;
        params.start_before = self.when.before;
        params.weight = self.weight;
        params.after = self.when.dependencies();
    }
}

impl WhenArguments {
    /// What must be done before; none if there is nothing.
    pub(super) fn dependencies(&self) -> Option<Vec<Dependency>> {
        let after = |ids: &[String], states: &[OperationState]| -> Vec<Dependency> {
            let dependency = |id: &String| Dependency {
                id: id.clone(),
                states: states.to_vec(),
            };
            ids.iter().map(dependency).collect()
        };
        let mut all = after(&self.after, &[OperationState::Completed]);
        all.extend(after(&self.after_any, &ANY));
        (!all.is_empty()).then_some(all)
    }
}
