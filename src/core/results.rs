//! What a step takes from the steps before it, once they have completed.

use std::collections::BTreeMap;

use crate::event::{Change, EventBody};
use crate::failure::Failure;
use crate::json::{Json, Taken};
use crate::operation::{Operation, Outcome};
use crate::refusal::Fault;
use crate::schemas::Schemas;
use crate::state::State;

/// The most bytes of kwargs with results in them: as much as a whole request may have. One result
/// can be taken in many places.
const MOST_BYTES: usize = 4 << 20;

/// The most bytes of results that are read for the parts taken of them: each result once, however
/// many parts.
const MOST_READ: usize = 16 << 20;

impl State {
    /// The kwargs of an open step with the results of other steps in their places. They may be those
    /// of its record, or the same with their secrets. Fails, naming the place, where a result has not
    /// what is taken of it.
    pub fn bound(&self, step: &Operation, kwargs: &Json) -> Result<Json, Failure> {
        let taken = kwargs.results().unwrap_or_default();
        let mut sources: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, taken) in taken.iter().enumerate() {
            sources.entry(&taken.step).or_default().push(index);
        }
        let mut found = vec![None; taken.len()];
        let mut read = 0;
        for (source, indices) in sources {
            let Some(result) = self.result_beside(step, source) else {
                continue;
            };
            let pointers: Vec<&str> = indices.iter().map(|&at| &*taken[at].pointer).collect();
            if let Some(part) = pointers.iter().position(|pointer| !pointer.is_empty()) {
                read += result.as_str().len();
                if read > MOST_READ {
                    return Err(too_much_to_read(&taken[indices[part]]));
                }
            }
            for (at, part) in indices.into_iter().zip(result.parts(&pointers)) {
                found[at] = part;
            }
        }
        let mut bytes = kwargs.as_str().len();
        let mut parts = Vec::with_capacity(taken.len());
        for (taken, part) in taken.iter().zip(found) {
            let part = part.ok_or_else(|| finds_nothing(taken))?;
            bytes += part.len();
            if bytes > MOST_BYTES {
                return Err(too_long(taken));
            }
            parts.push(part);
        }
        Ok(kwargs.with_results(&taken, &parts))
    }

    /// The result of a step of the same flow, if it has completed.
    fn result_beside(&self, step: &Operation, name: &str) -> Option<&Json> {
        let flow = step.subject.parent.as_ref()?;
        let other = self.operation(&format!("{}.{name}", flow.id))?;
        result(other)
    }

    /// About how many bytes are gone through to start an operation or to revert it, if that is what
    /// happened: those of its kwargs, of its own result, and of the results that it may take.
    pub(crate) fn bytes_to_start(&self, body: &EventBody) -> usize {
        let EventBody::Operation(event) = body else {
            return 0;
        };
        let is_start = matches!(event.change, Change::Started { .. } | Change::Failed(_));
        let is_revert = matches!(event.change, Change::Reverting { .. });
        let operation = self.operations.get(&event.subject.sequence);
        let Some(step) = operation.filter(|step| is_revert || (is_start && takes_results(step)))
        else {
            return 0;
        };
        let others = step.requires().iter().filter(|_| takes_results(step));
        let others = others.filter_map(|other| result(self.operations.get(other)?));
        let results = others
            .chain(result(step))
            .map(|result| result.as_str().len());
        step.request.kwargs.as_str().len() + results.sum::<usize>()
    }

    /// Whether a step can be handed what it asks for, now that the results are there that it takes.
    pub(crate) fn check_bound(
        &self,
        operation: &Operation,
        schemas: &dyn Schemas,
    ) -> Result<(), Failure> {
        if !takes_results(operation) {
            return Ok(());
        }
        let kwargs = self.bound(operation, &schemas.open(&operation.request)?)?;
        let (name, version) = (&operation.subject.method_name, operation.request.version);
        let declaration = self.declaration(name, Some(version));
        let faults = declaration.map(|method| schemas.faults(method, &kwargs));
        match faults.unwrap_or_default().as_slice() {
            [] => Ok(()),
            faults => Err(Failure::invalid_params(faults)),
        }
    }
}

fn takes_results(operation: &Operation) -> bool {
    let step = operation.request.step();
    step.is_some_and(|step| step.takes_results)
}

fn result(operation: &Operation) -> Option<&Json> {
    match operation.outcome.as_ref()? {
        Outcome::Completed(result) => Some(result),
        _ => None,
    }
}

fn too_much_to_read(taken: &Taken) -> Failure {
    let message =
        format!("the results that parts are taken of are over {MOST_READ} bytes together");
    let place = format!("/kwargs{}", taken.place);
    Failure::invalid_params(&[Fault::new(place, message)])
}

fn too_long(taken: &Taken) -> Failure {
    let message = format!("with the results in them the kwargs are over {MOST_BYTES} bytes");
    let place = format!("/kwargs{}", taken.place);
    Failure::invalid_params(&[Fault::new(place, message)])
}

fn finds_nothing(taken: &Taken) -> Failure {
    let Taken {
        place,
        step,
        pointer,
        ..
    } = taken;
    let message = format!("the result of {step:?} has nothing at {pointer:?}");
    Failure::invalid_params(&[Fault::new(format!("/kwargs{place}"), message)])
}
