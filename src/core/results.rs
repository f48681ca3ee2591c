//! What a step takes from the steps before it, once they have completed.

use crate::failure::Failure;
use crate::json::{Json, Taken};
use crate::operation::{Operation, Outcome};
use crate::state::State;

/// The code of a step whose kwargs come to nothing.
const INVALID_PARAMS: i32 = -32602;

impl State {
    /// The kwargs of an open step with the results of other steps in their places. They may be those
    /// of its record, or the same with their secrets. Fails, naming the place, where a result has not
    /// what is taken of it.
    pub fn bound(&self, step: &Operation, kwargs: &Json) -> Result<Json, Failure> {
        let flow = step.subject.parent.as_ref();
        let flow = flow.map(|flow| &*flow.id).unwrap_or_default();
        kwargs.with_results(|taken| {
            let id = format!("{flow}.{}", taken.step);
            let result =
                self.operation(&id)
                    .and_then(|taken_from| match taken_from.outcome.as_ref()? {
                        Outcome::Completed(result) => result.at(&taken.pointer),
                        _ => None,
                    });
            result.ok_or_else(|| finds_nothing(taken))
        })
    }
}

fn finds_nothing(taken: &Taken) -> Failure {
    let Taken {
        place,
        step,
        pointer,
        ..
    } = taken;
    let message = format!("/kwargs{place}: the result of {step:?} has nothing at {pointer:?}");
    Failure::new(INVALID_PARAMS, &message, "invalidParams", false)
}
