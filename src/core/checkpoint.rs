//! The state as a stream of records, and back: what opening needs beside the blocks that came
//! after it. Whatever can be derived is left out and derived again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::declaration::Declaration;
use crate::event::Cursor;
use crate::operation::{Operation, Resource};
use crate::state::{Executor, Object};

/// One piece of a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The cursor of the last event the state includes.
    Head(Cursor),
    /// An open operation; they come in registration order.
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
}
