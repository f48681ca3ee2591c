//! What a step takes from the steps before it, once they have completed.

use crate::failure::Failure;
use crate::json::{Json, Taken};
use crate::operation::{Operation, Outcome};
use crate::refusal::Fault;
use crate::schemas::Schemas;
use crate::state::State;

/// The most bytes of kwargs with results in them: as much as a whole request may have. One result
/// can be taken in many places.
const MOST_BYTES: usize = 4 << 20;

impl State {
    /// The kwargs of an open step with the results of other steps in their places. They may be those
    /// of its record, or the same with their secrets. Fails, naming the place, where a result has not
    /// what is taken of it.
    pub fn bound(&self, step: &Operation, kwargs: &Json) -> Result<Json, Failure> {
        let flow = step.subject.parent.as_ref();
        let flow = flow.map(|flow| &*flow.id).unwrap_or_default();
        let mut bytes = kwargs.as_str().len();
        kwargs.with_results(|taken| {
            let id = format!("{flow}.{}", taken.step);
            let result =
                self.operation(&id)
                    .and_then(|taken_from| match taken_from.outcome.as_ref()? {
                        Outcome::Completed(result) => result.at(&taken.pointer),
                        _ => None,
                    });
            let result = result.ok_or_else(|| finds_nothing(taken))?;
            bytes += result.as_str().len();
            match bytes > MOST_BYTES {
                true => Err(too_long(taken)),
                false => Ok(result),
            }
        })
    }

    /// Whether a step can be handed what it asks for, now that the results are there that it takes.
    pub(crate) fn check_bound(
        &self,
        operation: &Operation,
        schemas: &dyn Schemas,
    ) -> Result<(), Failure> {
        let step = operation.request.step();
        if !step.is_some_and(|step| step.takes_results) {
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
