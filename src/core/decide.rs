//! Deciding: a command becomes events, or is refused. Nothing here changes the state.
//!
//! What may follow what:
//!
//! | state | goes to |
//! | --- | --- |
//! | waiting | running, canceled |
//! | running | completed, failed, canceling, waiting (another attempt) |
//! | canceling | canceled, completed, failed |

mod attempt;
mod register;

use std::sync::Arc;

use crate::command::{Command, Order, Registration, Reply};
use crate::declaration::Declaration;
use crate::event::{Change, Cursor, Event, EventBody, OperationEvent};
use crate::operation::{Failure, LastError, Operation, OperationInfo, OperationState};
use crate::refusal::Refusal;
use crate::state::{Executor, Limits, State};

/// How many operations one command starts at the most; the rest is left to
/// [`Order::ContinueWake`].
const START_BATCH: usize = 256;

/// What a command led to.
#[derive(Debug)]
pub struct Executed {
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
}

/// The answer, as far as it is known before the events are applied.
pub(crate) enum Answer {
    Reply(Reply),
    /// The registration of the operation of this sequence.
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
        }
    }

    fn reply(reply: Reply) -> Self {
        Self {
            events: Vec::new(),
            answer: Answer::Reply(reply),
            frees: false,
        }
    }
}

impl State {
    /// Decides a command, applies what it leads to and starts whatever that lets run. A refusal
    /// leaves no trace.
    pub fn execute(&mut self, limits: &Limits, command: Command) -> Result<Executed, Refusal> {
        let now = command.now;
        let decision = self.decide(limits, command)?;
        let mut events = Vec::with_capacity(decision.events.len());
        let mut ended = Vec::new();
        let mut happen = |state: &mut Self, body| {
            let event = Event { time: now, body };
            ended.extend(state.apply(&event));
            events.push(event);
        };
        for body in decision.events {
            happen(self, body);
        }
        if decision.frees {
            for _ in 0..START_BATCH {
                let Some(body) = self.next_start() else { break };
                happen(self, body);
            }
        }
        let reply = match decision.answer {
            Answer::Reply(reply) => reply,
            Answer::Registered(sequence) => Reply::Registered(self.registration(sequence, false)),
            Answer::Operation(sequence) => Reply::Operation(match self.operations.get(&sequence) {
                Some(operation) => operation.clone(),
                None => ended[0].clone(),
            }),
        };
        Ok(Executed {
            events,
            ended,
            reply,
        })
    }

    /// Whether nothing is left for [`Order::ContinueWake`] to do.
    pub fn is_settled(&self) -> bool {
        !self.claims.has_wakes() && self.next_start().is_none()
    }

    fn decide(&self, limits: &Limits, command: Command) -> Result<Decision, Refusal> {
        match command.order {
            Order::Register(register) => self.decide_register(limits, *register, command.now),
            Order::Cancel { id, ended } => self.decide_cancel(id, ended),
            Order::Update {
                lease,
                update,
                flush,
            } => self.decide_update(lease, update, flush, command.now),
            Order::RecordError { lease, failure } => {
                self.decide_error(limits, lease, failure, command.now)
            }
            Order::End {
                lease,
                update,
                verdict,
            } => self.decide_end(lease, update, verdict),
            Order::Attach {
                executor,
                capacity,
                declarations,
            } => Ok(self.decide_attach(executor, capacity, &declarations)),
            Order::Detach { executor } => Ok(self.decide_detach(executor)),
            Order::ContinueWake => {
                let pending = self.claims.has_wakes();
                Ok(Decision::done(
                    pending
                        .then_some(EventBody::WakeContinued)
                        .into_iter()
                        .collect(),
                ))
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
                    Ok(Decision::reply(Reply::Operation(operation)))
                }
                Some(operation) => Err(Refusal::OperationEnded {
                    state: operation.state,
                }),
                None => Err(Refusal::OperationNotFound { id }),
            };
        };
        let events = match operation.state {
            OperationState::Waiting => vec![canceled(operation, &operation.info)],
            OperationState::Running if !operation.request.cancelable => {
                let method_name = operation.subject.method_name.clone();
                return Err(Refusal::NotCancelable { method_name });
            }
            OperationState::Running => {
                let info = operation.info.described("Canceling");
                vec![event(
                    operation,
                    OperationState::Canceling,
                    info,
                    Change::CancelRequested,
                )]
            }
            _ => Vec::new(),
        };
        let answer = Answer::Operation(operation.subject.sequence);
        Ok(Decision {
            events,
            answer,
            frees: true,
        })
    }

    fn decide_attach(
        &self,
        executor: Arc<str>,
        capacity: u32,
        declarations: &[Arc<Declaration>],
    ) -> Decision {
        let mut events: Vec<EventBody> = declarations
            .iter()
            .filter(|new| {
                self.declaration(&new.name, Some(new.version))
                    .is_none_or(|known| known != *new)
            })
            .map(|new| EventBody::MethodDeclared(new.clone()))
            .collect();
        events.extend(self.interruptions(&executor));
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
        Decision::done(events)
    }

    fn decide_detach(&self, executor: Arc<str>) -> Decision {
        let mut events = self.interruptions(&executor);
        if self
            .executors
            .get(&executor)
            .is_some_and(|known| known.attached)
        {
            events.insert(0, EventBody::ExecutorDetached { executor });
        }
        Decision::done(events)
    }

    /// The next operation that can start: the oldest of those that a free executor offers.
    pub(super) fn next_start(&self) -> Option<EventBody> {
        if self.ready.is_empty() {
            return None;
        }
        let (sequence, executor) = self
            .executors
            .values()
            .filter(|executor| executor.is_free())
            .filter_map(|executor| Some((self.next_on(executor)?, &executor.name)))
            .min()?;
        self.operations
            .get(&sequence)
            .map(|operation| started(operation, executor.clone()))
    }

    /// The oldest operation that waits for nothing but an executor, of those that this one offers.
    fn next_on(&self, executor: &Executor) -> Option<Cursor> {
        if self.ready.is_empty() {
            return None;
        }
        let ready = |(method, version): &(Arc<str>, u32)| {
            let from = (method.clone(), *version, 0);
            let until = (method.clone(), *version, Cursor::MAX);
            let (_, _, sequence) = self.ready.range(from..until).next()?;
            Some(*sequence)
        };
        executor.offers.iter().filter_map(ready).min()
    }

    /// The registration of an open operation.
    fn registration(&self, sequence: Cursor, existing: bool) -> Registration {
        let operation = &self.operations[&sequence];
        Registration {
            id: operation.subject.id.clone(),
            alert_name: operation.subject.alert_name.clone(),
            reasons: self.reasons(operation),
            state: operation.state,
            existing,
            cursor: sequence,
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

fn started(operation: &Operation, executor: Arc<str>) -> EventBody {
    let attempt = operation.attempt + 1;
    event(
        operation,
        OperationState::Running,
        operation.info.running(),
        Change::Started { attempt, executor },
    )
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
        info.last_error = LastError {
            code: failure.code,
            message: failure.message.clone(),
        };
    }
    info
}
