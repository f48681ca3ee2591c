//! `operations.wait`: like poll() over any number of operations.

use std::sync::Arc;
use std::time::Duration;

use opstead_schema::params::{OperationsWaitParams, WaitMode, WaitUntil};
use opstead_schema::results::WaitResult;
use opstead_schema::{ErrorObject, Operation};
use tokio::time::{Instant, timeout_at};

use super::{Api, MOST_IDS, check_ids, filter};
use crate::engine::Snapshot;
use crate::rpc::errors;

impl Api {
    pub async fn wait(&self, params: OperationsWaitParams) -> Result<WaitResult, ErrorObject> {
        let deadline = Instant::now() + Duration::from_millis(params.timeout_ms);
        let ids = self.waited_for(&params).await?;
        if ids.is_empty() {
            let cursor = self.snapshot().await?.cursor();
            return Ok(WaitResult {
                operations: Vec::new(),
                timed_out: false,
                cursor,
            });
        }
        let listener = self.engine.changes().listen(ids.clone());
        let mut snapshot = self.snapshot().await?;
        let after = params.after.unwrap_or_else(|| snapshot.cursor());
        let mut first = true;
        loop {
            let operations = self.look(&snapshot, &ids, first)?;
            first = false;
            let is_there = |operation: &Operation| match params.until {
                WaitUntil::Done => operation.done,
                WaitUntil::Change => operation.cursor > after,
            };
            let enough = match params.mode {
                WaitMode::Any => operations.iter().any(is_there),
                WaitMode::All => operations.iter().all(is_there),
            };
            let cursor = snapshot.cursor();
            if enough || operations.is_empty() {
                return Ok(WaitResult {
                    operations,
                    timed_out: false,
                    cursor,
                });
            }
            // A snapshot that is held makes every change cost more.
            drop(snapshot);
            if timeout_at(deadline, listener.changed()).await.is_err() {
                return Ok(WaitResult {
                    operations,
                    timed_out: true,
                    cursor,
                });
            }
            snapshot = self.snapshot().await?;
        }
    }

    /// The ids to wait for: those named, or those not done now that match the filter.
    async fn waited_for(
        &self,
        params: &OperationsWaitParams,
    ) -> Result<Vec<Arc<str>>, ErrorObject> {
        match (&params.ids, &params.filter) {
            (Some(ids), None) => {
                check_ids(ids)?;
                Ok(ids.iter().map(|id| id.as_str().into()).collect())
            }
            (None, Some(pattern)) => {
                let filter = filter(params.filter_type.unwrap_or_default(), pattern)?;
                self.beside(move |_, snapshot| {
                    let matching = snapshot
                        .state
                        .operations_after(0)
                        .filter(|operation| filter.matches(&operation.subject.alert_name))
                        .map(|operation| operation.subject.id.clone());
                    let ids: Vec<_> = matching.take(MOST_IDS + 1).collect();
                    if ids.len() > MOST_IDS {
                        let message = format!("matches more than {MOST_IDS} operations");
                        return Err(errors::invalid_param("/filter", &message));
                    }
                    Ok(ids)
                })
                .await
            }
            _ => Err(errors::invalid_param("", "name either ids or a filter")),
        }
    }

    /// The operations as they stand. An unknown one is an error at the first look; later it was
    /// dismissed meanwhile and is left out.
    fn look(
        &self,
        snapshot: &Snapshot,
        ids: &[Arc<str>],
        first: bool,
    ) -> Result<Vec<Operation>, ErrorObject> {
        let mut operations = Vec::with_capacity(ids.len());
        for id in ids {
            match self.find(snapshot, id)? {
                Some(operation) => operations.push(operation),
                None if first => return Err(errors::operation_not_found(id)),
                None => {}
            }
        }
        Ok(operations)
    }
}
