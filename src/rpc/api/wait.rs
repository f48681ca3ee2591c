//! `operations.wait`: like poll() over any number of operations.

use std::sync::Arc;
use std::time::Duration;

use opstead_core::{Cursor, State};
use opstead_schema::params::{OperationsWaitParams, WaitMode, WaitUntil};
use opstead_schema::results::WaitResult;
use opstead_schema::{ErrorCode, ErrorObject};
use tokio::time::{Instant, timeout_at};

use super::{Api, MOST_IDS, check_ids, filter};
use crate::engine::Snapshot;
use crate::rpc::errors;

/// What is still waited for. A look at it costs no more than what has changed since the last one,
/// or, for any of them, one look-up each.
struct Awaited {
    mode: WaitMode,
    until: WaitUntil,
    after: Cursor,
    /// Open when last looked at, and not there yet.
    pending: Vec<Arc<str>>,
    /// Whether one is there.
    any: bool,
    /// Whether one ended before `after`: it will not change any more.
    never: bool,
}

impl Api {
    pub async fn wait(&self, params: OperationsWaitParams) -> Result<WaitResult, ErrorObject> {
        let deadline = Instant::now() + Duration::from_millis(params.timeout_ms);
        self.check_cursor(params.after)?;
        let ids = self.waited_for(&params).await?;
        let listener = self.engine.changes().listen(ids.clone());
        let mut snapshot = self.snapshot().await?;
        let ids: Arc<[Arc<str>]> = ids.into();
        let named = ids.clone();
        let look =
            move |api: Self, snapshot: Arc<Snapshot>| api.first_look(&snapshot, &named, &params);
        let mut awaited = self.beside_with(snapshot.clone(), look).await?;
        let mut is_late = false;
        while !awaited.is_over(&snapshot.state) && !is_late {
            // A snapshot that is held makes every change cost more.
            drop(snapshot);
            is_late = timeout_at(deadline, listener.changed()).await.is_err();
            snapshot = self.snapshot().await?;
        }
        let timed_out = !awaited.is_over(&snapshot.state);
        self.beside_with(snapshot, move |api, snapshot| {
            // Who was dismissed meanwhile is left out.
            let found = ids.iter().map(|id| api.find(&snapshot, id).transpose());
            Ok(WaitResult {
                operations: found.flatten().collect::<Result<_, _>>()?,
                timed_out,
                cursor: snapshot.cursor(),
            })
        })
        .await
    }

    /// A cursor that this log has not come to is of another log.
    fn check_cursor(&self, after: Option<Cursor>) -> Result<(), ErrorObject> {
        let head = self.engine.reader().head();
        match after {
            Some(after) if after > head => {
                let message = format!("the cursor {after} is beyond the head, which is {head}");
                let error = ErrorObject::with(ErrorCode::CursorUnknown, message, |details| {
                    details.log_id = Some(self.log_id.to_string());
                });
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// The ids to wait for: those named, or those not done now that match the filter.
    async fn waited_for(
        &self,
        params: &OperationsWaitParams,
    ) -> Result<Vec<Arc<str>>, ErrorObject> {
        let pattern = match (&params.ids, &params.filter) {
            (Some(ids), None) => {
                check_ids(ids)?;
                return Ok(ids.iter().map(|id| id.as_str().into()).collect());
            }
            (Some(_), Some(_)) => {
                return Err(errors::invalid_param("", "name either ids or a filter"));
            }
            (None, pattern) => pattern.as_deref().unwrap_or("*"),
        };
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

    /// Sorts the ids into those that are there already and those to wait for. An unknown one is an
    /// error; one by filter that has ended and was dismissed since is not waited for.
    fn first_look(
        &self,
        snapshot: &Snapshot,
        ids: &[Arc<str>],
        params: &OperationsWaitParams,
    ) -> Result<Awaited, ErrorObject> {
        let mut awaited = Awaited {
            mode: params.mode,
            until: params.until,
            after: params.after.unwrap_or_else(|| snapshot.cursor()),
            pending: Vec::new(),
            any: false,
            never: false,
        };
        for id in ids {
            if snapshot.state.operation(id).is_some() {
                awaited.pending.push(id.clone());
                continue;
            }
            let ended = self.engine.reader().ended(id);
            match ended.map_err(|error| errors::read(&error))? {
                Some(ended) => {
                    let has_changed = ended.cursor > awaited.after;
                    let is_there = params.until == WaitUntil::Done || has_changed;
                    awaited.any |= is_there;
                    awaited.never |= !is_there;
                }
                None if params.ids.is_some() => return Err(errors::operation_not_found(id)),
                None => awaited.any = true,
            }
        }
        Ok(awaited)
    }
}

impl Awaited {
    /// Whether what was waited for has happened.
    fn is_over(&mut self, state: &State) -> bool {
        let (until, after) = (self.until, self.after);
        // What was open and is no longer has ended since.
        let is_there = |id: &mut Arc<str>| {
            state
                .operation(id)
                .is_none_or(|operation| until == WaitUntil::Change && operation.cursor > after)
        };
        let is_nothing = self.pending.is_empty() && !self.any && !self.never;
        match self.mode {
            WaitMode::Any => is_nothing || self.any || self.pending.iter_mut().any(is_there),
            WaitMode::All => {
                while self.pending.pop_if(is_there).is_some() {}
                self.pending.is_empty() && !self.never
            }
        }
    }
}
