//! Cascades: what happens to one operation and matters to many others, a few at a time. How far
//! each has come is part of the state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::conditions::FailedDependency;
use crate::event::Cursor;
use crate::operation::{Operation, OperationState};
use crate::state::State;

/// How many operations one event looks at for cascades at the most.
const CASCADE_BATCH: usize = 64;

/// News of one operation for many others, and who has heard it already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cascade {
    /// What has happened.
    pub news: News,
    /// To which operation.
    pub of: Cursor,
    /// The last that has heard it.
    pub after: Cursor,
    /// The last that is to hear it.
    pub until: Cursor,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum News {
    /// It has a place in the queues: those that depend on it can get theirs.
    Placed,
    /// It has ended: those that depend on it go on, or are skipped.
    Ended(OperationState),
    /// It was canceled: its children are to be canceled, too.
    Canceled,
}

impl State {
    /// Begins to tell those whom the news concerns.
    pub(crate) fn spread(&mut self, news: News, of: Cursor) {
        let until = self.head;
        let cascade = Cascade {
            news,
            of,
            after: 0,
            until,
        };
        if self.hearers(&cascade).next().is_some() {
            self.cascades.push_back(cascade);
        }
    }

    /// Those who are still to hear it.
    fn hearers(&self, cascade: &Cascade) -> impl Iterator<Item = Cursor> {
        let index = match cascade.news {
            News::Placed | News::Ended(_) => &self.dependents,
            News::Canceled => &self.children,
        };
        let range = (cascade.of, cascade.after + 1)..=(cascade.of, cascade.until);
        index.range(range).map(|(_, hearer)| *hearer)
    }

    /// Tells the next few. Cascades take turns, so that a long one holds up no other.
    pub(crate) fn cascade(&mut self) {
        let mut left = CASCADE_BATCH;
        while left > 0
            && let Some(mut cascade) = self.cascades.pop_front()
        {
            let hearers: Vec<_> = self.hearers(&cascade).take(left).collect();
            for hearer in &hearers {
                match cascade.news {
                    News::Placed => self.hear_placed(*hearer, cascade.of),
                    News::Ended(state) => self.hear_ended(*hearer, cascade.of, state),
                    News::Canceled => self.hear_canceled(*hearer),
                }
            }
            left -= hearers.len();
            if left == 0
                && let Some(last) = hearers.last()
            {
                cascade.after = *last;
                if self.hearers(&cascade).next().is_some() {
                    self.cascades.push_back(cascade);
                }
            }
        }
    }

    fn hear_placed(&mut self, hearer: Cursor, of: Cursor) {
        let course = self.operation_mut(hearer).course();
        for outstanding in &mut course.outstanding {
            outstanding.is_placed |= outstanding.sequence == of;
        }
        self.note_placeable(hearer);
    }

    fn hear_ended(&mut self, hearer: Cursor, of: Cursor, state: OperationState) {
        self.dependents.remove(&(of, hearer));
        let operation = self.operation_mut(hearer);
        let course = operation.course();
        course.outstanding.retain(|other| other.sequence != of);
        operation.unmet -= 1;
        if let Some(failed) = failed_dependency(operation, of, state) {
            operation.course().failed_dependency.get_or_insert(failed);
            self.doomed.insert(hearer);
        } else if operation.unmet == 0 {
            self.make_ready(hearer);
        }
        self.note_placeable(hearer);
    }

    fn hear_canceled(&mut self, hearer: Cursor) {
        let operation = self.operation_mut(hearer);
        if operation.can_be_canceled() {
            operation.course().is_cancel_due = true;
            self.cancels.insert(hearer);
        }
    }

    /// An operation without a place that waits for nobody without one can get its own.
    pub(crate) fn note_placeable(&mut self, sequence: Cursor) {
        if self.operations[&sequence].is_placeable() {
            self.placeable.insert(sequence);
        }
    }

    /// The record of an open operation, to be changed.
    pub(crate) fn operation_mut(&mut self, sequence: Cursor) -> &mut Operation {
        self.touched += 1;
        let operation = self.operations.get_mut(&sequence);
        Arc::make_mut(operation.expect("it is open"))
    }
}

/// The dependency, if it may not end like this.
fn failed_dependency(
    operation: &Operation,
    of: Cursor,
    state: OperationState,
) -> Option<FailedDependency> {
    let mut after = operation.request.after().iter();
    let failed = after.find(|known| known.sequence == of && !known.states.contains(&state))?;
    Some(FailedDependency {
        id: failed.id.clone(),
        state,
    })
}

impl Operation {
    /// Whether a request to cancel it leads to anything.
    pub(crate) fn can_be_canceled(&self) -> bool {
        match self.state {
            // It ends with its flow.
            OperationState::Scheduled | OperationState::Waiting => !self.is_step(),
            OperationState::Running => self.request.cancelable,
            _ => false,
        }
    }

    /// Whether it has no place and can get one.
    pub(crate) fn is_placeable(&self) -> bool {
        self.place() == 0
            && self.state == OperationState::Waiting
            && self.outstanding().iter().all(|other| other.is_placed)
    }
}
