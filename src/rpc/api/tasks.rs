//! `getRunningTasks`.

use std::sync::Arc;

use opstead_core::{Operation, State};
use opstead_schema::params::GetRunningTasksParams;
use opstead_schema::{ErrorObject, TaskInfo};

use super::{Api, filter};
use crate::filter::Filter;
use crate::rpc::convert;

/// About the bytes of a task beside its kwargs and names.
const TASK_BYTES: u64 = 40;

impl Api {
    pub async fn get_running_tasks(
        &self,
        params: GetRunningTasksParams,
    ) -> Result<Vec<TaskInfo>, ErrorObject> {
        let filter = filter(params.filter_type, &params.filter)?;
        self.beside(move |api, snapshot| {
            let mut bytes = 0;
            let mut tasks = Vec::new();
            for operation in matching(&snapshot.state, &filter) {
                bytes += TASK_BYTES + operation.request.kwargs.as_str().len() as u64;
                if bytes > api.limits.answer_bytes {
                    return Err(api.answer_too_large("operations.list"));
                }
                tasks.push(convert::task(operation));
            }
            Ok(tasks)
        })
        .await
    }
}

/// The open operations whose id matches, in registration order. A filter with a literal head looks
/// only at ids that begin with it.
pub(super) fn matching<'a>(state: &'a State, filter: &Filter) -> Vec<&'a Arc<Operation>> {
    let head = filter.literal_head();
    if head.is_empty() {
        let all = state.operations_after(0);
        return all
            .filter(|operation| filter.matches(&operation.subject.id))
            .collect();
    }
    let mut found: Vec<_> = state
        .operations_by_id(head)
        .filter(|operation| filter.matches(&operation.subject.id))
        .collect();
    found.sort_by_key(|operation| operation.subject.sequence);
    found
}
