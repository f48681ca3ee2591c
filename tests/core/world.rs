//! A core with what an engine keeps beside it: the clock, the log, the archive of ended operations.
//! Whatever it is told goes through [`World::run`], which also checks what holds for every command.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use opstead_core::checkpoint::Record;
use opstead_core::{
    Command, Cursor, Declaration, Event, EventBody, Executed, Failure, Fault, Json, Limits, Moment,
    Operation, Order, Refusal, RegisterStep, Reply, Request, Schemas, State, Time,
};

/// Schemas that say of some kwargs that they are integers; nothing is sealed.
#[derive(Default)]
struct Integers {
    /// How often kwargs were asked for.
    opened: Cell<usize>,
}

impl Schemas for Integers {
    fn open(&self, request: &Request) -> Result<Json, Failure> {
        self.opened.set(self.opened.get() + 1);
        Ok(request.kwargs.clone())
    }

    fn faults(&self, declaration: &Arc<Declaration>, kwargs: &Json) -> Vec<Fault> {
        let Some(schema) = &declaration.kwargs_schema else {
            return Vec::new();
        };
        let parsed = |json: &Json| json.parse::<serde_json::Value>().expect("it is JSON");
        let (schema, kwargs) = (parsed(schema), parsed(kwargs));
        let wanted = schema["properties"].as_object().into_iter().flatten();
        let wrong = wanted.filter(|(kwarg, _)| !kwargs[kwarg].is_i64());
        wrong
            .map(|(kwarg, _)| Fault::new(format!("/kwargs/{kwarg}"), "must be an integer"))
            .collect()
    }
}

/// The core and its surroundings.
pub(crate) struct World {
    pub state: State,
    pub limits: Limits,
    pub now: Moment,
    /// Ended operations by id, until they are purged.
    pub archive: BTreeMap<Arc<str>, Arc<Operation>>,
    /// All events as they are read from where they were written; that with cursor 1 is the first.
    pub log: Vec<Event>,
    /// Whether it is kept at all.
    pub keeps_log: bool,
    methods: BTreeMap<(Arc<str>, u32), Arc<Declaration>>,
    ulids: Cell<u32>,
    /// The steps of the flow that is registered next.
    steps: Cell<Vec<RegisterStep>>,
    /// What the state had touched when somebody asked last.
    touched: Cell<u64>,
    schemas: Integers,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            state: State::new(),
            limits: Limits::default(),
            now: Moment::default(),
            archive: BTreeMap::new(),
            log: Vec::new(),
            keeps_log: true,
            methods: BTreeMap::new(),
            ulids: Cell::new(0),
            steps: Cell::new(Vec::new()),
            touched: Cell::new(0),
            schemas: Integers::default(),
        }
    }

    /// Executes one order and keeps what came of it.
    pub(crate) fn run(&mut self, order: Order) -> Result<Executed, Refusal> {
        let head = self.state.head();
        let command = Command {
            now: self.now,
            order,
        };
        let executed = self.state.execute(&self.limits, &self.schemas, command);
        let events = executed
            .as_ref()
            .map_or(0, |executed| executed.events.len());
        assert_eq!(
            self.state.head(),
            head + events as Cursor,
            "the head moves by the events, and by none after a refusal"
        );
        if let Ok(executed) = &executed {
            if self.keeps_log {
                self.log
                    .extend(executed.events.iter().map(written_and_read));
            }
            for event in &executed.events {
                self.forget_purged(event);
            }
            for operation in &executed.ended {
                assert!(operation.is_done() && operation.outcome.is_some());
                let id = operation.subject.id.clone();
                let before = self.archive.insert(id, operation.clone());
                assert!(before.is_none(), "{operation:?} has ended twice");
            }
        }
        executed
    }

    /// The wall clock shows this from here on. Events bear no earlier time than those before.
    pub(crate) fn set_wall(&mut self, wall: Time) {
        self.now.wall = wall;
        self.now.time = self.now.time.max(wall);
    }

    fn forget_purged(&mut self, event: &Event) {
        if let EventBody::Purged { operations } = &event.body {
            self.archive.retain(|_, kept| {
                let sequence = kept.subject.sequence;
                operations.iter().all(|purged| purged.sequence != sequence)
            });
        }
    }

    /// Tells the world of a method.
    pub(crate) fn declare(&mut self, method: Declaration) {
        let key = (method.name.clone(), method.version);
        self.methods.insert(key, Arc::new(method));
    }

    /// The methods of these names, as `NAME` or `NAME@VERSION`; of no names, all.
    pub(crate) fn declared(&self, names: &[String]) -> Result<Vec<Arc<Declaration>>, String> {
        if names.is_empty() {
            return Ok(self.methods.values().cloned().collect());
        }
        let find = |name: &String| {
            let (method, version) = name.split_once('@').unwrap_or((name, "1"));
            let version = version
                .parse()
                .map_err(|_| format!("{name} has no version"))?;
            let found = self.methods.get(&(method.into(), version));
            found.cloned().ok_or(format!("there is no method {name}"))
        };
        names.iter().map(find).collect()
    }

    /// The operation of that id, open or ended.
    pub(crate) fn known(&self, id: &str) -> Result<&Arc<Operation>, String> {
        let known = self.state.operation(id).or_else(|| self.archive.get(id));
        known.ok_or_else(|| format!("there is no operation {id}"))
    }

    /// How much the state has touched since somebody asked last.
    pub(crate) fn newly_touched(&self) -> u64 {
        let touched = self.state.touched();
        touched - self.touched.replace(touched)
    }

    /// How often the kwargs of a step were asked for since somebody asked last.
    pub(crate) fn newly_opened(&self) -> usize {
        self.schemas.opened.replace(0)
    }

    /// A word that no operation has had yet.
    pub(crate) fn next_ulid(&self) -> String {
        self.ulids.set(self.ulids.get() + 1);
        format!("U{}", self.ulids.get())
    }

    /// Tells the world of a step of the flow that is registered next.
    pub(crate) fn add_step(&mut self, step: RegisterStep) {
        self.steps.get_mut().push(step);
    }

    /// The steps of the flow that is registered now.
    pub(crate) fn next_steps(&self) -> Vec<RegisterStep> {
        self.steps.take()
    }

    /// The flow of that id that has ended, with its steps as listed.
    pub(crate) fn ended_flow(&self, id: &str) -> Option<(Arc<Operation>, Vec<Arc<Operation>>)> {
        let flow = self.archive.get(id).filter(|known| known.is_flow())?;
        let is_step = |known: &&Arc<Operation>| {
            let parent = known.subject.parent.as_ref();
            known.is_step() && parent.is_some_and(|parent| parent.id == flow.subject.id)
        };
        let mut steps: Vec<_> = self.archive.values().filter(is_step).cloned().collect();
        steps.sort_by_key(|step| step.subject.sequence);
        Some((flow.clone(), steps))
    }

    /// The state as records, as a checkpoint would keep them.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.state.records().collect()
    }
}

/// A state made again from written records (none: from nothing) and the events after them.
pub(crate) fn reopened(records: &[Record], later: &[Event]) -> State {
    let mut state = State::new();
    for record in records {
        state.restore(written_and_read(record));
    }
    for event in later {
        state.apply(event);
    }
    state
}

fn written_and_read<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("it can be written");
    serde_json::from_str(&text).expect("it can be read again")
}

/// Panics unless both states are the same, also in what is derived and not in their records.
pub(crate) fn assert_same(live: &State, other: &State, now: Moment, what: &str) {
    let (left, right): (Vec<_>, Vec<_>) = (live.records().collect(), other.records().collect());
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left, right, "{what} differs");
    }
    assert_eq!(left.len(), right.len(), "{what} has other records");
    assert_eq!(live.counts(), other.counts(), "{what} counts otherwise");
    assert_eq!(live.capacity(), other.capacity(), "{what} weighs otherwise");
    let due = |state: &State| (state.next_time(), state.next_steady());
    assert_eq!(due(live), due(other), "{what} waits otherwise");
    assert_eq!(
        live.is_settled(now),
        other.is_settled(now),
        "{what} has other work left"
    );
    for operation in live.operations_after(0) {
        let id = &operation.subject.id;
        assert_eq!(
            live.reasons(operation, now),
            other.reasons(operation, now),
            "{what}: reasons of {id}"
        );
        assert!(other.operation(id).is_some(), "{what} does not find {id}");
    }
}

/// Panics unless both states go on by themselves in the same way.
pub(crate) fn assert_goes_on_alike(live: &State, other: &State, now: Moment, what: &str) {
    const ROUNDS: usize = 4;
    let goes_on = |state: &State| {
        let mut state = state.clone();
        let mut events = Vec::new();
        for _ in 0..ROUNDS {
            let order = Order::Continue;
            let command = Command { now, order };
            let executed = state.execute(&Limits::default(), &Integers::default(), command);
            events.extend(executed.expect("nothing is refused to nobody").events);
        }
        events
    };
    let (left, right) = (goes_on(live), goes_on(other));
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left, right, "{what} goes on otherwise");
    }
    assert_eq!(left.len(), right.len(), "{what} goes on longer or shorter");
}

/// What a reply amounts to, in a word.
pub(crate) fn reply_word(reply: &Reply) -> &'static str {
    match reply {
        Reply::Registered(registration) if registration.existing => "existing",
        Reply::Registered(registration) if registration.reasons.is_empty() => "accepted",
        Reply::Registered(_) => "postponed",
        Reply::Operation(operation, _) => operation.state.as_str(),
        Reply::Deferred => "deferred",
        Reply::Attached(_) => "done",
        Reply::Done => "done",
    }
}
