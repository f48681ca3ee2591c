//! The loop: gather, decide, append, release. One turn makes one block.

mod flow;
mod hand_over;
mod outside;
mod register;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opstead_core::{
    Change, Command, Event, EventBody, Executed, Failure, InfoUpdate, Json, Lease, Moment,
    Operation, OperationEvent, Order, Purged, Reply, State, Steady, Verdict,
};
use tokio::sync::mpsc;

use hand_over::Known;

use super::alarm::Alarm;
use super::attempts::Attempts;
use super::draft::{Answer, Draft};
use super::executor::Executor;
use super::housekeeping::Housekeeping;
use super::post::Post;
use super::reports::{Early, Report};
use super::request::{PurgeTarget, Request};
use super::{EngineConfig, EngineError, EngineHandle, Observer};
use crate::journal::{AppendError, Block, Journal, ReadError};

/// The most requests of one turn.
const MOST_REQUESTS: usize = 4_096;

/// About the most bytes of one block on disk; a single larger request still fits. Less than a
/// segment of sled: so a block does not reach over several, of which sled might take a freed one
/// into use again before our sync.
const MOST_BLOCK_BYTES: usize = 384 << 10;

/// The loop's belongings.
pub(super) struct Loop {
    config: EngineConfig,
    journal: Box<dyn Journal>,
    state: State,
    handle: EngineHandle,
    requests: mpsc::UnboundedReceiver<Request>,
    /// Received and not taken up yet.
    inbox: VecDeque<Request>,
    attempts: Attempts,
    housekeeping: Housekeeping,
    observer: Observer,
    ulids: ulid::Generator,
    alarm: Alarm,
    now: Moment,
    /// Read before `now`: what is due by it is due by the time of day too.
    uptime: Duration,
    /// Where the steady clock goes on, and the uptime at that moment.
    steady: (Steady, Duration),
    stopping: bool,
}

/// What sets the capacity, attaches these executors, and detaches all others that the state knows.
pub(super) fn first_orders(
    config: &EngineConfig,
    state: &State,
    executors: &[Arc<dyn Executor>],
) -> Vec<Order> {
    let capacity = config.capacity;
    let names: HashSet<_> = executors.iter().map(|executor| executor.name()).collect();
    let gone = state
        .executors()
        .filter(|known| !names.contains(&*known.name));
    let detach = gone.map(|known| Order::Detach {
        executor: known.name.clone(),
        // One that is switched off will not come back.
        keep_ms: (!config.built_in.contains(&&*known.name)).then_some(config.lease_ms),
    });
    let attach = executors.iter().map(|executor| Order::Attach {
        executor: executor.name().into(),
        capacity: executor.capacity(),
        declarations: executor.declarations(),
        resume: Vec::new(),
    });
    let set = std::iter::once(Order::SetCapacity { capacity });
    set.chain(detach).chain(attach).collect()
}

impl Loop {
    pub(super) fn new(
        config: EngineConfig,
        journal: Box<dyn Journal>,
        state: State,
        (handle, requests): (EngineHandle, mpsc::UnboundedReceiver<Request>),
        attempts: Attempts,
        alarm: Alarm,
        observer: Observer,
    ) -> Result<Self, ReadError> {
        let checkpoint = journal.reader().checkpoint()?;
        let checkpoint = checkpoint.map_or(0, |newest| newest.head);
        Ok(Self {
            housekeeping: Housekeeping::new(&config, checkpoint),
            steady: (state.steady(), config.clock.uptime()),
            config,
            journal,
            state,
            handle,
            requests,
            inbox: VecDeque::new(),
            attempts,
            observer,
            ulids: ulid::Generator::new(),
            alarm,
            now: Moment::default(),
            uptime: Duration::ZERO,
            stopping: false,
        })
    }

    /// Executes the first orders, which are never refused, and lets the clock tick.
    pub(super) fn begin(&mut self, orders: Vec<Order>) -> Result<(), AppendError> {
        let mut draft = Draft::default();
        self.read_clock();
        for order in orders {
            self.report(order, &mut draft);
        }
        self.finish(draft)?;
        self.attempts.begin_ticks(self.config.tick);
        Ok(())
    }

    /// Runs until somebody stops the engine or the journal fails.
    pub(super) fn run(mut self) -> Result<(), AppendError> {
        let ended = self.turns();
        if ended.is_ok() {
            self.handle.stopped();
        }
        self.attempts.cancel_all();
        ended
    }

    fn turns(&mut self) -> Result<(), AppendError> {
        while self.gather() {
            self.read_clock();
            let draft = self.decide();
            self.finish(draft)?;
        }
        Ok(())
    }

    /// Waits for something to do. Says whether there will be more turns.
    fn gather(&mut self) -> bool {
        if self.stopping {
            return false;
        }
        if self.inbox.is_empty() && self.state.is_settled(self.now) {
            match self.requests.blocking_recv() {
                Some(request) => self.inbox.push_back(request),
                None => return false,
            }
        }
        while self.inbox.len() < MOST_REQUESTS
            && let Ok(request) = self.requests.try_recv()
        {
            self.inbox.push_back(request);
        }
        true
    }

    fn decide(&mut self) -> Draft {
        let mut draft = Draft::default();
        if !self.state.is_settled(self.now) {
            self.report(Order::Continue, &mut draft);
        }
        while !self.stopping
            && draft.bytes < MOST_BLOCK_BYTES
            && let Some(request) = self.inbox.pop_front()
        {
            self.handle.taken_up(&request);
            self.take(request, &mut draft);
        }
        draft
    }

    fn take(&mut self, request: Request, draft: &mut Draft) {
        match request {
            Request::Order(order, reply) => {
                let answer = self
                    .prepare(order, draft)
                    .and_then(|order| self.execute(order, draft));
                draft.answers.push(Answer::Order(reply, answer));
            }
            Request::Register(asked, reply) => {
                let answer = self.register(asked, draft);
                draft.answers.push(Answer::Order(reply, answer));
            }
            Request::RegisterFlow(asked, reply) => {
                let answer = self.register_flow(asked, draft);
                draft.answers.push(Answer::Order(reply, answer));
            }
            Request::Snapshot(reply) => draft.answers.push(Answer::Snapshot(reply)),
            Request::Purge(which, reply) => {
                let purged = self.purge(which, draft);
                draft.answers.push(Answer::Purge(reply, purged));
            }
            Request::Reports(lease) => self.hear(lease, false, draft),
            Request::Ended(lease, outcome) => self.end(lease, outcome, draft),
            Request::Arrived(arrival, reply) => {
                let seat = arrival.seat.clone();
                let accepted = self.arrive(*arrival, draft);
                draft.answers.push(Answer::Arrived(seat, reply, accepted));
            }
            Request::Said(seat, said, reply) => {
                let taken = self.take_said(&seat, *said, draft);
                draft.answers.push(Answer::Said(reply, taken));
            }
            Request::Left(seat) => self.leave(&seat, draft),
            Request::Listening => self.listen(draft),
            // Whatever is due is done at the beginning of each turn.
            Request::Due => {}
            Request::Tick => self.tick(draft),
            Request::Stop => self.stopping = true,
        }
    }

    /// Adds to an order what only the loop knows: who ended under the id.
    fn prepare(&mut self, mut order: Order, draft: &Draft) -> Result<Order, EngineError> {
        if let Order::Cancel { id, ended }
        | Order::RetryRevert { id, ended }
        | Order::SkipRevert { id, ended } = &mut order
        {
            *ended = self.ended(id, draft)?;
        }
        Ok(order)
    }

    /// The ended operation of that id, if no open one bears it.
    fn ended(&self, id: &str, draft: &Draft) -> Result<Option<Arc<Operation>>, EngineError> {
        if self.state.operation(id).is_some() {
            return Ok(None);
        }
        let ended = match draft.ended(id) {
            Some(operation) => Some(operation.clone()),
            None => self.handle.reader().ended(id).map_err(|error| {
                tracing::error!(%error, id, "an ended operation could not be read");
                EngineError::StorageFailed
            })?,
        };
        Ok(ended.filter(|operation| !draft.purged.contains(&operation.subject.sequence)))
    }

    fn execute(&mut self, order: Order, draft: &mut Draft) -> Result<Reply, EngineError> {
        let command = Command {
            now: self.now,
            order,
        };
        let known = Known {
            handle: &self.handle,
            vault: &self.config.vault,
        };
        let Executed {
            read_bytes,
            events,
            ended,
            reply,
        } = self.state.execute(&self.config.limits, &known, command)?;
        draft.add(events, ended);
        draft.bytes += read_bytes;
        Ok(reply)
    }

    /// Executes what nobody waits for an answer to. A refusal means that the attempt is over:
    /// whatever its executor still has to say comes too late.
    fn report(&mut self, order: Order, draft: &mut Draft) -> Option<Reply> {
        self.execute(order, draft)
            .inspect_err(|refusal| tracing::debug!(%refusal, "a report was not taken"))
            .ok()
    }

    /// Takes up what an executor has said of its attempt. With `flush` progress is told however
    /// little it is; else what comes too soon after the last is left for later.
    fn hear(&mut self, lease: Lease, flush: bool, draft: &mut Draft) {
        if let Some(early) = self.take_reports(lease, flush, draft) {
            self.attempts.put_back(lease, early);
        }
    }

    /// Takes up what an executor has said, in its order. Returns progress that comes too soon.
    fn take_reports(&mut self, lease: Lease, flush: bool, draft: &mut Draft) -> Option<Early> {
        let (reports, since) = self.attempts.take(lease)?;
        let mut early = None;
        for report in reports {
            match report {
                Report::Error(failure) => {
                    self.report(Order::RecordError { lease, failure }, draft);
                }
                Report::Progress { update: newer, .. } => {
                    let mut update: InfoUpdate = early.take().unwrap_or_default();
                    update.merge(newer);
                    let order = Order::Update {
                        lease,
                        update: update.clone(),
                        flush,
                    };
                    if let Some(Reply::Deferred) = self.report(order, draft) {
                        early = Some(update);
                    }
                }
            }
        }
        early.map(|update| Early { update, since })
    }

    fn end(&mut self, lease: Lease, outcome: Result<Json, Failure>, draft: &mut Draft) {
        let early = self.take_reports(lease, false, draft);
        self.attempts.end(lease);
        let order = Order::End {
            lease,
            update: early.map(|early| early.update).unwrap_or_default(),
            verdict: match outcome {
                Ok(result) => Verdict::Completed(result),
                // By which an executor within the process answers that it is to stop.
                Err(failure) if failure == Failure::canceled() => Verdict::Canceled,
                Err(failure) => Verdict::Failed(failure),
            },
        };
        self.report(order, draft);
    }

    fn tick(&mut self, draft: &mut Draft) {
        for lease in self.attempts.overdue() {
            self.hear(lease, true, draft);
        }
        draft.ticked = true;
    }

    fn purge(&mut self, which: PurgeTarget, draft: &mut Draft) -> Result<usize, EngineError> {
        let operations: Vec<Purged> = match which {
            PurgeTarget::Ids(ids) => self.ended_by_id(&ids, draft)?,
            PurgeTarget::Operations(mut operations) => {
                let archive = self.handle.reader().archive();
                operations.retain(|purged| archive.get(purged.sequence).is_some());
                operations
            }
        };
        let fresh: Vec<Purged> = operations
            .into_iter()
            .filter(|purged| draft.purged.insert(purged.sequence))
            .collect();
        let count = fresh.len();
        if count > 0 {
            self.execute(Order::Purge { operations: fresh }, draft)?;
        }
        Ok(count)
    }

    fn ended_by_id(&self, ids: &[Arc<str>], draft: &Draft) -> Result<Vec<Purged>, EngineError> {
        let mut operations = Vec::with_capacity(ids.len());
        for id in ids {
            let ended = self.ended(id, draft)?;
            // Steps go with their flow, and never without it.
            if let Some(operation) = ended.filter(|ended| !ended.is_step()) {
                operations.push(Purged::from(&*operation));
                for step in self.steps_of_ended(&operation, draft)? {
                    operations.push(Purged::from(&*step));
                }
            }
        }
        Ok(operations)
    }

    /// Makes the turn's block durable, then lets out what it promises.
    fn finish(&mut self, draft: Draft) -> Result<(), AppendError> {
        let (bytes, ticked) = (draft.bytes, draft.ticked);
        let (block, answers) = draft.finish(self.state.head());
        if !block.events.is_empty() {
            if let Err(error) = self.journal.append(block.first - 1, &block) {
                let mut post = Post::default();
                answers
                    .into_iter()
                    .for_each(|answer| answer.fail(&mut post));
                post.deliver();
                return Err(error);
            }
            self.housekeeping.appended(bytes);
        }
        self.release(&block, answers);
        self.alarm.set(&self.state, self.now);
        if ticked {
            self.housekeeping.tick(
                &self.handle,
                &self.state,
                &mut *self.journal,
                self.now.time,
                self.uptime,
            );
        }
        Ok(())
    }

    /// The one place from which alerts, replies and assignments leave. Alerts first: who has been
    /// answered finds in the log what the answer tells of.
    fn release(&mut self, block: &Arc<Block>, answers: Vec<Answer>) {
        let lost = block.events.iter().filter(|event| is_lost(event)).count();
        if lost > 0 {
            tracing::info!(
                lost,
                "attempts are given up, whose executors did not come back"
            );
        }
        if !block.events.is_empty() {
            (self.observer)(block);
            self.handle.changes().published(block);
        }
        let mut post = Post::default();
        for answer in answers {
            match answer {
                Answer::Order(asker, answer) => post.add(asker, answer),
                Answer::Snapshot(asker) => {
                    post.add(asker, self.handle.share(&self.state, self.now));
                }
                Answer::Purge(asker, count) => post.add(asker, count),
                Answer::Said(asker, taken) => post.add(asker, taken),
                Answer::Arrived(seat, asker, accepted) => {
                    for lease in accepted.iter().flatten() {
                        self.resume(*lease, &seat);
                    }
                    post.add(asker, accepted);
                }
            }
        }
        post.deliver();
        for event in &block.events {
            if let EventBody::Operation(body) = &event.body {
                self.assign(body);
            }
        }
    }

    /// Hands an attempt to its executor, or asks it to stop.
    fn assign(&mut self, event: &OperationEvent) {
        let sequence = event.subject.sequence;
        match &event.change {
            // A daemon that ends begins nothing more; the next one will.
            Change::Started { .. } | Change::Reverting { .. } if self.stopping => {}
            Change::Started {
                attempt, executor, ..
            }
            | Change::Reverting {
                attempt, executor, ..
            } => self.hand_out(sequence, *attempt, executor),
            Change::CancelRequested => self.attempts.cancel(sequence),
            // Interrupted: whoever had it is gone, or has another.
            Change::Retrying | Change::Canceled(_) => self.attempts.forget(sequence),
            // The loop knows already of an attempt that ended by itself.
            Change::AttemptFailed { .. } | Change::Failed(_) | Change::RevertFailed(_) => {
                self.attempts.give_up(sequence);
            }
            _ => {}
        }
    }

    /// Reads the clock once a turn. While the daemon runs, times in the log never go back, though
    /// the wall clock may be set back.
    fn read_clock(&mut self) {
        self.uptime = self.config.clock.uptime();
        let (begin, since) = self.steady;
        let passed = self.uptime.saturating_sub(since);
        let wall = self.config.clock.now();
        self.now = Moment {
            time: self.now.time.max(wall),
            wall,
            steady: Steady(begin.0 + passed.as_millis() as u64),
        };
    }
}

/// Whether an attempt is over because nobody carries it out any more.
fn is_lost(event: &Event) -> bool {
    let EventBody::Operation(event) = &event.body else {
        return false;
    };
    match &event.change {
        Change::Retrying => true,
        Change::Failed(failure) => failure.code == Failure::EXECUTOR_LOST,
        _ => false,
    }
}
