//! Executors outside of this process: who is there, how each is told what to do, and the queries
//! that they have not answered yet. What becomes of what they say is the loop's business; sockets
//! are somebody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use opstead_core::{Declaration, Failure, Json, Lease, MethodKind, Time};
use tokio::sync::oneshot;

use super::EngineError;
use super::executor::Past;

/// The most queries that one executor may have to answer at a time.
const MOST_QUERIES: usize = 256;

/// The way to one attached executor.
pub trait Outlet: Send + Sync {
    /// Tells it to do something. Must not block; what is told to one that is gone is lost.
    fn assign(&self, assignment: Assignment);

    /// Somebody else has taken its place: it is told nothing more.
    fn close(&self);
}

/// What an attached executor is told to do.
#[derive(Clone, Debug)]
pub enum Assignment {
    /// Carry out an attempt.
    Execute(Box<Handed>),
    /// Undo what an operation has done.
    Revert(Box<Handed>, Past),
    /// Stop an attempt: its operation was canceled, or it took too long.
    Cancel {
        /// Of which operation.
        operation_id: Arc<str>,
        /// Which attempt.
        lease: Lease,
    },
    /// Answer a query.
    Query {
        /// By which its answer names it.
        query_id: u64,
        /// `<subsystem>.<method>`.
        method_name: Arc<str>,
        /// The version that it offers.
        version: u32,
        /// A JSON object.
        kwargs: Json,
    },
}

/// An attempt that is handed to an executor.
#[derive(Clone, Debug)]
pub struct Handed {
    /// Of which operation.
    pub operation_id: Arc<str>,
    /// By which it speaks of the attempt.
    pub lease: Lease,
    /// `<subsystem>.<method>`.
    pub method_name: Arc<str>,
    /// The version of the method.
    pub version: u32,
    /// With their secrets.
    pub kwargs: Json,
    /// Not before; only where the executor itself keeps the time.
    pub start_at: Option<Time>,
    /// Not later; only where the executor itself keeps the time.
    pub start_before: Option<Time>,
}

/// The right to speak for an executor: until another connection comes under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub(super) executor: Arc<str>,
    pub(super) number: u64,
}

impl Seat {
    /// The executor's name.
    pub fn executor(&self) -> &Arc<str> {
        &self.executor
    }
}

/// Who is there.
pub(super) struct Outside {
    /// How long attempts are kept for one that is gone.
    pub(super) lease_ms: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last_number: u64,
    seated: HashMap<Arc<str>, Seated>,
    last_query: u64,
    queries: HashMap<u64, Query>,
}

struct Seated {
    number: u64,
    outlet: Arc<dyn Outlet>,
    queries: Vec<(Arc<str>, u32)>,
}

/// A query that is not answered yet.
struct Query {
    seat: Seat,
    reply: oneshot::Sender<Result<Json, Failure>>,
}

/// Forgets a query when nobody waits for its answer any more.
pub(super) struct Asked<'a> {
    outside: &'a Outside,
    id: u64,
    answer: oneshot::Receiver<Result<Json, Failure>>,
}

impl Outside {
    pub(super) fn new(lease_ms: u64) -> Self {
        let inner = Mutex::default();
        Self { lease_ms, inner }
    }

    /// A seat that nobody has taken yet.
    pub(super) fn new_seat(&self, executor: &Arc<str>) -> Seat {
        let mut inner = self.inner();
        inner.last_number += 1;
        Seat {
            executor: executor.clone(),
            number: inner.last_number,
        }
    }

    /// Takes a seat; who had it before is closed.
    pub(super) fn sit(
        &self,
        seat: &Seat,
        outlet: Arc<dyn Outlet>,
        declarations: &[Arc<Declaration>],
    ) {
        let queries = declarations
            .iter()
            .filter(|method| method.kind == MethodKind::Query)
            .map(|method| (method.name.clone(), method.version))
            .collect();
        let seated = Seated {
            number: seat.number,
            outlet,
            queries,
        };
        let before = self.inner().seated.insert(seat.executor.clone(), seated);
        let executor = &*seat.executor;
        match before {
            Some(before) => {
                tracing::info!(
                    executor,
                    "an executor attached in the place of another connection"
                );
                before.outlet.close();
            }
            None => tracing::info!(executor, "an executor attached"),
        }
        self.forget_queries(|asked| asked.executor != seat.executor);
    }

    /// Gives a seat up. Says whether it was still this one's.
    pub(super) fn leave(&self, seat: &Seat) -> bool {
        let was_seated = self.is_seated(seat);
        if was_seated {
            self.inner().seated.remove(&seat.executor);
            let (executor, lease_ms) = (&*seat.executor, self.lease_ms);
            tracing::info!(
                executor,
                lease_ms,
                "an executor left; its attempts are kept"
            );
        }
        self.forget_queries(|asked| asked != seat);
        was_seated
    }

    /// Whether nobody else has taken the seat.
    pub(super) fn is_seated(&self, seat: &Seat) -> bool {
        self.seat(&seat.executor).as_ref() == Some(seat)
    }

    /// The seat of that executor, if it is there.
    pub(super) fn seat(&self, executor: &Arc<str>) -> Option<Seat> {
        let inner = self.inner();
        let number = inner.seated.get(executor)?.number;
        let executor = executor.clone();
        Some(Seat { executor, number })
    }

    /// Tells an executor to do something, if it is there.
    pub(super) fn assign(&self, executor: &str, assignment: Assignment) {
        let inner = self.inner();
        if let Some(known) = inner.seated.get(executor) {
            known.outlet.assign(assignment);
        }
    }

    /// Asks somebody who offers the query in the highest version; nothing if nobody does.
    pub(super) fn ask(&self, method_name: &Arc<str>, kwargs: Json) -> Option<Asked<'_>> {
        let mut inner = self.inner();
        let offer = |known: &Seated| {
            let offers = known.queries.iter();
            let offers = offers.filter(|(name, _)| name == method_name);
            offers.map(|(_, version)| *version).max()
        };
        let (version, executor, number) = inner
            .seated
            .iter()
            .filter_map(|(name, known)| Some((offer(known)?, name.clone(), known.number)))
            .max()?;
        let seat = Seat { executor, number };
        let waiting = inner.queries.values().filter(|query| query.seat == seat);
        if waiting.count() >= MOST_QUERIES {
            return None;
        }
        inner.last_query += 1;
        let id = inner.last_query;
        let assignment = Assignment::Query {
            query_id: id,
            method_name: method_name.clone(),
            version,
            kwargs,
        };
        inner.seated.get(&seat.executor)?.outlet.assign(assignment);
        let (reply, answer) = oneshot::channel();
        inner.queries.insert(id, Query { seat, reply });
        Some(Asked {
            outside: self,
            id,
            answer,
        })
    }

    /// Takes the answer of a query.
    pub(super) fn answer(
        &self,
        seat: &Seat,
        query_id: u64,
        answer: Result<Json, Failure>,
    ) -> Result<(), EngineError> {
        let mut inner = self.inner();
        let is_asked = inner.queries.get(&query_id);
        if is_asked.is_none_or(|query| query.seat != *seat) {
            return Err(EngineError::Refused(opstead_core::Refusal::StaleLease));
        }
        if let Some(query) = inner.queries.remove(&query_id) {
            // Who asked may just have left.
            let _gone = query.reply.send(answer);
        }
        Ok(())
    }

    fn forget_queries(&self, keep: impl Fn(&Seat) -> bool) {
        self.inner().queries.retain(|_, query| keep(&query.seat));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics with this lock")
    }
}

impl Asked<'_> {
    /// The answer; nothing if the executor has left.
    pub(super) async fn answer(&mut self) -> Option<Result<Json, Failure>> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.outside.inner().queries.remove(&self.id);
    }
}
