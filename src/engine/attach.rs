//! The way into the engine for executors outside of this process: to come, to speak, to leave.

use std::sync::Arc;

use opstead_core::{
    Cursor, Declaration, Failure, Fault, InfoUpdate, Json, Lease, OperationInfo, Refusal, Verdict,
};

use super::handle::invalid;
use super::outside::{Outlet, Seat};
use super::post::Asker;
use super::request::Request;
use super::schema_bounds;
use super::schemas::Compiled;
use super::{EngineError, EngineHandle};

/// The most operations that one executor may carry out at a time.
const MOST_CAPACITY: u32 = 10_000;

/// The most methods that one executor may declare.
const MOST_METHODS: usize = 1_000;

/// The most methods that may be declared by all together, in any version: they are kept.
const MOST_DECLARED: usize = 10_000;

/// The most bytes of one declaration.
const MOST_DECLARATION_BYTES: usize = 64 << 10;

/// An executor that comes.
pub struct AttachRequest {
    /// Its name.
    pub executor: Arc<str>,
    /// How many operations it carries out at once.
    pub capacity: u32,
    /// Its methods.
    pub declarations: Vec<Declaration>,
    /// Attempts that it goes on with.
    pub resume: Vec<Lease>,
    /// The way to it.
    pub outlet: Arc<dyn Outlet>,
}

/// What the loop is given of an executor that comes.
pub(super) struct Arrival {
    pub(super) seat: Seat,
    pub(super) capacity: u32,
    pub(super) declarations: Vec<Arc<Declaration>>,
    /// Of each declaration.
    pub(super) schemas: Vec<Compiled>,
    pub(super) resume: Vec<Lease>,
    pub(super) outlet: Arc<dyn Outlet>,
}

/// What an executor says.
#[derive(Clone, Debug)]
pub enum Said {
    /// How far an attempt is.
    Update {
        /// Which attempt.
        lease: Lease,
        /// What has changed.
        update: Option<InfoUpdate>,
        /// An error that does not end it.
        error: Option<Failure>,
    },
    /// An attempt is over.
    End {
        /// Which attempt.
        lease: Lease,
        /// How.
        verdict: Verdict,
    },
    /// It carries out so many operations at once from here on.
    Capacity(u32),
    /// How an object stands.
    Publish {
        /// Which object.
        alert_name: Arc<str>,
        /// How.
        info: OperationInfo,
    },
    /// An object is no more.
    Retire {
        /// Which object.
        alert_name: Arc<str>,
    },
}

impl EngineHandle {
    /// An executor comes. The order is handed over before this returns; the answer says with which
    /// attempts it goes on. From then on it is told through its outlet what to do, until
    /// [`EngineHandle::leave`] or until another comes under its name.
    pub fn attach(
        &self,
        request: AttachRequest,
    ) -> Result<
        (
            Seat,
            impl Future<Output = Result<Vec<Lease>, EngineError>> + Send + use<>,
        ),
        EngineError,
    > {
        let schemas = self.check_arrival(&request).map_err(invalid)?;
        let seat = self.outside().new_seat(&request.executor);
        let arrival = Arrival {
            seat: seat.clone(),
            capacity: request.capacity,
            declarations: request.declarations.into_iter().map(Arc::new).collect(),
            schemas,
            resume: request.resume,
            outlet: request.outlet,
        };
        let (reply, answer) = Asker::new();
        self.ask(Request::Arrived(Box::new(arrival), reply))?;
        let handle = self.clone();
        Ok((seat, async move { handle.answer(answer).await }))
    }

    /// How long attempts are kept for an executor that is gone.
    pub fn lease_ms(&self) -> u64 {
        self.outside().lease_ms
    }

    /// An executor is gone: what it carries out is kept for a while.
    pub fn leave(&self, seat: Seat) {
        // When the loop has ended, the next start finds the executor gone.
        let _ = self.send(Request::Left(seat));
    }

    /// An executor says something; handed over like a registration. Answers the place in the log
    /// at which it was taken.
    pub fn say(
        &self,
        seat: &Seat,
        said: Said,
    ) -> impl Future<Output = Result<Cursor, EngineError>> + Send + use<> {
        let sent = check_said(&said).map_err(invalid).and_then(|()| {
            let (reply, answer) = Asker::new();
            let request = Request::Said(seat.clone(), Box::new(said), reply);
            self.ask(request).map(|()| answer)
        });
        let handle = self.clone();
        async move { handle.answer(sent?).await }
    }

    /// An executor answers a query.
    pub fn answer_query(
        &self,
        seat: &Seat,
        query_id: u64,
        answer: Result<Json, Failure>,
    ) -> Result<(), EngineError> {
        self.outside().answer(seat, query_id, answer)
    }

    /// Executors can come from now on: attempts that are kept for them are kept from now.
    pub fn listening(&self) {
        // If the loop has ended, nobody will come.
        let _ = self.send(Request::Listening);
    }

    /// Everything that is wrong with an executor that comes; else the compiled schemas.
    fn check_arrival(&self, request: &AttachRequest) -> Result<Vec<Compiled>, Vec<Fault>> {
        let mut faults = Vec::new();
        let executor = &*request.executor;
        let is_printable = !executor.chars().any(char::is_control);
        if !(1..=200).contains(&executor.chars().count()) || !is_printable {
            faults.push(Fault::new(
                "/executor",
                "must have 1 to 200 printable characters",
            ));
        } else if self.is_built_in(executor) {
            let message = format!("{executor:?} is the name of a built-in subsystem");
            faults.push(Fault::new("/executor", message));
        }
        faults.extend(check_capacity(request.capacity).err());
        let count = request.declarations.len();
        if !(1..=MOST_METHODS).contains(&count) {
            let message = format!("must declare 1 to {MOST_METHODS} methods");
            faults.push(Fault::new("/methods", message));
        }
        if self.declared_with(&request.declarations) > MOST_DECLARED {
            let message = format!("would make more than {MOST_DECLARED} methods that are declared");
            faults.push(Fault::new("/methods", message));
        }
        let mut schemas = Vec::with_capacity(count);
        for (index, method) in request.declarations.iter().enumerate() {
            let pointer = format!("/methods/{index}");
            if method.text_bytes() > MOST_DECLARATION_BYTES {
                let message = format!("is over {MOST_DECLARATION_BYTES} bytes");
                faults.push(Fault::new(&pointer, message));
            }
            faults.extend(method.check(&pointer).err().into_iter().flatten());
            let capacity = self.capacity();
            if method.weight > capacity {
                let message = format!("{} is over the whole capacity of {capacity}", method.weight);
                faults.push(Fault::new(format!("{pointer}/weight"), message));
            }
            let subsystem = method.subsystem();
            if self.is_built_in(subsystem) {
                let message = format!("{subsystem:?} is a built-in subsystem");
                faults.push(Fault::new(format!("{pointer}/name"), message));
            }
            let mut earlier = request.declarations[..index].iter();
            if earlier.any(|other| (&other.name, other.version) == (&method.name, method.version)) {
                let message = "is declared in this version before";
                faults.push(Fault::new(format!("{pointer}/name"), message));
            }
            if let Some(schema) = &method.kwargs_schema {
                let pointer = format!("{pointer}/kwargsSchema");
                let out_of_bounds = schema_bounds::faults(schema, &pointer);
                if !out_of_bounds.is_empty() {
                    faults.extend(out_of_bounds);
                    continue;
                }
            }
            match Compiled::new(method) {
                Ok(compiled) => schemas.push(compiled),
                Err(message) => {
                    faults.push(Fault::new(format!("{pointer}/kwargsSchema"), message));
                }
            }
        }
        if faults.is_empty() {
            Ok(schemas)
        } else {
            Err(faults)
        }
    }
}

fn check_capacity(capacity: u32) -> Result<(), Fault> {
    if capacity <= MOST_CAPACITY {
        return Ok(());
    }
    let message = format!("must be at most {MOST_CAPACITY}");
    Err(Fault::new("/capacity", message))
}

fn check_said(said: &Said) -> Result<(), Vec<Fault>> {
    let faults = |refusal| match refusal {
        Refusal::Invalid { faults } => faults,
        other => unreachable!("an update is {other}"),
    };
    match said {
        Said::Update {
            update: Some(update),
            ..
        } => update.check().map_err(faults),
        Said::Capacity(capacity) => check_capacity(*capacity).map_err(|fault| vec![fault]),
        _ => Ok(()),
    }
}
