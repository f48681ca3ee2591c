//! What the caller reads when something was refused or went wrong. What the log gets is another
//! message, and written elsewhere.

use opstead_core::Refusal;
use opstead_schema::{ErrorCode, ErrorObject, Fault, METHOD_NOT_FOUND};

use super::convert;
use crate::engine::EngineError;
use crate::filter::InvalidFilter;
use crate::journal::ReadError;

/// When to come back after a bound was reached.
const RETRY_AFTER_MS: u64 = 250;

pub(super) fn engine(error: EngineError) -> ErrorObject {
    let message = error.to_string();
    match error {
        EngineError::Refused(refusal) => refused(refusal, message),
        EngineError::Overloaded { .. } => overloaded(message),
        EngineError::StorageFailed => ErrorObject::new(ErrorCode::StorageFailed, message),
        EngineError::ShuttingDown => ErrorObject::new(ErrorCode::ShuttingDown, message),
        EngineError::ExecutorUnavailable { .. } => {
            ErrorObject::new(ErrorCode::ExecutorUnavailable, message)
        }
        EngineError::QueryFailed(failure) => convert::failure(&failure),
    }
}

fn refused(refusal: Refusal, message: String) -> ErrorObject {
    match refusal {
        Refusal::ClaimHeld { reasons } => {
            ErrorObject::with(ErrorCode::Conflict, message, |details| {
                details.reasons = reasons.iter().map(convert::reason).collect();
            })
        }
        Refusal::OperationNotFound { .. } => {
            ErrorObject::new(ErrorCode::OperationNotFound, message)
        }
        Refusal::ObjectNotFound { .. } => ErrorObject::new(ErrorCode::ObjectNotFound, message),
        Refusal::OperationEnded { state } => {
            ErrorObject::with(ErrorCode::OperationEnded, message, |details| {
                details.state = Some(convert::state(state));
            })
        }
        Refusal::NotStuck { .. } => invalid_param("/id", &message),
        Refusal::IdReused { .. } => ErrorObject::new(ErrorCode::IdReused, message),
        Refusal::Canceled => ErrorObject::new(ErrorCode::Canceled, message),
        Refusal::WeightTooLarge { .. } => ErrorObject::new(ErrorCode::WeightTooLarge, message),
        Refusal::StaleLease => stale_lease(),
        Refusal::NotCancelable { .. } => ErrorObject::new(ErrorCode::NotCancelable, message),
        Refusal::MethodUnknown { .. } => ErrorObject {
            code: METHOD_NOT_FOUND,
            message,
            data: None,
        },
        Refusal::Invalid { faults } => {
            let fault = |fault: opstead_core::Fault| Fault {
                pointer: fault.pointer,
                message: fault.message,
            };
            ErrorObject::invalid_params(message, faults.into_iter().map(fault).collect())
        }
        Refusal::LimitReached {
            what: "open operations",
            ..
        } => overloaded(message),
        Refusal::LimitReached { .. } => ErrorObject::invalid_params(message, Vec::new()),
    }
}

pub(super) fn stale_lease() -> ErrorObject {
    let message = Refusal::StaleLease.to_string();
    ErrorObject::new(ErrorCode::StaleLease, message)
}

pub(super) fn overloaded(message: String) -> ErrorObject {
    ErrorObject::with(ErrorCode::Overloaded, message, |details| {
        details.retry_after_ms = Some(RETRY_AFTER_MS);
    })
}

pub(super) fn filter(error: &InvalidFilter) -> ErrorObject {
    ErrorObject::with(ErrorCode::InvalidFilter, error.to_string(), |details| {
        details.position = Some(error.position as u64);
    })
}

pub(super) fn operation_not_found(id: &str) -> ErrorObject {
    ErrorObject::new(
        ErrorCode::OperationNotFound,
        format!("there is no operation {id:?}"),
    )
}

/// A read of the journal that failed: nothing was changed, so the same call may be repeated.
pub(super) fn read(error: &ReadError) -> ErrorObject {
    tracing::error!(%error, "the journal could not be read");
    ErrorObject::new(ErrorCode::StorageFailed, "the journal could not be read")
}

pub(super) fn invalid_param(pointer: &str, message: &str) -> ErrorObject {
    let fault = Fault {
        pointer: pointer.to_owned(),
        message: message.to_owned(),
    };
    let message = match pointer {
        "" => message.to_owned(),
        pointer => format!("{pointer}: {message}"),
    };
    ErrorObject::invalid_params(message, vec![fault])
}
