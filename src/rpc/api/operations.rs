//! Operations: register, look at one, cancel, dismiss; and a subsystem's methods by their names.

use std::sync::Arc;

use opstead_core::{Json, MethodKind, Operation, Purged};
use opstead_schema::params::{OperationParams, OperationsDismissParams, RegisterParams};
use opstead_schema::results::Dismissed;
use opstead_schema::{ErrorObject, METHOD_NOT_FOUND, Registration};
use serde_json::value::RawValue;

use super::{Api, check_ids};
use crate::engine::{RegisterRequest, Snapshot};
use crate::journal::Entry;
use crate::rpc::{convert, errors};

/// The most operations that one durable step removes.
const DISMISS_BATCH: usize = 1_000;

impl Api {
    /// `operations.register`. Answers once the operation is on disk.
    pub async fn register(
        &self,
        params: RegisterParams,
        registered_by: &Arc<str>,
    ) -> Result<Registration, ErrorObject> {
        let request = RegisterRequest {
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
        };
        self.register_request(request).await
    }

    /// `<subsystem>.<method>`: registers an operation, or answers a query.
    pub async fn call_declared(
        &self,
        method_name: &str,
        params: Option<&str>,
        registered_by: &Arc<str>,
    ) -> Result<Box<RawValue>, ErrorObject> {
        let kwargs = match params {
            None => Json::empty_object(),
            Some(text) if text.trim_start().starts_with('{') => Json::from_text(text)
                .map_err(|error| errors::invalid_param("", &error.to_string()))?,
            Some(_) => {
                let message = "the kwargs of a subsystem's method are given by name";
                return Err(errors::invalid_param("", message));
            }
        };
        match self.engine.method_kind(method_name) {
            None => Err(method_not_found(method_name)),
            Some(MethodKind::Query) => {
                let objects = Arc::new(convert::Objects(self.snapshot().await?));
                let answer = self.engine.query(method_name, kwargs, objects).await;
                answer
                    .map(|answer| convert::json(&answer))
                    .map_err(errors::engine)
            }
            Some(MethodKind::Operation) => {
                let request = RegisterRequest {
                    method_name: method_name.into(),
                    version: None,
                    kwargs,
                    id: None,
                    claims: Vec::new(),
                    tags: Vec::new(),
                    registered_by: registered_by.clone(),
                };
                let registration = self.register_request(request).await?;
                Ok(opstead_schema::to_json(&registration).expect("a registration is JSON"))
            }
        }
    }

    async fn register_request(
        &self,
        request: RegisterRequest,
    ) -> Result<Registration, ErrorObject> {
        let registration = self
            .engine
            .register(request)
            .await
            .map_err(errors::engine)?;
        Ok(convert::registration(&registration, &self.log_id))
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

    /// `operations.cancel`.
    pub async fn cancel(
        &self,
        params: OperationParams,
    ) -> Result<opstead_schema::Operation, ErrorObject> {
        let canceled = self
            .engine
            .cancel(params.id.into())
            .await
            .map_err(errors::engine)?;
        Ok(convert::operation(&canceled, &[]))
    }

    /// `operations.dismiss`.
    pub async fn dismiss(&self, params: OperationsDismissParams) -> Result<Dismissed, ErrorObject> {
        let operations = match (params.ids, params.finished_before) {
            (Some(ids), None) if params.states.is_none() => {
                check_ids(&ids)?;
                self.beside(move |api, snapshot| api.ended_by_id(&snapshot, &ids))
                    .await?
            }
            (None, Some(before)) => {
                let states = params.states;
                let due = move |entry: &Entry| {
                    convert::time(entry.finished_at) < before
                        && states
                            .as_ref()
                            .is_none_or(|states| states.contains(&convert::state(entry.state)))
                };
                self.beside(move |api, snapshot| api.ended_before(&snapshot, due))
                    .await?
            }
            _ => {
                let message = "name either ids, or finishedBefore and perhaps states";
                return Err(errors::invalid_param("", message));
            }
        };
        let mut dismissed = 0;
        for batch in operations.chunks(DISMISS_BATCH) {
            dismissed += self
                .engine
                .purge(batch.to_vec())
                .await
                .map_err(errors::engine)? as u64;
        }
        Ok(Dismissed { dismissed })
    }

    fn ended_by_id(&self, snapshot: &Snapshot, ids: &[String]) -> Result<Vec<Purged>, ErrorObject> {
        let mut operations = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            if snapshot.state.operation(id).is_some() {
                let pointer = format!("/ids/{index}");
                return Err(errors::invalid_param(
                    &pointer,
                    &format!("{id:?} is not done"),
                ));
            }
            let ended = self
                .engine
                .reader()
                .ended(id)
                .map_err(|error| errors::read(&error))?;
            let operation = ended.ok_or_else(|| errors::operation_not_found(id))?;
            operations.push(purged(&operation));
        }
        Ok(operations)
    }

    fn ended_before(
        &self,
        snapshot: &Snapshot,
        due: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Purged>, ErrorObject> {
        let mut operations = Vec::new();
        for entry in snapshot.archive.after(0).filter(|entry| due(entry)) {
            let record = self
                .engine
                .reader()
                .record(entry)
                .map_err(|error| errors::read(&error))?;
            operations.extend(record.map(|operation| purged(&operation)));
        }
        Ok(operations)
    }
}

fn purged(operation: &Operation) -> Purged {
    let subject = &operation.subject;
    Purged {
        sequence: subject.sequence,
        alert_name: subject.alert_name.clone(),
    }
}

pub(in crate::rpc) fn method_not_found(method_name: &str) -> ErrorObject {
    ErrorObject {
        code: METHOD_NOT_FOUND,
        message: format!("there is no method {method_name:?}; methods.list and rpc.discover tell"),
        data: None,
    }
}
