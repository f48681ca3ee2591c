//! What the daemon says of itself, of its methods and of its executors.

use std::collections::BTreeMap;

use opstead_core::OperationState;
use opstead_schema::results::{ExecutorsList, MethodsList};
use opstead_schema::{ErrorObject, SystemStatus};

use super::Api;
use crate::rpc::convert;

impl Api {
    pub async fn list_methods(&self) -> Result<MethodsList, ErrorObject> {
        let snapshot = self.snapshot().await?;
        let methods = snapshot
            .state
            .declarations()
            .map(|method| convert::declaration(method));
        Ok(MethodsList {
            methods: methods.collect(),
        })
    }

    pub async fn list_executors(&self) -> Result<ExecutorsList, ErrorObject> {
        let snapshot = self.snapshot().await?;
        Ok(ExecutorsList {
            executors: snapshot.state.executors().map(convert::executor).collect(),
        })
    }

    pub async fn status(&self) -> Result<SystemStatus, ErrorObject> {
        let snapshot = self.snapshot().await?;
        let mut counts: BTreeMap<_, u64> = OperationState::ALL
            .iter()
            .map(|state| (convert::state(*state), 0))
            .collect();
        for (state, count) in snapshot
            .state
            .counts()
            .iter()
            .chain(snapshot.archive.counts())
        {
            counts.insert(convert::state(*state), *count);
        }
        Ok(SystemStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log_id: self.log_id.to_string(),
            cursor: snapshot.cursor(),
            oldest_cursor: self.engine.reader().oldest(),
            counts,
            executors: snapshot.state.executors().map(convert::executor).collect(),
            uptime_ms: self.started.elapsed().as_millis() as u64,
            limits: self.limits.clone(),
        })
    }
}
