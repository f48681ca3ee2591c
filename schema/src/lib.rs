//! The wire of Opstead, protocol version 1, stated in code: types, parameters, answers, errors and
//! the table of methods. Daemon and clients use the same types. Nothing here reads a clock, a file
//! or a socket, and nothing here decides anything.
//!
//! | module | what it states |
//! | --- | --- |
//! | [`Operation`], [`OperationInfo`], [`TaskInfo`], [`Alert`], … | the nouns, one file each |
//! | [`params`] | the parameters of every method, and how they are read ([`params::parse_params`]) |
//! | [`results`] | the answers that are more than one noun |
//! | [`ErrorCode`], [`ErrorObject`] | the error table and the shape of an error |
//! | [`METHODS`] | the one table of methods; from it comes [`OPENRPC`] |
//!
//! Field names are camelCase, times are [`Timestamp`]s, durations end in `Ms`. Foreign JSON
//! (`kwargs`, `result`, `extraData`, error `data`) is [`Json`], which is returned as it came, byte
//! for byte. That is why nothing here is flattened, untagged or internally tagged: serde would
//! buffer the value and lose its text.
//!
//! ```
//! use opstead_schema::{ErrorObject, method, params::{RegisterParams, parse_params}};
//!
//! let register = method("operations.register").expect("it is in the table");
//! let params: RegisterParams = parse_params(
//!     register,
//!     Some(r#"{"methodName":"storage.createImage","kwargs":{"image":"a","sizeBytes":18446744073709551615}}"#),
//! )?;
//! assert_eq!(params.kwargs.get(), r#"{"image":"a","sizeBytes":18446744073709551615}"#);
//! # Ok::<(), ErrorObject>(())
//! ```
#![warn(missing_docs)]

#[macro_use]
mod words;

mod json;
mod time;

mod alert;
mod assignment;
mod claim;
mod declaration;
mod error;
mod flow;
mod object;
mod operation;
mod operation_info;
mod reason;
mod registration;
mod system;
mod task;

pub mod params;
pub mod results;

mod method;
#[cfg(test)]
mod openrpc;

pub use alert::{Alert, AlertBookmark, AlertClosed, AlertEvent, BookmarkKind};
pub use assignment::{Assignment, AssignmentAction};
pub use claim::{Claim, ClaimOperation, Resource};
pub use declaration::{InterruptPolicy, MethodDeclaration, MethodKind, RetryPolicy};
pub use error::{
    ErrorCode, ErrorDetails, ErrorObject, Fault, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST,
    METHOD_NOT_FOUND, PARSE_ERROR,
};
pub use flow::{FlowStep, StepFailure};
pub use json::{Json, empty_object, is_object, null, to_json};
pub use method::{METHODS, Method, OPENRPC, Param, method};
pub use object::ObjectInfo;
pub use operation::{Dependency, NonFatalError, Operation, OperationState};
pub use operation_info::{
    LastError, OperationDescription, OperationInfo, Percentage, PercentageOutOfRange, Stage,
};
pub use reason::{Cause, Reason};
pub use registration::{Registration, Response};
pub use system::{ExecutorInfo, Limits, OfferedMethod, SystemStatus};
pub use task::TaskInfo;
pub use time::{Timestamp, TimestampError};
