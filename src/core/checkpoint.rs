//! The state as a stream of records, and back: what opening needs beside the blocks that came
//! after it. Whatever can be derived is left out and derived again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::Reserve;
use crate::cascade::Cascade;
use crate::claims::Wake;
use crate::conditions::Steady;
use crate::declaration::Declaration;
use crate::event::Cursor;
use crate::operation::{Operation, Resource};
use crate::state::{Executor, Object, State};

/// One piece of a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The cursor of the last event the state includes.
    Head(Cursor),
    /// An open operation; they come in the order of their places, those without one last.
    Operation(Arc<Operation>),
    /// An object.
    Object(Arc<Object>),
    /// A declared method.
    Declaration(Arc<Declaration>),
    /// An executor.
    Executor(Executor),
    /// A mass wake-up under way on a resource: its reads behind `after`, up to `until`, are still
    /// to be released. They come behind the operations, in turn.
    Wake {
        /// The resource.
        resource: Arc<Resource>,
        /// How far it has come.
        after: Cursor,
        /// The last read to release.
        until: Cursor,
    },
    /// News that not all have heard yet. They come behind the operations, in turn.
    Cascade(Cascade),
    /// The limit of the weight of all that runs, and for whom some is kept. Behind the operations.
    Capacity {
        /// The whole of it.
        whole: u32,
        /// For whom some is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserve: Option<Reserve>,
    },
    /// The latest moment of the steady clock that the log knows of.
    Steady(Steady),
}

impl State {
    /// The state as a stream of records, each of which stands for itself.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let wakes = self.claims.wakes().map(|wake| Record::Wake {
            resource: wake.resource.clone(),
            after: wake.after,
            until: wake.until,
        });
        let capacity = Record::Capacity {
            whole: self.capacity.whole,
            reserve: self.capacity.reserve,
        };
        std::iter::once(Record::Head(self.head))
            .chain(self.declarations.values().cloned().map(Record::Declaration))
            .chain(self.executors.values().cloned().map(Record::Executor))
            .chain(self.objects.values().cloned().map(Record::Object))
            .chain(self.operations_by_place().cloned().map(Record::Operation))
            .chain(wakes)
            .chain(self.cascades.iter().cloned().map(Record::Cascade))
            .chain([capacity, Record::Steady(self.steady)])
    }

    /// Open operations in the order of their places, those without one last.
    fn operations_by_place(&self) -> impl Iterator<Item = &Arc<Operation>> {
        let in_order =
            |operation: &&Arc<Operation>| operation.place() == operation.subject.sequence;
        let mut ordinary = self.operations.values().filter(in_order).peekable();
        let moved = self
            .moved
            .values()
            .map(|sequence| &self.operations[sequence]);
        let mut moved = moved.peekable();
        let unplaced = self
            .unplaced
            .iter()
            .map(|sequence| &self.operations[sequence]);
        std::iter::from_fn(move || match (ordinary.peek(), moved.peek()) {
            (Some(one), Some(other)) if other.place() < one.place() => moved.next(),
            (Some(_), _) => ordinary.next(),
            (None, _) => moved.next(),
        })
        .chain(unplaced)
    }

    /// Takes over one record of a checkpoint; they come in the order of [`State::records`].
    pub fn restore(&mut self, record: Record) {
        match record {
            Record::Head(head) => self.head = head,
            Record::Declaration(declaration) => {
                let key = (declaration.name.clone(), declaration.version);
                self.declarations.insert(key, declaration);
            }
            Record::Executor(executor) => {
                self.executors.insert(executor.name.clone(), executor);
            }
            Record::Object(object) => {
                self.objects.insert(object.alert_name.clone(), object);
            }
            Record::Operation(operation) => {
                self.count_new(operation.state);
                self.open(Arc::unwrap_or_clone(operation));
            }
            Record::Wake {
                resource,
                after,
                until,
            } => {
                let wake = Wake {
                    resource,
                    after,
                    until,
                };
                for place in self.claims.restore_wake(wake) {
                    self.hold(place);
                }
            }
            Record::Cascade(cascade) => self.cascades.push_back(cascade),
            Record::Capacity { whole, reserve } => {
                self.capacity.whole = whole;
                self.capacity.reserve = reserve;
            }
            Record::Steady(steady) => self.steady = steady,
        }
    }
}
