//! Operations: register, look at one, cancel, dismiss; and a subsystem's methods by their names.

use std::sync::Arc;

use opstead_core::{Json, MethodKind, Purged};
use opstead_schema::params::{OperationParams, OperationsDismissParams, RegisterParams};
use opstead_schema::results::Dismissed;
use opstead_schema::{ErrorObject, OperationState, Registration, Timestamp};
use serde_json::value::RawValue;

use super::Api;
use crate::engine::{PurgeTarget, RegisterRequest, Snapshot};
use crate::journal::Entry;
use crate::rpc::{convert, errors};

/// The most operations that one durable step removes.
const DISMISS_BATCH: usize = 1_000;

impl Api {
    /// `operations.register`. Handed over before this returns; answers once it is on disk.
    pub fn register(
        &self,
        params: RegisterParams,
        registered_by: &Arc<str>,
    ) -> impl Future<Output = Result<Registration, ErrorObject>> + Send + use<> {
        self.register_request(RegisterRequest {
            method_name: params.method_name.into(),
            version: params.version,
            kwargs: params.kwargs.into(),
            id: params.id.map(Into::into),
            claims: params
                .claims
                .into_iter()
                .flatten()
                .map(convert::claim)
                .collect(),
            tags: params.tags.into_iter().flatten().map(Into::into).collect(),
            registered_by: registered_by.clone(),
        })
    }

    /// What `<subsystem>.<method>` is, if anybody declares it.
    pub fn declared(&self, method_name: &str) -> Option<MethodKind> {
        self.engine.method_kind(method_name)
    }

    /// `<subsystem>.<method>` of an operation: registers it with these kwargs.
    pub fn register_by_name(
        &self,
        method_name: &str,
        kwargs: Json,
        registered_by: &Arc<str>,
    ) -> impl Future<Output = Result<Registration, ErrorObject>> + Send + use<> {
        self.register_request(RegisterRequest {
            method_name: method_name.into(),
            version: None,
            kwargs,
            id: None,
            claims: Vec::new(),
            tags: Vec::new(),
            registered_by: registered_by.clone(),
        })
    }

    /// `<subsystem>.<method>` of a query: answers it.
    pub async fn query(
        &self,
        method_name: &str,
        kwargs: Json,
    ) -> Result<Box<RawValue>, ErrorObject> {
        let objects = Arc::new(convert::Objects(self.snapshot().await?));
        let answer = self.engine.query(method_name, kwargs, objects).await;
        answer
            .map(|answer| convert::json(&answer))
            .map_err(errors::engine)
    }

    fn register_request(
        &self,
        request: RegisterRequest,
    ) -> impl Future<Output = Result<Registration, ErrorObject>> + Send + use<> {
        let registration = self.engine.register(request);
        let log_id = self.log_id.clone();
        async move {
            let registration = registration.await.map_err(errors::engine)?;
            Ok(convert::registration(&registration, &log_id))
        }
    }

    /// `operations.get`.
    pub async fn get_operation(
        &self,
        params: OperationParams,
    ) -> Result<opstead_schema::Operation, ErrorObject> {
        let snapshot = self.snapshot().await?;
        let found = self.find(&snapshot, &params.id)?;
        found.ok_or_else(|| errors::operation_not_found(&params.id))
    }

    /// An operation of that id as the snapshot has it, open or ended.
    pub(super) fn find(
        &self,
        snapshot: &Snapshot,
        id: &str,
    ) -> Result<Option<opstead_schema::Operation>, ErrorObject> {
        if let Some(operation) = snapshot.state.operation(id) {
            let reasons = snapshot.state.reasons(operation);
            return Ok(Some(convert::operation(operation, &reasons)));
        }
        let ended = self
            .engine
            .reader()
            .ended(id)
            .map_err(|error| errors::read(&error))?;
        Ok(ended.map(|operation| convert::operation(&operation, &[])))
    }

    /// `operations.cancel`. Handed over before this returns.
    pub fn cancel(
        &self,
        params: OperationParams,
    ) -> impl Future<Output = Result<opstead_schema::Operation, ErrorObject>> + Send + use<> {
        let canceled = self.engine.cancel(params.id.into());
        async move {
            let operation = canceled.await.map_err(errors::engine)?;
            Ok(convert::operation(&operation, &[]))
        }
    }

    /// `operations.dismiss`. Those named by id are handed over before this returns.
    pub fn dismiss(
        &self,
        params: OperationsDismissParams,
    ) -> impl Future<Output = Result<Dismissed, ErrorObject>> + Send + use<> {
        let api = self.clone();
        let by_id = match &params {
            OperationsDismissParams {
                ids: Some(ids),
                finished_before: None,
                states: None,
            } => {
                let ids = ids.iter().map(|id| id.as_str().into()).collect();
                Some(self.engine.purge(PurgeTarget::Ids(ids)))
            }
            _ => None,
        };
        async move {
            let dismissed = match (by_id, params.ids, params.finished_before) {
                (Some(purge), ..) => purge.await.map_err(errors::engine)?,
                (None, None, Some(before)) => api.dismiss_before(before, params.states).await?,
                _ => {
                    let message = "name either ids, or finishedBefore and perhaps states";
                    return Err(errors::invalid_param("", message));
                }
            };
            Ok(Dismissed {
                dismissed: dismissed as u64,
            })
        }
    }

    async fn dismiss_before(
        &self,
        before: Timestamp,
        states: Option<Vec<OperationState>>,
    ) -> Result<usize, ErrorObject> {
        let wanted = move |entry: &Entry| {
            let state = convert::state(entry.state);
            convert::time(entry.finished_at) < before
                && states.as_ref().is_none_or(|states| states.contains(&state))
        };
        let due = self
            .beside(move |api, snapshot| api.ended(&snapshot, wanted))
            .await?;
        let mut dismissed = 0;
        for batch in due.chunks(DISMISS_BATCH) {
            let purge = self.engine.purge(PurgeTarget::Operations(batch.to_vec()));
            dismissed += purge.await.map_err(errors::engine)?;
        }
        Ok(dismissed)
    }

    fn ended(
        &self,
        snapshot: &Snapshot,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Purged>, ErrorObject> {
        let mut operations = Vec::new();
        for entry in snapshot.archive.after(0).filter(|entry| wanted(entry)) {
            let record = self
                .engine
                .reader()
                .record(entry)
                .map_err(|error| errors::read(&error))?;
            operations.extend(record.map(|operation| Purged::from(&*operation)));
        }
        Ok(operations)
    }
}
