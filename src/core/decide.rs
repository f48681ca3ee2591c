//! Deciding: a command becomes events, or is refused. Nothing here changes the state.
//!
//! What may follow what:
//!
//! | state | goes to |
//! | --- | --- |
//! | scheduled | waiting, failed, skipped, canceled |
//! | waiting | running, skipped, failed (too late to start, or never to be placed), canceled |
//! | running | completed, failed, canceling, waiting (another attempt); a flow also reverting |
//! | canceling | canceled, completed, failed; a flow reverting |
//! | completed, failed, canceled | reverting, only as a step of a flow that is not done |
//! | reverting | reverted, revertFailed |
//! | revertFailed | reverting, reverted |

mod attempt;
mod due;
mod flow;
mod flow_order;
mod flow_register;
mod object;
mod register;

use std::sync::Arc;

use flow::WayOut;

use crate::command::{Command, Lease, Moment, Order, Registration, Reply};
use crate::conditions::{Steady, Timer};
use crate::declaration::Declaration;
use crate::event::{Change, Cursor, Event, EventBody, OperationEvent};
use crate::failure::Failure;
use crate::flow::Phase;
use crate::operation::{Operation, OperationInfo, OperationState};
use crate::refusal::Refusal;
use crate::schemas::Schemas;
use crate::state::{Limits, State};

/// How many steps follow one command by themselves at the most; the rest is left to
/// [`Order::Continue`].
const START_BATCH: usize = 256;

/// About the bytes that such steps may read and lead to: with the step that reaches it, it is enough.
/// What ends is written whole, and operations and the results that others take may be large.
const START_BYTES: usize = 128 << 10;

/// What a command led to.
#[derive(Debug)]
pub struct Executed {
    /// About how many bytes were gone through beside those of the events.
    pub read_bytes: usize,
    /// What has happened, in order. The first event's cursor is the one behind the head before.
    pub events: Vec<Event>,
    /// The operations that ended; the state has forgotten them.
    pub ended: Vec<Arc<Operation>>,
    /// What to tell the caller, once the events are durable.
    pub reply: Reply,
}

/// Events to come, and the answer.
pub(crate) struct Decision {
    pub(crate) events: Vec<EventBody>,
    pub(crate) answer: Answer,
    /// Whether the events may let waiting operations start.
    pub(crate) frees: bool,
    /// Operations that are said to be postponed, unless the events let them start.
    pub(crate) postpone: Vec<Cursor>,
}

/// The answer, as far as it is known before the events are applied.
pub(crate) enum Answer {
    Reply(Reply),
    /// The registration of the operation of this sequence, which may have ended at once.
    Registered(Cursor),
    /// The operation of this sequence, which may just have ended.
    Operation(Cursor),
}

impl Decision {
    fn done(events: Vec<EventBody>) -> Self {
        Self {
            events,
            answer: Answer::Reply(Reply::Done),
            frees: true,
            postpone: Vec::new(),
        }
    }

    fn reply(reply: Reply) -> Self {
        Self {
            events: Vec::new(),
            answer: Answer::Reply(reply),
            frees: false,
            postpone: Vec::new(),
        }
    }
}

impl State {
    /// Decides a command, applies what it leads to and starts whatever that lets run. A refusal
    /// leaves no trace.
    pub fn execute(
        &mut self,
        limits: &Limits,
        schemas: &dyn Schemas,
        command: Command,
    ) -> Result<Executed, Refusal> {
        let now = command.now;
        let decision = self.decide(limits, command)?;
        let mut events = Vec::with_capacity(decision.events.len());
        let mut ended = Vec::new();
        let mut happen = |state: &mut Self, body| {
            let event = Event {
                time: now.time,
                body,
            };
            let done = state.apply(&event);
            let record = done.iter().map(|record| record.text_bytes()).sum::<usize>();
            let bytes = event.text_bytes() + record;
            ended.extend(done);
            events.push(event);
            bytes
        };
        for body in decision.events {
            happen(self, body);
        }
        let mut read_bytes = 0;
        if decision.frees {
            let mut bytes = 0;
            for _ in 0..START_BATCH {
                if bytes >= START_BYTES {
                    break;
                }
                let Some(step) = self.next_step(now, Some(schemas)) else {
                    break;
                };
                let read = step.iter().map(|body| self.bytes_to_start(body));
                let read: usize = read.sum();
                read_bytes += read;
                bytes += read;
                let steps = step.into_iter().map(|body| happen(self, body));
                bytes += steps.sum::<usize>();
            }
        }
        for sequence in decision.postpone {
            if let Some(operation) = self.operations.get(&sequence)
                && !self.reasons(operation, now).is_empty()
            {
                let (state, info) = (operation.state, operation.info.clone());
                let postponed = event(operation, state, info, Change::Postponed);
                happen(self, postponed);
            }
        }
        let stands = |sequence: Cursor| match self.operations.get(&sequence) {
            Some(operation) => operation.clone(),
            None => ended
                .iter()
                .find(|operation| operation.subject.sequence == sequence)
                .expect("an operation is open or has just ended")
                .clone(),
        };
        let reply = match decision.answer {
            Answer::Reply(reply) => reply,
            Answer::Registered(sequence) => {
                Reply::Registered(self.registration(&stands(sequence), false, now))
            }
            Answer::Operation(sequence) => {
                let operation = stands(sequence);
                let reasons = self.reasons(&operation, now);
                Reply::Operation(operation, reasons)
            }
        };
        Ok(Executed {
            read_bytes,
            events,
            ended,
            reply,
        })
    }

    /// Whether nothing is left for [`Order::Continue`] to do at this moment.
    pub fn is_settled(&self, now: Moment) -> bool {
        !self.is_waking() && self.next_step(now, None).is_none()
    }

    /// Whether something is under way that is done a few at a time.
    fn is_waking(&self) -> bool {
        self.claims.has_wakes() || !self.cascades.is_empty()
    }

    fn decide(&self, limits: &Limits, command: Command) -> Result<Decision, Refusal> {
        match command.order {
            Order::Register(register) => self.decide_register(limits, *register, command.now),
            Order::RegisterFlow(flow) => self.decide_register_flow(limits, *flow, command.now),
            Order::RetryRevert { id, ended } => self.decide_way_out(id, ended, WayOut::Retry),
            Order::SkipRevert { id, ended } => self.decide_way_out(id, ended, WayOut::Skip),
            Order::Cancel { id, ended } => self.decide_cancel(id, ended),
            Order::Update {
                lease,
                update,
                flush,
            } => self.decide_update(lease, update, flush, command.now.time),
            Order::RecordError { lease, failure } => {
                self.decide_error(limits, lease, failure, command.now.time)
            }
            Order::End {
                lease,
                update,
                verdict,
            } => self.decide_end(lease, update, verdict, command.now.steady),
            Order::Attach {
                executor,
                capacity,
                declarations,
                resume,
            } => Ok(self.decide_attach(executor, capacity, &declarations, resume)),
            Order::Detach { executor, keep_ms } => {
                Ok(self.decide_detach(executor, keep_ms, command.now.steady))
            }
            Order::Resize { executor, capacity } => Ok(self.decide_resize(executor, capacity)),
            Order::Publish { alert_name, info } => self.decide_publish(limits, alert_name, info),
            Order::Retire { alert_name } => self.decide_retire(alert_name),
            Order::SetCapacity { capacity } => Ok(self.decide_capacity(capacity)),
            Order::Continue => {
                let more = self.is_waking().then_some(EventBody::WakeContinued);
                Ok(Decision::done(more.into_iter().collect()))
            }
            Order::Purge { operations } if operations.is_empty() => {
                Ok(Decision::reply(Reply::Done))
            }
            Order::Purge { operations } => {
                Ok(Decision::done(vec![EventBody::Purged { operations }]))
            }
        }
    }

    fn decide_cancel(
        &self,
        id: Arc<str>,
        ended: Option<Arc<Operation>>,
    ) -> Result<Decision, Refusal> {
        let Some(operation) = self.operation(&id) else {
            return match ended {
                Some(operation) if operation.state == OperationState::Canceled => {
                    Ok(Decision::reply(Reply::Operation(operation, Vec::new())))
                }
                Some(operation) => Err(Refusal::OperationEnded {
                    state: operation.state,
                }),
                None => Err(Refusal::OperationNotFound { id }),
            };
        };
        let is_flow_back = operation.is_flow() && operation.phase() == Phase::Back;
        let events = match operation.state {
            _ if operation.is_step() => {
                let (what, when) = (id, "alone: cancel its flow");
                return Err(Refusal::NotCancelable { what, when });
            }
            _ if is_flow_back => {
                let (what, when) = (id, "any more: it is being reverted");
                return Err(Refusal::NotCancelable { what, when });
            }
            OperationState::Waiting | OperationState::Scheduled => {
                self.with_steps(operation, canceled(operation, &operation.info))
            }
            OperationState::Running if !operation.request.cancelable => {
                let (what, when) = (operation.subject.method_name.clone(), "while it runs");
                return Err(Refusal::NotCancelable { what, when });
            }
            OperationState::Running => vec![cancel_requested(operation)],
            _ => Vec::new(),
        };
        let answer = Answer::Operation(operation.subject.sequence);
        Ok(Decision {
            events,
            answer,
            frees: true,
            postpone: Vec::new(),
        })
    }

    fn decide_attach(
        &self,
        executor: Arc<str>,
        capacity: u32,
        declarations: &[Arc<Declaration>],
        mut resume: Vec<Lease>,
    ) -> Decision {
        let mut events: Vec<EventBody> = declarations
            .iter()
            .filter(|new| {
                self.declaration(&new.name, Some(new.version))
                    .is_none_or(|known| known != *new)
            })
            .map(|new| EventBody::MethodDeclared(new.clone()))
            .collect();
        resume.retain(|lease| {
            let holder = self.leased(*lease).map(|operation| &operation.executor);
            holder.is_ok_and(|holder| *holder == Some(executor.clone()))
        });
        events.extend(self.interruptions(&executor, &resume));
        let offers: Vec<_> = declarations
            .iter()
            .map(|method| (method.name.clone(), method.version))
            .collect();
        let known = self.executors.get(&executor).is_some_and(|known| {
            known.attached && known.capacity == capacity && known.offers == offers
        });
        if !known {
            events.push(EventBody::ExecutorAttached {
                executor,
                capacity,
                offers,
            });
        }
        Decision {
            answer: Answer::Reply(Reply::Attached(resume)),
            ..Decision::done(events)
        }
    }

    fn decide_detach(&self, executor: Arc<str>, keep_ms: Option<u64>, since: Steady) -> Decision {
        let Some(known) = self.executors.get(&executor) else {
            return Decision::reply(Reply::Done);
        };
        let kept = keep_ms.map(|ms| Timer { since, ms });
        let interruptions = match kept {
            Some(_) => Vec::new(),
            None => self.interruptions(&executor, &[]),
        };
        let mut events = Vec::with_capacity(interruptions.len() + 1);
        if known.attached || known.kept != kept {
            events.push(EventBody::ExecutorDetached { executor, kept });
        }
        events.extend(interruptions);
        Decision::done(events)
    }

    fn decide_resize(&self, executor: Arc<str>, capacity: u32) -> Decision {
        let known = self.executors.get(&executor);
        let resized = known.filter(|known| known.attached && known.capacity != capacity);
        let attached = resized.map(|known| EventBody::ExecutorAttached {
            executor,
            capacity,
            offers: known.offers.clone(),
        });
        Decision::done(attached.into_iter().collect())
    }

    fn decide_capacity(&self, capacity: u32) -> Decision {
        let is_new = self.capacity.whole != capacity;
        let set = is_new.then_some(EventBody::CapacitySet { capacity });
        Decision::done(set.into_iter().collect())
    }

    /// How an operation was registered, and how it stands now.
    fn registration(&self, operation: &Operation, existing: bool, now: Moment) -> Registration {
        Registration {
            id: operation.subject.id.clone(),
            alert_name: operation.subject.alert_name.clone(),
            reasons: self.reasons(operation, now),
            state: operation.state,
            existing,
            cursor: operation.subject.sequence,
        }
    }
}

/// An event of an operation.
fn event(
    operation: &Operation,
    state: OperationState,
    info: impl Into<Arc<OperationInfo>>,
    change: Change,
) -> EventBody {
    let subject = operation.subject.clone();
    EventBody::Operation(OperationEvent {
        subject,
        state,
        info: info.into(),
        change,
    })
}

/// The number of the next attempt, and how long it may take.
fn started_by(operation: &Operation, since: Steady) -> (u32, Option<Timer>) {
    let asked = operation.request.conditions.as_ref();
    let timeout = asked.and_then(|asked| asked.attempt_timeout_ms);
    let timeout = timeout.map(|ms| Timer { since, ms });
    (operation.attempt + 1, timeout)
}

fn started(operation: &Operation, executor: Arc<str>, since: Steady) -> EventBody {
    let (attempt, timeout) = started_by(operation, since);
    let change = Change::Started {
        attempt,
        executor,
        timeout,
    };
    let has_failed = attempt > 1 && operation.request.retry().is_some();
    let info = operation.info.running(has_failed);
    event(operation, OperationState::Running, info, change)
}

fn cancel_requested(operation: &Operation) -> EventBody {
    let info = operation.info.described("Canceling");
    let state = OperationState::Canceling;
    event(operation, state, info, Change::CancelRequested)
}

/// The end with an error; `info` is the operation's last.
fn failed(operation: &Operation, info: &OperationInfo, failure: Failure) -> EventBody {
    let info = ended(info.described("Failed"), Some(&failure));
    event(
        operation,
        OperationState::Failed,
        info,
        Change::Failed(failure),
    )
}

/// The end because somebody canceled it; `info` is the operation's last.
fn canceled(operation: &Operation, info: &OperationInfo) -> EventBody {
    let failure = Failure::canceled();
    let info = ended(info.described("Canceled"), Some(&failure));
    event(
        operation,
        OperationState::Canceled,
        info,
        Change::Canceled(failure),
    )
}

/// The info of an operation that has ended: all stages are behind it.
fn ended(mut info: OperationInfo, failure: Option<&Failure>) -> OperationInfo {
    info.stage.number = info.stage.total;
    if let Some(failure) = failure {
        info.last_error = failure.into();
    }
    info
}
