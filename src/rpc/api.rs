//! The methods of a manager, one file a family. They know nothing of sockets: parameters in,
//! answer or error out.

mod alerts;
mod executors;
mod flows;
mod list;
mod objects;
mod operations;
mod system;
mod tasks;
mod wait;

use std::sync::Arc;
use std::time::Instant;

use opstead_schema::params::FilterType;
use opstead_schema::{ErrorObject, Limits};

use self::executors::Seats;
use super::errors;
use super::method::Answerer;
use crate::alerts::Hub;
use crate::engine::{EngineHandle, Snapshot};
use crate::filter::{Filter, FilterKind};

/// The most ids of one call.
const MOST_IDS: usize = 10_000;

/// What the methods work with.
#[derive(Clone)]
pub struct Api {
    engine: EngineHandle,
    hub: Arc<Hub>,
    log_id: Arc<str>,
    limits: Limits,
    /// How long attempts of an executor are kept when it is gone.
    lease_ms: u64,
    seats: Seats,
    started: Instant,
}

impl Api {
    /// The methods in front of an engine. `limits` are told by `system.status`.
    pub fn new(engine: EngineHandle, hub: Arc<Hub>, limits: Limits) -> Self {
        let log_id = engine.reader().log_id().into();
        Self {
            hub,
            log_id,
            limits,
            lease_ms: engine.lease_ms(),
            seats: Seats::default(),
            engine,
            started: Instant::now(),
        }
    }

    async fn snapshot(&self) -> Result<Arc<Snapshot>, ErrorObject> {
        self.engine.snapshot().await.map_err(errors::engine)
    }

    /// Runs work that looks at many records where it does not keep other calls waiting.
    async fn beside<T, F>(&self, work: F) -> Result<T, ErrorObject>
    where
        T: Send + 'static,
        F: FnOnce(Self, Arc<Snapshot>) -> Result<T, ErrorObject> + Send + 'static,
    {
        let snapshot = self.snapshot().await?;
        self.beside_with(snapshot, work).await
    }

    /// The same with a snapshot that is there already.
    async fn beside_with<T, F>(&self, snapshot: Arc<Snapshot>, work: F) -> Result<T, ErrorObject>
    where
        T: Send + 'static,
        F: FnOnce(Self, Arc<Snapshot>) -> Result<T, ErrorObject> + Send + 'static,
    {
        let api = self.clone();
        match tokio::task::spawn_blocking(move || work(api, snapshot)).await {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn answer_too_large(&self, use_method: &'static str) -> ErrorObject {
        let most = usize::try_from(self.limits.answer_bytes).unwrap_or(usize::MAX);
        Answerer::new(most, Some(use_method)).too_large()
    }
}

fn filter(kind: FilterType, pattern: &str) -> Result<Filter, ErrorObject> {
    let kind = match kind {
        FilterType::Glob => FilterKind::Glob,
        FilterType::Regexp => FilterKind::Regexp,
    };
    Filter::parse(kind, pattern).map_err(|error| errors::filter(&error))
}

fn check_ids(ids: &[String]) -> Result<(), ErrorObject> {
    if ids.len() > MOST_IDS {
        let message = format!("must name at most {MOST_IDS} operations");
        return Err(errors::invalid_param("/ids", &message));
    }
    Ok(())
}
