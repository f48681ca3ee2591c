//! What only the surroundings of the core know of kwargs: what is sealed in them, and what the
//! declared schemas say. A step that takes results of others is checked by it when these are there.

use std::sync::Arc;

use crate::declaration::Declaration;
use crate::failure::Failure;
use crate::json::Json;
use crate::operation::Request;
use crate::refusal::Fault;

/// Knows schemas and secrets. What it has answered is in the log: nothing is asked again in a replay.
pub trait Schemas {
    /// The kwargs of a request, with their secrets.
    fn open(&self, request: &Request) -> Result<Json, Failure>;

    /// Everything in kwargs that is not what the method's schema asks for; pointers begin with
    /// `/kwargs`.
    fn faults(&self, declaration: &Arc<Declaration>, kwargs: &Json) -> Vec<Fault>;
}
