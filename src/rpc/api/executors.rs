//! Executors that attach from outside: they come, are assigned attempts and queries, say what
//! becomes of them, and publish objects.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use opstead_core::{Lease, OperationInfo, Verdict};
use opstead_schema::params::{
    ExecutorsAnswerParams, ExecutorsAttachParams, ExecutorsCanceledParams, ExecutorsCapacityParams,
    ExecutorsCompleteParams, ExecutorsFailParams, ExecutorsUpdateParams, ObjectsPublishParams,
    ObjectsRetireParams,
};
use opstead_schema::results::{Attached, Taken};
use opstead_schema::{ErrorCode, ErrorObject, Fault, METHODS};
use tokio::sync::mpsc;

use super::Api;
use crate::engine::{Assignment, AttachRequest, Outlet, Said, Seat};
use crate::rpc::method::{Answer, Later, written};
use crate::rpc::push::{Opened, PushSink};
use crate::rpc::{convert, errors};

/// The most leases that one executor goes on with: it cannot have more.
const MOST_LEASES: usize = 10_000;

/// Families of methods that are the protocol's, beside those in its table.
const FAMILIES: [&str; 2] = ["flow", "flows"];

/// Which connection speaks for which executor, and by which subscription.
pub(super) type Seats = Arc<Mutex<HashMap<u64, (Seat, String)>>>;

/// The answer to what an executor says, once it is durable.
type Told = std::pin::Pin<Box<dyn Future<Output = Result<Taken, ErrorObject>> + Send>>;

/// The way to an executor: its connection. What it is told waits here until the connection takes
/// it; the core hands out no more than the executor's capacity, which bounds it.
struct Line {
    assignments: mpsc::UnboundedSender<Assignment>,
    push: PushSink,
}

impl Outlet for Line {
    fn assign(&self, assignment: Assignment) {
        // A connection that has gone is about to be told of.
        let _ = self.assignments.send(assignment);
    }

    fn close(&self) {
        self.push.close();
    }
}

/// An executor is there for as long as this is.
struct Presence {
    api: Api,
    connection: u64,
    subscription: String,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.api.leave(self.connection, &self.subscription);
    }
}

impl Api {
    /// `executors.attach`. Handed over before this returns; then the answer, and what is pushed
    /// after it.
    pub fn attach(
        &self,
        mut params: ExecutorsAttachParams,
        push: PushSink,
        subscription: String,
        connection: u64,
    ) -> Result<Later<Opened>, ErrorObject> {
        if let Some((seat, _)) = self.seats().get(&connection) {
            let message = format!(
                "this connection is attached as {:?} already",
                seat.executor()
            );
            return Err(errors::invalid_param("", &message));
        }
        self.check_attach(&params)?;
        let mut named = HashSet::new();
        params.resume.retain(|text| named.insert(text.clone()));
        let (assignments, mut assigned) = mpsc::unbounded_channel();
        let outlet = Line {
            assignments,
            push: push.clone(),
        };
        let resume: Vec<Lease> = params
            .resume
            .iter()
            .filter_map(|text| Lease::parse(text))
            .collect();
        let (seat, accepted) = self
            .engine
            .attach(AttachRequest {
                executor: params.executor.into(),
                capacity: params.capacity,
                declarations: params.methods.into_iter().map(convert::declared).collect(),
                resume,
                outlet: Arc::new(outlet),
            })
            .map_err(errors::engine)?;
        let seated = (seat, subscription.clone());
        self.seats().insert(connection, seated);
        let presence = Presence {
            api: self.clone(),
            connection,
            subscription: subscription.clone(),
        };
        let lease_ms = self.lease_ms;
        Ok(Box::pin(async move {
            let accepted = accepted.await.map_err(errors::engine)?;
            let goes_on =
                |text: &String| Lease::parse(text).is_some_and(|one| accepted.contains(&one));
            let (accepted, refused) = params.resume.into_iter().partition(goes_on);
            let answer = Answer::small(&Attached {
                subscription: subscription.clone(),
                lease_ms,
                accepted,
                refused,
            })?;
            let id = subscription.clone();
            let pump = async move {
                let _presence = presence;
                while let Some(assignment) = assigned.recv().await {
                    let text = convert::encode_assignment(&assignment, &id);
                    if push.send(written(text)).await.is_err() {
                        break;
                    }
                }
            };
            Ok(Opened {
                subscription,
                answer,
                pump: pump.boxed(),
            })
        }))
    }

    /// `executors.update`.
    pub fn update(&self, params: ExecutorsUpdateParams, connection: u64) -> Told {
        self.say(connection, || {
            let update = params.operation_info.map(convert::update);
            if let Some(update) = &update {
                self.check_report("/operationInfo", convert::update_bytes(update))?;
            }
            let error = params.non_fatal_error;
            let most = self.limits.report_bytes;
            let error = error.map(|error| failure("/nonFatalError", error, most));
            Ok(Said::Update {
                lease: held(&params.lease)?,
                update,
                error: error.transpose()?,
            })
        })
    }

    /// `executors.complete`.
    pub fn complete(&self, params: ExecutorsCompleteParams, connection: u64) -> Told {
        let most = self.limits.result_bytes;
        self.say(connection, || {
            check_bytes("/result", params.result.get().len(), most)?;
            Ok(Said::End {
                lease: held(&params.lease)?,
                verdict: Verdict::Completed(params.result.into()),
            })
        })
    }

    /// `executors.fail`.
    pub fn fail(&self, params: ExecutorsFailParams, connection: u64) -> Told {
        let most = self.limits.result_bytes;
        self.say(connection, || {
            Ok(Said::End {
                lease: held(&params.lease)?,
                verdict: Verdict::Failed(failure("/error", params.error, most)?),
            })
        })
    }

    /// `executors.canceled`.
    pub fn canceled(&self, params: ExecutorsCanceledParams, connection: u64) -> Told {
        self.say(connection, || {
            Ok(Said::End {
                lease: held(&params.lease)?,
                verdict: Verdict::Canceled,
            })
        })
    }

    /// `executors.capacity`.
    pub fn set_capacity(&self, params: ExecutorsCapacityParams, connection: u64) -> Told {
        self.say(connection, || Ok(Said::Capacity(params.capacity)))
    }

    /// `executors.answer`. Nothing of it is stored, so the place in the log is where it is now.
    pub fn answer_query(
        &self,
        params: ExecutorsAnswerParams,
        connection: u64,
    ) -> Result<Taken, ErrorObject> {
        let most = self.limits.result_bytes;
        let answer = match (params.result, params.error) {
            (Some(result), None) => {
                check_bytes("/result", result.get().len(), most)?;
                Ok(result.into())
            }
            (None, Some(error)) => Err(failure("/error", error, most)?),
            _ => {
                let message = "give either a result or an error";
                return Err(errors::invalid_param("", message));
            }
        };
        let seat = self.seat(connection)?;
        let not_asked = || {
            let message = "not a query that waits for an answer of this executor";
            ErrorObject::new(ErrorCode::StaleLease, message)
        };
        let query_id = params.query_id.parse().map_err(|_| not_asked())?;
        self.engine
            .answer_query(&seat, query_id, answer)
            .map_err(|_| not_asked())?;
        let cursor = self.engine.reader().head();
        Ok(Taken { cursor })
    }

    /// `objects.publish`.
    pub fn publish(&self, params: ObjectsPublishParams, connection: u64) -> Told {
        self.say(connection, || {
            let update = convert::update(params.operation_info);
            self.check_report("/operationInfo", convert::update_bytes(&update))?;
            let Some(description) = update.description else {
                let message = "is missing; it says how the object stands";
                let pointer = "/operationInfo/operationDescription";
                return Err(errors::invalid_param(pointer, message));
            };
            let whole = OperationInfo::new(&description);
            Ok(Said::Publish {
                alert_name: params.alert_name.into(),
                info: OperationInfo {
                    description,
                    stage_description: update.stage_description.unwrap_or_default(),
                    stage: update.stage.unwrap_or(opstead_core::Stage {
                        number: 1,
                        total: 1,
                    }),
                    percentage: update.percentage.unwrap_or(whole.percentage),
                    last_error: update.last_error.unwrap_or_default(),
                    extra_data: update.extra_data.unwrap_or(whole.extra_data),
                },
            })
        })
    }

    /// `objects.retire`.
    pub fn retire(&self, params: ObjectsRetireParams, connection: u64) -> Told {
        self.say(connection, || {
            let alert_name = params.alert_name.into();
            Ok(Said::Retire { alert_name })
        })
    }

    /// Ends what a connection is attached by, if it is by this subscription. Handed over before this
    /// returns, so the connection may attach anew at once.
    pub fn leave(&self, connection: u64, subscription: &str) {
        let mut seats = self.seats();
        if let Entry::Occupied(seated) = seats.entry(connection)
            && seated.get().1 == subscription
        {
            let (seat, _) = seated.remove();
            self.engine.leave(seat);
        }
    }

    /// The executor that a connection speaks for.
    pub(super) fn seat(&self, connection: u64) -> Result<Seat, ErrorObject> {
        let seated = self.seats().get(&connection).cloned();
        seated.map(|(seat, _)| seat).ok_or_else(|| {
            let message = "this connection speaks for no executor; call executors.attach first";
            ErrorObject::new(ErrorCode::StaleLease, message)
        })
    }

    /// The lease under which a connection registers a child.
    pub(super) fn parent(
        &self,
        text: Option<&str>,
        connection: u64,
    ) -> Result<Option<(Lease, Seat)>, ErrorObject> {
        let parent = |text| Ok((held(text)?, self.seat(connection)?));
        text.map(parent).transpose()
    }

    /// Hands over what an executor says before this returns.
    fn say(&self, connection: u64, said: impl FnOnce() -> Result<Said, ErrorObject>) -> Told {
        let sent = self.seat(connection).and_then(|seat| Ok((seat, said()?)));
        let taken = sent.map(|(seat, said)| self.engine.say(&seat, said));
        Box::pin(async move {
            let cursor = taken?.await.map_err(errors::engine)?;
            Ok(Taken { cursor })
        })
    }

    fn check_attach(&self, params: &ExecutorsAttachParams) -> Result<(), ErrorObject> {
        let mut faults = Vec::new();
        let mut blame = |pointer: String, message: String| faults.push(Fault { pointer, message });
        for (index, method) in params.methods.iter().enumerate() {
            let family = method.name.split('.').next().unwrap_or_default();
            if is_family(family) {
                let message = format!("{family:?} is a family of the protocol's own methods");
                blame(format!("/methods/{index}/name"), message);
            }
        }
        if params.resume.len() > MOST_LEASES {
            let message = format!("must name at most {MOST_LEASES} leases");
            blame("/resume".to_owned(), message);
        }
        if faults.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = faults
            .iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.message))
            .collect();
        Err(ErrorObject::invalid_params(all.join("; "), faults))
    }

    fn check_report(&self, pointer: &str, bytes: usize) -> Result<(), ErrorObject> {
        check_bytes(pointer, bytes, self.limits.report_bytes)
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (Seat, String)>> {
        // Each change is a single call, so a poisoned map is a whole one.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_family(name: &str) -> bool {
    let mut families = METHODS.iter().map(|method| method.name);
    FAMILIES.contains(&name)
        || families.any(|method| {
            method
                .split_once('.')
                .is_some_and(|(family, _)| family == name)
        })
}

/// The lease that a call names.
fn held(text: &str) -> Result<Lease, ErrorObject> {
    Lease::parse(text).ok_or_else(errors::stale_lease)
}

fn failure(
    pointer: &str,
    error: ErrorObject,
    most: u32,
) -> Result<opstead_core::Failure, ErrorObject> {
    let data = error.data.as_ref().map_or(0, |data| data.get().len());
    check_bytes(pointer, error.message.len() + data, most)?;
    if error.code == 0 {
        let message = "must not be 0, which stands for no error";
        return Err(errors::invalid_param(&format!("{pointer}/code"), message));
    }
    Ok(opstead_core::Failure {
        code: error.code,
        message: error.message.into(),
        data: error.data.map(Into::into),
    })
}

fn check_bytes(pointer: &str, bytes: usize, most: u32) -> Result<(), ErrorObject> {
    if bytes <= most as usize {
        return Ok(());
    }
    let message = format!("has {bytes} bytes; {most} are allowed");
    Err(errors::invalid_param(pointer, &message))
}
