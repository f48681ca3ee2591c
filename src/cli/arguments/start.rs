//! What a call says of when its operation may start.

use clap::Args;
use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{Dependency, OperationState, Timestamp};

use super::moment::moment;

/// However an operation can end.
const ANY: [OperationState; 4] = [
    OperationState::Completed,
    OperationState::Failed,
    OperationState::Canceled,
    OperationState::Skipped,
];

/// When an operation may start.
#[derive(Debug, Args)]
#[command(next_help_heading = "When it may start")]
pub(in crate::cli) struct StartArguments {
    /// Not before: a local time like 2026-12-01T12:00, one with an offset like 2026-12-01T12:00Z, or
    /// how long from now on, like 10min
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
    /// Not later, or it fails; written as --at is
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<Timestamp>,
    /// When this operation has completed; if it ends otherwise, this one is skipped. Can be repeated
    #[arg(long, value_name = "ID")]
    after: Vec<String>,
    /// When this operation has ended, however it did; can be repeated
    #[arg(long, value_name = "ID")]
    after_any: Vec<String>,
    /// Its share of the capacity, in place of what the method declares
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
}

impl StartArguments {
    pub(in crate::cli) fn is_given(&self) -> bool {
        self.at.is_some()
            || self.before.is_some()
            || !self.after.is_empty()
            || !self.after_any.is_empty()
            || self.weight.is_some()
    }

    /// Says it in a request.
    pub(in crate::cli) fn say_in(&self, params: &mut RegisterParams) {
        params.start_at = self.at;
        params.start_before = self.before;
        params.weight = self.weight;
        let after = |ids: &[String], states: &[OperationState]| -> Vec<Dependency> {
            let dependency = |id: &String| Dependency {
                id: id.clone(),
                states: states.to_vec(),
            };
            ids.iter().map(dependency).collect()
        };
        let mut all = after(&self.after, &[OperationState::Completed]);
        all.extend(after(&self.after_any, &ANY));
        params.after = (!all.is_empty()).then_some(all);
    }
}
