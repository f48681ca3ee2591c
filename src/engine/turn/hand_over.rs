//! What an attempt is handed: kwargs with their secrets and with the results of other steps; and for
//! a revert, what has become of the operation and of its flow.

use std::sync::Arc;

use opstead_core::{Cursor, Failure, Json, Operation, OperationState, Outcome};

use serde_json::json;

use super::Loop;
use crate::engine::attempts::Errand;
use crate::engine::executor::{Past, StepFailure};

/// The most bytes of the data of all failures that a revert is told: of further ones it is left out.
const FAILURE_DATA_BYTES: usize = 1 << 20;

impl Loop {
    /// Hands an attempt to its executor. What ended or was interrupted within the block never was.
    pub(super) fn hand_out(&mut self, sequence: Cursor, attempt: u32, executor: &Arc<str>) {
        let Some(operation) = self.state.operation_at(sequence) else {
            return;
        };
        let past = match operation.state {
            OperationState::Running | OperationState::Canceling => None,
            OperationState::Reverting => Some(self.past(operation)),
            _ => return,
        };
        if operation.attempt == attempt {
            let kwargs = self.kwargs(operation);
            self.attempts
                .start(operation, executor, Errand { kwargs, past });
        }
    }

    fn kwargs(&self, operation: &Operation) -> Result<Json, Failure> {
        let request = &operation.request;
        let kwargs = match request.sealed() {
            Some(sealed) => self.config.vault.open(sealed).map_err(|error| {
                Failure::new(STORAGE_FAILED, &error.to_string(), "storageFailed", false)
            })?,
            None => request.kwargs.clone(),
        };
        match request.step() {
            Some(step) if step.takes_results => {
                let bound = self.state.bound(operation, &kwargs)?;
                // What is to be undone is told as it was meant to be done.
                if operation.state != OperationState::Reverting {
                    self.check_bound(operation, &bound)?;
                }
                Ok(bound)
            }
            _ => Ok(kwargs),
        }
    }

    /// Kwargs that take results are checked when these are there.
    fn check_bound(&self, operation: &Operation, bound: &Json) -> Result<(), Failure> {
        let (subject, request) = (&operation.subject, &operation.request);
        let declaration = self
            .state
            .declaration(&subject.method_name, Some(request.version));
        let faults = declaration.map(|declaration| self.handle.faults(declaration, bound));
        let faults = faults.unwrap_or_default();
        if faults.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let members = faults
            .iter()
            .map(|fault| json!({"pointer": fault.pointer, "message": fault.message}));
        let members: Vec<_> = members.collect();
        let data = json!({"reason": "invalidParams", "retryable": false, "faults": members});
        Err(Failure {
            code: INVALID_PARAMS,
            message: told.join("; ").into(),
            data: Some(Json::from_value(&data).expect("a JSON value is JSON")),
        })
    }

    fn past(&self, step: &Operation) -> Past {
        let flow = self.state.flow_of(step);
        let failed = flow.map_or(&[][..], |flow| flow.failed_steps());
        let mut data_bytes = 0;
        let failure = |sequence: &Cursor| {
            let failed = self.state.operation_at(*sequence)?;
            let mut failure = failure_of(failed)?.clone();
            data_bytes += failure.data.as_ref().map_or(0, |data| data.as_str().len());
            if data_bytes > FAILURE_DATA_BYTES {
                failure.data = None;
            }
            Some(StepFailure {
                step: name(failed).into(),
                operation_id: failed.subject.id.clone(),
                failure,
            })
        };
        Past {
            failures: failed.iter().filter_map(failure).collect(),
            outcome: match &step.outcome {
                Some(Outcome::Completed(result)) => Ok(result.clone()),
                _ => Err(failure_of(step).cloned().unwrap_or_else(Failure::canceled)),
            },
        }
    }
}

/// The code of an attempt whose kwargs are not what its method takes.
const INVALID_PARAMS: i32 = -32602;

/// The code of an attempt whose kwargs cannot be read.
const STORAGE_FAILED: i32 = 1014;

fn failure_of(operation: &Operation) -> Option<&Failure> {
    match operation.outcome.as_ref()? {
        Outcome::Failed(failure) | Outcome::Canceled(failure) => Some(failure),
        _ => None,
    }
}

/// The name of a step in its flow: its id goes on with it behind that of the flow.
fn name(step: &Operation) -> &str {
    let id = &*step.subject.id;
    let flow = step.subject.parent.as_ref();
    let flow = flow.map_or(0, |flow| flow.id.len() + 1);
    id.get(flow..).unwrap_or(id)
}
