//! The state: all that is open, and the objects. Everything in it follows from the events.
//!
//! Every part is a persistent map, so that a reader can be given a clone of the whole at once,
//! while the writer goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::capacity::Capacity;
use crate::cascade::Cascade;
use crate::claims::Claims;
use crate::conditions::{Steady, Timer, is_default};
use crate::declaration::Declaration;
use crate::event::Cursor;
use crate::operation::{Operation, OperationInfo, OperationState, Resource, Time};
use crate::queue::Queue;

/// Bounds that a decision keeps. They are configuration, not state: what was accepted under
/// another bound stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations that are not done.
    pub open_operations: usize,
    /// Claims of one operation, the declared ones included.
    pub claims: usize,
    /// Tags of one operation.
    pub tags: usize,
    /// Non-fatal errors of one operation.
    pub non_fatal_errors: usize,
    /// Operations that one may follow.
    pub dependencies: usize,
    /// Operations that one may register while it runs.
    pub children: usize,
    /// Objects; more are not published.
    pub objects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open_operations: 1_000_000,
            claims: 64,
            tags: 64,
            non_fatal_errors: 1_000,
            dependencies: 64,
            children: 1_000,
            objects: 1_000_000,
        }
    }
}

/// All that is open, and the objects, as of one cursor.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The cursor of the last event applied; 0 before the first.
    pub(crate) head: Cursor,
    /// Operations that are not done, in registration order.
    pub(crate) operations: OrdMap<Cursor, Arc<Operation>>,
    /// Their places by id.
    pub(crate) ids: OrdMap<Arc<str>, Cursor>,
    /// What they claim, and who waits for whom.
    pub(crate) claims: Claims,
    /// Waiting operations with nothing but executor and capacity in the way, by method and version.
    pub(crate) ready: OrdMap<(Arc<str>, u32), Queue>,
    /// The weight of what runs, and for whom the rest is kept.
    pub(crate) capacity: Capacity,
    /// Operations whose place in the queues is not the order of registration, by place.
    pub(crate) moved: OrdMap<Cursor, Cursor>,
    /// Operations without a place yet, and those of them that can get one.
    pub(crate) unplaced: OrdSet<Cursor>,
    pub(crate) placeable: OrdSet<Cursor>,
    /// Operations that are waited for, and who waits.
    pub(crate) dependents: OrdSet<(Cursor, Cursor)>,
    /// Operations that registered others, and which of these are open.
    pub(crate) children: OrdSet<(Cursor, Cursor)>,
    /// News that not all have heard yet, in turn.
    pub(crate) cascades: Vector<Cascade>,
    /// Operations that are about to be skipped, and those about to be canceled with their parent.
    pub(crate) doomed: OrdSet<Cursor>,
    pub(crate) cancels: OrdSet<Cursor>,
    /// Who waits for which moment of the wall clock, and of the steady one.
    pub(crate) wall: OrdSet<(Time, Cursor)>,
    pub(crate) timers: OrdSet<(Steady, Cursor)>,
    /// The latest moment of the steady clock that the log knows of.
    pub(crate) steady: Steady,
    /// How many records of operations were changed or taken up since the state was opened.
    pub(crate) touched: u64,
    /// Objects by alert name.
    pub(crate) objects: OrdMap<Arc<str>, Arc<Object>>,
    /// Declared methods by name and version.
    pub(crate) declarations: OrdMap<(Arc<str>, u32), Arc<Declaration>>,
    /// Executors by name, also those that are away with attempts unfinished.
    pub(crate) executors: OrdMap<Arc<str>, Executor>,
    /// Open operations by state.
    pub(crate) counts: BTreeMap<OperationState, u64>,
}

/// A thing that operations work on, as far as it is known from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// `<subsystem>.<type>.<object>`.
    pub alert_name: Arc<str>,
    /// Operations on it that are kept, open and ended; with the last one it goes.
    pub operations: u64,
    /// Operations on it that have started and not ended, the latest start last.
    pub running: Vec<Cursor>,
    /// What stands when nothing runs: the last end, or the first registration before any start.
    pub last: LastWord,
    /// The cursor of its latest alert.
    pub cursor: Cursor,
    /// Whether its subsystem has published it: then it stays until it is retired.
    #[serde(default, skip_serializing_if = "is_default")]
    pub published: bool,
    /// Whether it was retired: it shows only while an operation runs on it, and is kept as long as
    /// operations on it are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retired: bool,
}

/// What an operation, or its subsystem, left behind on an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastWord {
    /// How it stood.
    pub info: Arc<OperationInfo>,
    /// Which operation; none if its subsystem published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<Arc<str>>,
    /// When.
    pub time: Time,
}

/// Who carries out operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Executor {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is there.
    pub attached: bool,
    /// How many operations it carries out at once.
    pub capacity: u32,
    /// The methods and versions it offers.
    pub offers: Vec<(Arc<str>, u32)>,
    /// What it carries out now.
    pub running: BTreeSet<Cursor>,
    /// How long that is kept while it is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Timer>,
}

/// An object as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectView {
    /// `<subsystem>.<type>.<object>`.
    pub alert_name: Arc<str>,
    /// How it stands.
    pub info: Arc<OperationInfo>,
    /// The operation that says so; none if its subsystem published it.
    pub operation_id: Option<Arc<str>>,
    /// Since when.
    pub updated_at: Time,
    /// The cursor of its latest alert.
    pub cursor: Cursor,
}

impl Object {
    /// Whether anybody sees it.
    fn shows(&self) -> bool {
        !self.retired || !self.running.is_empty()
    }
}

impl Executor {
    /// Whether it can take an operation now.
    pub(crate) fn is_free(&self) -> bool {
        self.attached && self.running.len() < self.capacity as usize
    }

    /// Whether it is there and takes operations of this one's method at all.
    pub(crate) fn takes(&self, operation: &Operation) -> bool {
        let offer = |(name, version): &(Arc<str>, u32)| {
            *version == operation.request.version && *name == operation.subject.method_name
        };
        self.attached && self.capacity > 0 && self.offers.iter().any(offer)
    }
}

impl State {
    /// The state before the first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cursor of the last event applied; 0 before the first.
    pub fn head(&self) -> Cursor {
        self.head
    }

    /// The open operation of that id.
    pub fn operation(&self, id: &str) -> Option<&Arc<Operation>> {
        self.ids
            .get(id)
            .and_then(|sequence| self.operations.get(sequence))
    }

    /// The open operation of that sequence.
    pub fn operation_at(&self, sequence: Cursor) -> Option<&Arc<Operation>> {
        self.operations.get(&sequence)
    }

    /// Open operations registered after `after`, in registration order.
    pub fn operations_after(&self, after: Cursor) -> impl Iterator<Item = &Arc<Operation>> {
        self.operations
            .range(after + 1..)
            .map(|(_, operation)| operation)
    }

    /// How many operations are open.
    pub fn open_operations(&self) -> usize {
        self.operations.len()
    }

    /// Open operations whose id begins with `head`, by id.
    pub fn operations_by_id<'a>(
        &'a self,
        head: &str,
    ) -> impl Iterator<Item = &'a Arc<Operation>> + use<'a> {
        let head: Arc<str> = head.into();
        self.ids
            .range(head.clone()..)
            .take_while(move |(id, _)| id.starts_with(&*head))
            .filter_map(|(_, sequence)| self.operations.get(sequence))
    }

    /// Open operations with a claim on the resource: running ones first, then in the order in which
    /// they will start.
    pub fn operations_on(&self, resource: &Resource) -> Vec<&Arc<Operation>> {
        let mut holders: Vec<_> = self
            .claims
            .holders(resource)
            .iter()
            .map(|place| self.at_place(*place))
            .collect();
        holders.sort_by_key(|operation| operation.state == OperationState::Waiting);
        holders
    }

    /// The operation at that place in the queues.
    pub(crate) fn at_place(&self, place: Cursor) -> &Arc<Operation> {
        &self.operations[self.moved.get(&place).unwrap_or(&place)]
    }

    /// The moment of the wall clock at which something is due next.
    pub fn next_time(&self) -> Option<Time> {
        self.wall.get_min().map(|(time, _)| *time)
    }

    /// The moment of the steady clock at which something is due next.
    pub fn next_steady(&self) -> Option<Steady> {
        let away = self.executors.values().filter_map(|known| known.kept);
        let timer = self.timers.get_min().map(|(due, _)| *due);
        away.map(Timer::due).chain(timer).min()
    }

    /// The latest moment of the steady clock that the log knows of: from there it goes on.
    pub fn steady(&self) -> Steady {
        self.steady
    }

    /// The whole capacity, and the weight of what runs.
    pub fn capacity(&self) -> (u32, u64) {
        (self.capacity.whole, self.capacity.used())
    }

    /// How many records of operations were changed or taken up since the state was opened: the
    /// work that was done, counted rather than timed.
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// The object of that name.
    pub fn object(&self, alert_name: &str) -> Option<ObjectView> {
        let shown = self.objects.get(alert_name).filter(|object| object.shows());
        shown.map(|object| self.view(object))
    }

    /// Objects whose name begins with `head` and comes after `after`, by name.
    pub fn objects_after<'a>(
        &'a self,
        head: &str,
        after: &str,
    ) -> impl Iterator<Item = ObjectView> + use<'a> {
        let (head, after): (Arc<str>, Arc<str>) = (head.into(), after.into());
        let from = head.clone().max(after.clone());
        self.objects
            .range(from..)
            .take_while(move |(name, _)| name.starts_with(&*head))
            .filter(move |(name, object)| **name > after && object.shows())
            .map(|(_, object)| self.view(object))
    }

    /// Every declared method, by name and version.
    pub fn declarations(&self) -> impl Iterator<Item = &Arc<Declaration>> {
        self.declarations.values()
    }

    /// The declaration of a method: of that version, or the highest.
    pub fn declaration(&self, name: &str, version: Option<u32>) -> Option<&Arc<Declaration>> {
        let name: Arc<str> = name.into();
        match version {
            Some(version) => self.declarations.get(&(name, version)),
            None => self
                .declarations
                .range((name.clone(), 0)..=(name, u32::MAX))
                .next_back()
                .map(|(_, declaration)| declaration),
        }
    }

    /// Every executor that is there or has attempts unfinished, by name.
    pub fn executors(&self) -> impl Iterator<Item = &Executor> {
        self.executors.values()
    }

    /// Open operations by state; states that nothing is in are left out.
    pub fn counts(&self) -> &BTreeMap<OperationState, u64> {
        &self.counts
    }

    fn view(&self, object: &Object) -> ObjectView {
        let running = object
            .running
            .last()
            .and_then(|sequence| self.operations.get(sequence));
        let last = &object.last;
        let (info, operation_id, updated_at) = match running {
            Some(operation) => {
                let id = Some(operation.subject.id.clone());
                (&operation.info, id, operation.updated_at)
            }
            None => (&last.info, last.operation_id.clone(), last.time),
        };
        ObjectView {
            alert_name: object.alert_name.clone(),
            info: info.clone(),
            operation_id,
            updated_at,
            cursor: object.cursor,
        }
    }
}
