//! Operations: register, look at one, cancel, dismiss; and a subsystem's methods by their names.

use std::sync::Arc;

use futures_util::future::try_join_all;
use opstead_core::{Cursor, Json, Lease, MethodKind, Purged, Refusal, Time};
use opstead_schema::params::{OperationParams, OperationsDismissParams, RegisterParams};
use opstead_schema::results::Dismissed;
use opstead_schema::{ErrorObject, OperationState, Registration, Timestamp};
use serde_json::value::RawValue;

use super::{Api, check_ids};
use crate::engine::{EngineError, PurgeTarget, RegisterRequest, Seat, Snapshot, purged_with};
use crate::journal::{Archive, Entry};
use crate::rpc::{convert, errors};

/// As soon as there are so many operations, one durable step removes them. A flow is not parted from
/// its steps.
const DISMISS_BATCH: usize = 1_000;

impl Api {
    /// `operations.register`. Handed over before this returns; answers once it is on disk.
    pub fn register(
        &self,
        params: RegisterParams,
        registered_by: &Arc<str>,
        connection: u64,
    ) -> impl Future<Output = Result<Registration, ErrorObject>> + Send + use<> {
        let parent = self.parent(params.lease.as_deref(), connection);
        let request = parent.map(|parent| requested(params, parent, registered_by));
        let registration = request.map(|request| self.engine.register(request));
        let log_id = self.log_id.clone();
        async move {
            let registration = registration?.await.map_err(errors::engine)?;
            Ok(convert::registration(&registration, &log_id))
        }
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
        let request = RegisterRequest::new(method_name, kwargs, registered_by);
        let registration = self.engine.register(request);
        let log_id = self.log_id.clone();
        async move {
            let registration = registration.await.map_err(by_name)?;
            Ok(convert::registration(&registration, &log_id))
        }
    }

    /// `<subsystem>.<method>` of a query: answers it.
    pub async fn query(
        &self,
        method_name: &str,
        kwargs: Json,
    ) -> Result<Box<RawValue>, ErrorObject> {
        let objects = Arc::new(convert::Objects(self.snapshot().await?));
        let answer = self.engine.query(method_name, kwargs, objects).await;
        answer.map(|answer| convert::json(&answer)).map_err(by_name)
    }

    /// `operations.get`.
    pub async fn get_operation(
        &self,
        params: OperationParams,
    ) -> Result<opstead_schema::Operation, ErrorObject> {
        let snapshot = self.snapshot().await?;
        if snapshot.state.operation(&params.id).is_some() {
            let open = self.find(&snapshot, &params.id)?;
            return open.ok_or_else(|| errors::operation_not_found(&params.id));
        }
        self.beside_with(snapshot, move |api, snapshot| {
            let ended = api.find(&snapshot, &params.id)?;
            ended.ok_or_else(|| errors::operation_not_found(&params.id))
        })
        .await
    }

    /// An operation of that id as the snapshot has it, open or ended.
    pub(super) fn find(
        &self,
        snapshot: &Snapshot,
        id: &str,
    ) -> Result<Option<opstead_schema::Operation>, ErrorObject> {
        if let Some(operation) = snapshot.state.operation(id) {
            let reasons = snapshot.state.reasons(operation, snapshot.now);
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

    /// `operations.dismiss`. Those named by id are handed over before this returns; ids that are
    /// unknown or not done are passed over, so that the call can be repeated.
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
            } => Some(self.dismiss_ids(ids)),
            _ => None,
        };
        async move {
            let dismissed = match (by_id, params.ids, params.finished_before) {
                (Some(purges), ..) => {
                    let counts = try_join_all(purges?).await.map_err(errors::engine)?;
                    counts.into_iter().sum()
                }
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

    /// Hands over the removal of these, one by one: each may be a flow of many steps.
    fn dismiss_ids(
        &self,
        ids: &[String],
    ) -> Result<Vec<impl Future<Output = Result<usize, EngineError>> + Send + use<>>, ErrorObject>
    {
        check_ids(ids)?;
        let purge = |id: &String| {
            self.engine
                .purge(PurgeTarget::Ids(vec![id.as_str().into()]))
        };
        Ok(ids.iter().map(purge).collect())
    }

    async fn dismiss_before(
        &self,
        before: Timestamp,
        states: Option<Vec<OperationState>>,
    ) -> Result<usize, ErrorObject> {
        let states = Arc::new(states);
        let (mut after, mut dismissed) = (0, 0);
        loop {
            let states = states.clone();
            let wanted = move |entry: &Entry| {
                let state = convert::state(entry.state);
                let states = states.as_ref().as_ref();
                convert::time(entry.finished_at) < before
                    && states.is_none_or(|states| states.contains(&state))
            };
            let batch = self.beside(move |api, snapshot| {
                let archive = snapshot.archive.clone();
                drop(snapshot);
                api.ended(&archive, after, wanted)
            });
            let batch = batch.await?;
            let Some(last) = batch.last() else {
                return Ok(dismissed);
            };
            after = last.sequence;
            let purge = self.engine.purge(PurgeTarget::Operations(batch));
            dismissed += purge.await.map_err(errors::engine)?;
        }
    }

    /// The next few ended operations that are wanted, with what goes with them.
    fn ended(
        &self,
        archive: &Archive,
        after: Cursor,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Purged>, ErrorObject> {
        let reader = self.engine.reader();
        let mut ended = Vec::new();
        for entry in archive.after(after).filter(|entry| wanted(entry)) {
            let purged =
                purged_with(reader.as_ref(), entry).map_err(|error| errors::read(&error))?;
            ended.extend(purged);
            if ended.len() >= DISMISS_BATCH {
                break;
            }
        }
        Ok(ended)
    }
}

/// The request as the engine takes it.
fn requested(
    params: RegisterParams,
    parent: Option<(Lease, Seat)>,
    registered_by: &Arc<str>,
) -> RegisterRequest {
    let claims = params.claims.into_iter().flatten();
    let time = |timestamp: Timestamp| Time(timestamp.unix_ms());
    let kwargs = params.kwargs.into();
    RegisterRequest {
        version: params.version,
        id: params.id.map(Into::into),
        claims: claims.map(convert::claim).collect(),
        weight: params.weight,
        start_at: params.start_at.map(time),
        start_before: params.start_before.map(time),
        after: convert::after(params.after),
        retry: params.retry.map(convert::retry),
        lease: parent.as_ref().map(|(lease, _)| *lease),
        seat: parent.map(|(_, seat)| seat),
        tags: params.tags.into_iter().flatten().map(Into::into).collect(),
        ..RegisterRequest::new(&params.method_name, kwargs, registered_by)
    }
}

/// An error of a method that was called by its own name: its params are the kwargs themselves, so
/// that is where pointers begin.
fn by_name(mut error: EngineError) -> ErrorObject {
    if let EngineError::Refused(Refusal::Invalid { faults }) = &mut error {
        for fault in faults {
            if let Some(within) = fault.pointer.strip_prefix("/kwargs") {
                fault.pointer = within.to_owned();
            }
        }
    }
    errors::engine(error)
}
