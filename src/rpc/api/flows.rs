//! Flows: to register one, and to end what could not be reverted.

use std::sync::Arc;

use opstead_core::{Lease, Time};
use opstead_schema::params::{FlowsRegisterParams, OperationParams};
use opstead_schema::{ErrorObject, FlowStep, Operation, Registration, Timestamp};

use super::Api;
use crate::engine::{FlowRequest, Seat, StepRequest};
use crate::rpc::{convert, errors};

impl Api {
    /// `flows.register`. Handed over before this returns; answers once it is on disk.
    pub fn register_flow(
        &self,
        params: FlowsRegisterParams,
        registered_by: &Arc<str>,
        connection: u64,
    ) -> impl Future<Output = Result<Registration, ErrorObject>> + Send + use<> {
        let parent = self.parent(params.lease.as_deref(), connection);
        let request = parent.map(|parent| requested(params, parent, registered_by));
        let registration = request.map(|request| self.engine.register_flow(request));
        let log_id = self.log_id.clone();
        async move {
            let registration = registration?.await.map_err(errors::engine)?;
            Ok(convert::registration(&registration, &log_id))
        }
    }

    /// `operations.retry`. Handed over before this returns.
    pub fn retry(
        &self,
        params: OperationParams,
    ) -> impl Future<Output = Result<Operation, ErrorObject>> + Send + use<> {
        let retried = self.engine.retry_revert(params.id.into());
        async move {
            let (operation, reasons) = retried.await.map_err(errors::engine)?;
            Ok(convert::operation(&operation, &reasons))
        }
    }

    /// `operations.skip`. Handed over before this returns.
    pub fn skip(
        &self,
        params: OperationParams,
    ) -> impl Future<Output = Result<Operation, ErrorObject>> + Send + use<> {
        let skipped = self.engine.skip_revert(params.id.into());
        async move {
            let (operation, reasons) = skipped.await.map_err(errors::engine)?;
            Ok(convert::operation(&operation, &reasons))
        }
    }
}

/// The request as the engine takes it.
fn requested(
    params: FlowsRegisterParams,
    parent: Option<(Lease, Seat)>,
    registered_by: &Arc<str>,
) -> FlowRequest {
    let time = |timestamp: Timestamp| Time(timestamp.unix_ms());
    FlowRequest {
        name: params.name.into(),
        steps: params.steps.into_iter().map(step).collect(),
        id: params.id.map(Into::into),
        start_at: params.start_at.map(time),
        start_before: params.start_before.map(time),
        after: convert::after(params.after),
        lease: parent.as_ref().map(|(lease, _)| *lease),
        seat: parent.map(|(_, seat)| seat),
        tags: params.tags.into_iter().flatten().map(Into::into).collect(),
        registered_by: registered_by.clone(),
    }
}

fn step(step: FlowStep) -> StepRequest {
    let requires = step.requires.into_iter().flatten();
    StepRequest {
        name: step.name.into(),
        method_name: step.method_name.into(),
        version: step.version,
        kwargs: step.kwargs.into(),
        requires: requires.map(Into::into).collect(),
        retry: step.retry.map(convert::retry),
    }
}
