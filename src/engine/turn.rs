//! The loop: gather, decide, append, release. One turn makes one block.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opstead_core::{
    Change, Command, Cursor, Event, EventBody, Executed, Fault, Lease, Operation, Order, Purged,
    Refusal, Reply, State, Time, Verdict,
};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use super::attempts::Attempts;
use super::executor::Executor;
use super::handle::{PurgeTarget, Request};
use super::housekeeping::Housekeeping;
use super::{EngineConfig, EngineError, EngineHandle, Observer, Snapshot};
use crate::journal::{AppendError, Block, Journal};

/// The most requests of one turn.
const MOST_REQUESTS: usize = 4_096;

/// About the most bytes of one block; a single larger request still fits. Half a segment of sled:
/// so a block does not reach over several, of which sled might take a freed one into use again
/// before our sync.
const MOST_BLOCK_BYTES: usize = 256 << 10;

/// About the bytes of an event beside what the caller wrote.
const EVENT_BYTES: usize = 512;

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
    now: Time,
    stopping: bool,
}

/// What one turn gathers: a block in the making, and what may leave once it is durable.
#[derive(Default)]
struct Turn {
    events: Vec<Event>,
    ended: Vec<Arc<Operation>>,
    ended_ids: HashMap<Arc<str>, usize>,
    purged: HashSet<Cursor>,
    bytes: usize,
    answers: Vec<Answer>,
    /// Whether it is time to look what else is due.
    ticked: bool,
}

/// An answer that waits for the block.
enum Answer {
    Order(
        oneshot::Sender<Result<Reply, EngineError>>,
        Result<Reply, EngineError>,
    ),
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    Purge(
        oneshot::Sender<Result<usize, EngineError>>,
        Result<usize, EngineError>,
    ),
}

impl Loop {
    pub(super) fn new(
        config: EngineConfig,
        journal: Box<dyn Journal>,
        state: State,
        handle: &EngineHandle,
        requests: mpsc::UnboundedReceiver<Request>,
        observer: Observer,
    ) -> Self {
        let checkpoint = journal.reader().checkpoint().ok().flatten();
        let checkpoint = checkpoint.map_or(0, |checkpoint| checkpoint.head);
        Self {
            housekeeping: Housekeeping::new(config.retention.clone(), checkpoint),
            config,
            journal,
            state,
            handle: handle.clone(),
            requests,
            inbox: VecDeque::new(),
            attempts: Attempts::new(handle.clone()),
            observer,
            ulids: ulid::Generator::new(),
            now: Time(0),
            stopping: false,
        }
    }

    /// Attaches the built-in executors and detaches all others that the state knows.
    pub(super) fn attach(
        &mut self,
        executors: Vec<Arc<dyn Executor>>,
        runtime: runtime::Handle,
    ) -> Result<(), AppendError> {
        let names: HashSet<_> = executors.iter().map(|executor| executor.name()).collect();
        let gone = self
            .state
            .executors()
            .filter(|known| !names.contains(&*known.name));
        let detach = gone.map(|known| Order::Detach {
            executor: known.name.clone(),
        });
        let attach = executors.iter().map(|executor| Order::Attach {
            executor: executor.name().into(),
            capacity: executor.capacity(),
            declarations: executor.declarations(),
        });
        let orders: Vec<Order> = detach.chain(attach).collect();
        self.attempts.begin(executors, runtime);
        let mut turn = Turn::default();
        self.read_clock();
        for order in orders {
            // Attaching and detaching are never refused.
            let _ = self.execute(order, &mut turn);
        }
        self.finish(turn)
    }

    /// Runs until somebody stops the engine or the journal fails.
    pub(super) fn run(mut self) -> Result<(), AppendError> {
        while self.gather() {
            self.read_clock();
            let turn = self.decide();
            self.finish(turn)?;
        }
        self.attempts.cancel_all();
        Ok(())
    }

    /// Waits for something to do. Says whether there will be more turns.
    fn gather(&mut self) -> bool {
        if self.stopping {
            return false;
        }
        if self.inbox.is_empty() && self.state.is_settled() {
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

    fn decide(&mut self) -> Turn {
        let mut turn = Turn::default();
        if !self.state.is_settled() {
            // Continuing is never refused.
            let _ = self.execute(Order::ContinueWake, &mut turn);
        }
        while !self.stopping
            && turn.bytes < MOST_BLOCK_BYTES
            && let Some(request) = self.inbox.pop_front()
        {
            self.take(request, &mut turn);
        }
        turn
    }

    fn take(&mut self, request: Request, turn: &mut Turn) {
        match request {
            Request::Order(order, reply) => {
                self.handle.taken_up();
                let answer = self
                    .prepare(order, turn)
                    .and_then(|order| self.execute(order, turn));
                turn.answers.push(Answer::Order(reply, answer));
            }
            Request::Snapshot(reply) => turn.answers.push(Answer::Snapshot(reply)),
            Request::Purge(which, reply) => {
                let purged = self.purge(which, turn);
                turn.answers.push(Answer::Purge(reply, purged));
            }
            Request::Progress(lease) => self.progress(lease, false, turn),
            Request::NonFatalError(lease, failure) => {
                self.report(Order::RecordError { lease, failure }, turn);
            }
            Request::Ended(lease, outcome) => {
                let update = self.attempts.end(lease);
                let verdict = match outcome {
                    Ok(result) => Verdict::Completed(result),
                    Err(failure) => Verdict::Failed(failure),
                };
                self.report(
                    Order::End {
                        lease,
                        update,
                        verdict,
                    },
                    turn,
                );
            }
            Request::CheckpointWritten => self.housekeeping.checkpoint_written(),
            Request::Tick => {
                for lease in self.attempts.overdue() {
                    self.progress(lease, true, turn);
                }
                turn.ticked = true;
            }
            Request::Stop => self.stopping = true,
        }
    }

    /// Adds to an order what only the loop knows: a fresh id, and who ended under the one chosen.
    fn prepare(&mut self, mut order: Order, turn: &Turn) -> Result<Order, EngineError> {
        match &mut order {
            Order::Register(register) => {
                if let Some(id) = &register.id {
                    register.ended = self.ended(id, turn)?;
                }
                let is_open = |id: &Arc<str>| self.state.operation(id).is_some();
                let is_known =
                    register.ended.is_some() || register.id.as_ref().is_some_and(is_open);
                // A repeat takes no room, and its caller must learn that it has succeeded.
                if !is_known && self.journal.is_low_on_space() {
                    return Err(EngineError::Overloaded {
                        what: "the disk is nearly full",
                    });
                }
                freshen(&mut self.ulids, &mut register.ulid);
            }
            Order::Cancel { id, ended } => *ended = self.ended(id, turn)?,
            _ => {}
        }
        Ok(order)
    }

    /// The ended operation of that id, if no open one bears it.
    fn ended(&self, id: &str, turn: &Turn) -> Result<Option<Arc<Operation>>, EngineError> {
        if self.state.operation(id).is_some() {
            return Ok(None);
        }
        if let Some(index) = turn.ended_ids.get(id) {
            return Ok(Some(turn.ended[*index].clone()));
        }
        let ended = self.handle.reader().ended(id).map_err(|error| {
            tracing::error!(%error, id, "an ended operation could not be read");
            EngineError::StorageFailed
        })?;
        Ok(ended.filter(|operation| !turn.purged.contains(&operation.subject.sequence)))
    }

    fn execute(&mut self, order: Order, turn: &mut Turn) -> Result<Reply, EngineError> {
        let bytes = order_bytes(&order);
        let command = Command {
            now: self.now,
            order,
        };
        let Executed {
            events,
            ended,
            reply,
        } = self.state.execute(&self.config.limits, command)?;
        turn.bytes += bytes + events.len() * EVENT_BYTES;
        turn.events.extend(events);
        for operation in ended {
            turn.ended_ids
                .insert(operation.subject.id.clone(), turn.ended.len());
            turn.ended.push(operation);
        }
        Ok(reply)
    }

    /// Executes what an executor reports. A refusal means that the attempt is over: whatever it
    /// still has to say comes too late.
    fn report(&mut self, order: Order, turn: &mut Turn) {
        if let Err(refusal) = self.execute(order, turn) {
            tracing::debug!(%refusal, "a report was not taken");
        }
    }

    fn progress(&mut self, lease: Lease, flush: bool, turn: &mut Turn) {
        let Some(update) = self.attempts.pending(lease) else {
            return;
        };
        let order = Order::Update {
            lease,
            update: update.clone(),
            flush,
        };
        if let Ok(Reply::Deferred) = self.execute(order, turn) {
            self.attempts.defer(lease, update);
        }
    }

    fn purge(&mut self, which: PurgeTarget, turn: &mut Turn) -> Result<usize, EngineError> {
        let operations: Vec<Purged> = match which {
            PurgeTarget::Ids(ids) => self.ended_by_id(&ids, turn)?,
            PurgeTarget::Operations(mut operations) => {
                let archive = self.handle.reader().archive();
                operations.retain(|purged| archive.get(purged.sequence).is_some());
                operations
            }
        };
        let fresh: Vec<Purged> = operations
            .into_iter()
            .filter(|purged| turn.purged.insert(purged.sequence))
            .collect();
        let count = fresh.len();
        if count > 0 {
            self.execute(Order::Purge { operations: fresh }, turn)?;
        }
        Ok(count)
    }

    fn ended_by_id(&self, ids: &[Arc<str>], turn: &Turn) -> Result<Vec<Purged>, EngineError> {
        let mut operations = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            if self.state.operation(id).is_some() {
                let fault = Fault::new(format!("/ids/{index}"), format!("{id:?} is not done"));
                return Err(Refusal::Invalid {
                    faults: vec![fault],
                }
                .into());
            }
            let Some(operation) = self.ended(id, turn)? else {
                return Err(Refusal::OperationNotFound { id: id.clone() }.into());
            };
            operations.push(Purged::from(&*operation));
        }
        Ok(operations)
    }

    /// Makes the turn's block durable, then lets out what it promises.
    fn finish(&mut self, turn: Turn) -> Result<(), AppendError> {
        let Turn {
            events,
            ended,
            answers,
            bytes,
            ticked,
            ..
        } = turn;
        let after = self.state.head() - events.len() as Cursor;
        let block = Arc::new(Block {
            first: after + 1,
            events,
            ended,
        });
        if !block.events.is_empty()
            && let Err(error) = self.journal.append(after, &block)
        {
            self.handle.fail();
            answers.into_iter().for_each(Answer::fail);
            return Err(error);
        }
        self.release(&block, answers);
        self.housekeeping.appended(bytes);
        if ticked {
            // Only now: a checkpoint of what is not durable yet would be ahead of the log.
            self.housekeeping
                .tick(&self.handle, &self.state, &mut *self.journal, self.now);
        }
        Ok(())
    }

    /// The one place from which replies, assignments and alerts leave.
    fn release(&mut self, block: &Arc<Block>, answers: Vec<Answer>) {
        // First the log's readers, so that whoever is answered finds there what it was answered.
        if !block.events.is_empty() {
            (self.observer)(block);
            self.handle.changes().published(block);
        }
        for answer in answers {
            // A caller that has left is no longer interested.
            match answer {
                Answer::Order(reply, answer) => drop(reply.send(answer)),
                Answer::Snapshot(reply) => drop(reply.send(self.handle.share(&self.state))),
                Answer::Purge(reply, count) => drop(reply.send(count)),
            }
        }
        for event in &block.events {
            let EventBody::Operation(body) = &event.body else {
                continue;
            };
            let sequence = body.subject.sequence;
            match &body.change {
                Change::Started { attempt, executor } => {
                    // What ended within the block was never handed out.
                    if let Some(operation) = self.state.operation_at(sequence) {
                        self.attempts.start(operation, *attempt, executor);
                    }
                }
                Change::CancelRequested => self.attempts.cancel(sequence),
                _ => {}
            }
        }
    }

    /// Reads the clock once a turn. Times in the log never go back, whatever the clock does.
    fn read_clock(&mut self) {
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.now = self.now.max(Time(elapsed.as_millis() as u64));
    }
}

impl Answer {
    fn fail(self) {
        match self {
            Self::Order(reply, _) => drop(reply.send(Err(EngineError::StorageFailed))),
            // Dropping it tells the reader that the engine is gone.
            Self::Snapshot(reply) => drop(reply),
            Self::Purge(reply, _) => drop(reply.send(Err(EngineError::StorageFailed))),
        }
    }
}

fn freshen(ulids: &mut ulid::Generator, ulid: &mut Arc<str>) {
    // The generator overflows after 2^80 ids of one millisecond.
    let fresh = ulids.generate().unwrap_or_else(|_| ulid::Ulid::generate());
    *ulid = fresh.to_string().into();
}

/// About the bytes that an order brings into the block.
fn order_bytes(order: &Order) -> usize {
    match order {
        Order::Register(register) => register.kwargs.as_str().len(),
        Order::End {
            verdict: Verdict::Completed(result),
            ..
        } => 2 * result.as_str().len(),
        Order::Purge { operations } => operations.len() * 64,
        _ => 0,
    }
}
