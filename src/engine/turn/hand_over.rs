//! What an attempt is handed: kwargs with their secrets and with the results of other steps; and for
//! a revert, what has become of the operation and of its flow.

use std::sync::Arc;

use opstead_core::{
    Cursor, Declaration, Failure, Fault, Json, Lease, Operation, OperationState, Outcome, Request,
    Schemas,
};

use super::Loop;
use crate::engine::attempts::Errand;
use crate::engine::executor::{Past, StepFailure};
use crate::engine::{EngineHandle, SealBroken, Vault};

/// The most bytes of the data of all failures that a revert is told: what does not fit is left out.
const FAILURE_DATA_BYTES: usize = 1 << 20;

impl Loop {
    /// Hands an attempt to its executor. What ended or was interrupted within the block never was.
    pub(super) fn hand_out(&mut self, sequence: Cursor, attempt: u32, executor: &Arc<str>) {
        let Some(operation) = self.state.operation_at(sequence) else {
            return;
        };
        if !self.state.is_held_by(Lease { sequence, attempt }, executor) {
            return;
        }
        let is_revert = operation.state == OperationState::Reverting;
        let past = is_revert.then(|| self.past(operation));
        let kwargs = self.kwargs(operation);
        self.attempts
            .start(operation, executor, Errand { kwargs, past });
    }

    fn kwargs(&self, operation: &Operation) -> Result<Json, Failure> {
        let request = &operation.request;
        let kwargs = open(&self.config.vault, request)?;
        match request.step() {
            Some(step) if step.takes_results => self.state.bound(operation, &kwargs),
            _ => Ok(kwargs),
        }
    }

    fn past(&self, step: &Operation) -> Past {
        let flow = self.state.flow_of(step);
        let failed = flow.map_or(&[][..], |flow| flow.failed_steps());
        let mut room = FAILURE_DATA_BYTES;
        let failure = |sequence: &Cursor| {
            let failed = self.state.operation_at(*sequence)?;
            let failure = failure_of(failed)?;
            let failure = Failure {
                code: failure.code,
                message: failure.short_message(),
                data: failure.data.clone().filter(|data| fits(data, &mut room)),
            };
            Some(StepFailure {
                step: failed.step_name().into(),
                operation_id: failed.subject.id.clone(),
                failure,
            })
        };
        Past {
            failures: failed
                .iter()
                .take(Failure::MOST_TOLD)
                .filter_map(failure)
                .collect(),
            outcome: match &step.outcome {
                Some(Outcome::Completed(result)) => Ok(result.clone()),
                _ => Err(failure_of(step).cloned().unwrap_or_else(Failure::canceled)),
            },
        }
    }
}

/// Whether there is room for this, which it then takes.
fn fits(data: &Json, room: &mut usize) -> bool {
    let left = room.checked_sub(data.as_str().len());
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// The code of an attempt whose kwargs cannot be read.
const STORAGE_FAILED: i32 = 1014;

/// What the core asks about kwargs when it starts a step that takes results.
pub(super) struct Known<'a> {
    pub(super) handle: &'a EngineHandle,
    pub(super) vault: &'a Vault,
}

impl Schemas for Known<'_> {
    fn open(&self, request: &Request) -> Result<Json, Failure> {
        open(self.vault, request)
    }

    fn faults(&self, declaration: &Arc<Declaration>, kwargs: &Json) -> Vec<Fault> {
        self.handle.faults(declaration, kwargs)
    }
}

/// Kwargs with their secrets.
fn open(vault: &Vault, request: &Request) -> Result<Json, Failure> {
    let Some(sealed) = request.sealed() else {
        return Ok(request.kwargs.clone());
    };
    let failed = |error: SealBroken| {
        Failure::new(STORAGE_FAILED, &error.to_string(), "storageFailed", false)
    };
    vault.open(sealed).map_err(failed)
}

fn failure_of(operation: &Operation) -> Option<&Failure> {
    match operation.outcome.as_ref()? {
        Outcome::Failed(failure) | Outcome::Canceled(failure) => Some(failure),
        _ => None,
    }
}
