//! The error table, and the shape of an error in answers and records.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Json, OperationState, Reason, StepFailure, to_json};

/// JSON-RPC: the request is no JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON-RPC: the JSON is no request.
pub const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC: no such method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC: the parameters are not the method's.
pub const INVALID_PARAMS: i32 = -32602;
/// JSON-RPC: a defect of the daemon.
pub const INTERNAL_ERROR: i32 = -32603;

/// States the table once: variant, code, reason, whether asking again can help, description.
macro_rules! error_table {
    ($( $variant:ident = $code:literal $reason:literal $retryable:literal $description:literal, )+) => {
        /// The daemon's own errors. From 3000 on, codes are a subsystem's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum ErrorCode {
            $( #[doc = $description] $variant = $code, )+
        }

        impl ErrorCode {
            /// The whole table, by code.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// `data.reason`, the name of the error.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $( Self::$variant => $reason, )+ }
            }

            /// `data.retryable`: the same request may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $( Self::$variant => $retryable, )+ }
            }

            /// One line for a person.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $( Self::$variant => $description, )+ }
            }
        }
    };
}

error_table! {
    Conflict = 1001 "conflict" false "The request cannot be queued behind what is outstanding on a resource; `reasons` say what that is.",
    OperationNotFound = 1002 "operationNotFound" false "No operation with this id is kept.",
    OperationEnded = 1003 "operationEnded" false "The operation can no longer be canceled, retried or skipped; `state` says how it ended.",
    IdReused = 1004 "idReused" false "The id belongs to an operation with another method, version or kwargs.",
    InvalidFilter = 1005 "invalidFilter" false "The filter is empty, malformed or too large; `position` says where.",
    CursorExpired = 1006 "cursorExpired" false "Alerts after `cursor` are no longer kept; the oldest place is `oldestCursor`.",
    CursorUnknown = 1007 "cursorUnknown" false "The cursor is of another log or beyond the head; this log is `logId`.",
    StaleLease = 1008 "staleLease" false "The lease is over, or another executor's.",
    Overloaded = 1009 "overloaded" true "A bound is reached; ask again after `retryAfterMs`.",
    ShuttingDown = 1010 "shuttingDown" true "The daemon is ending.",
    Unauthenticated = 1011 "unauthenticated" false "No token, or a wrong one.",
    PermissionDenied = 1012 "permissionDenied" false "The caller may not do this.",
    ObjectNotFound = 1013 "objectNotFound" false "No object has this alert name.",
    StorageFailed = 1014 "storageFailed" true "The outcome is unknown; repeat the request with the same id.",
    NeedsWebSocket = 1015 "needsWebSocket" false "The method pushes, so it needs a WebSocket.",
    InvalidPageToken = 1016 "invalidPageToken" false "The page token belongs to another query.",
    NotCancelable = 1017 "notCancelable" false "The operation cannot be canceled now.",
    WeightTooLarge = 1018 "weightTooLarge" false "The weight is over the whole capacity.",
    ExecutorUnavailable = 1019 "executorUnavailable" true "Nobody can answer the query now.",
    AnswerTooLarge = 1020 "answerTooLarge" false "The answer is over the size limit; `use` names the paged method.",
    ExecutorLost = 2001 "executorLost" true "The executor was lost while it carried the operation out.",
    AttemptTimedOut = 2002 "attemptTimedOut" true "The attempt took longer than it may.",
    StartDeadlinePassed = 2003 "startDeadlinePassed" false "The operation was not started in time.",
    DependencyFailed = 2004 "dependencyFailed" false "What the operation was to follow ended otherwise.",
    Canceled = 2005 "canceled" false "The operation was canceled.",
    ExecutorPanicked = 2006 "executorPanicked" false "The executor broke off; see the daemon's log.",
}

/// An error in the shape of JSON-RPC. Nothing stands beside these members.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrorObject {
    /// What kind of error.
    pub code: i32,
    /// For a person.
    pub message: String,
    /// `{reason, retryable, …}` in errors of the daemon; the subsystem's own in others.
    #[serde(
        default,
        deserialize_with = "crate::json::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<Json>,
}

/// What the daemon's own errors say in `data`. Members are there where the table says so.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ErrorDetails {
    /// The error's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What was found wrong in the parameters, all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What the request conflicts with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// How the operation ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<OperationState>,
    /// Where in the filter, in characters from its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The oldest place from which alerts can still be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_cursor: Option<u64>,
    /// The cursor in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// The log that cursors belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// When to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The method to use instead.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_method: Option<String>,
    /// Of a flow: the steps that stay as they are because their methods cannot be reverted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_reverted: Vec<String>,
    /// Of a flow that stands in `revertFailed`: the steps whose revert failed, and how; the first 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reverts: Vec<StepFailure>,
    /// Of a flow that stands in `revertFailed`: how many further steps there are whose revert failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_reverts: Option<u64>,
}

/// One thing that is wrong in parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fault {
    /// JSON pointer to it within the parameters.
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The error with this number, if it is one of ours.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.code() == code)
    }

    /// `data` with only what every error of this kind says.
    #[must_use]
    pub fn details(self) -> ErrorDetails {
        ErrorDetails {
            reason: self.reason().to_owned(),
            retryable: self.retryable(),
            ..ErrorDetails::default()
        }
    }
}

impl ErrorObject {
    /// An error of the table that says no more than its reason.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::with(code, message, |_| {})
    }

    /// An error of the table, to whose details something is added.
    #[must_use]
    pub fn with(
        code: ErrorCode,
        message: impl Into<String>,
        add: impl FnOnce(&mut ErrorDetails),
    ) -> Self {
        let mut details = code.details();
        add(&mut details);
        Self::detailed(code.code(), message, &details)
    }

    /// Parameters that are not the method's, with everything that is wrong in them.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>, faults: Vec<Fault>) -> Self {
        let details = ErrorDetails {
            reason: "invalidParams".to_owned(),
            faults,
            ..ErrorDetails::default()
        };
        Self::detailed(INVALID_PARAMS, message, &details)
    }

    fn detailed(code: i32, message: impl Into<String>, details: &ErrorDetails) -> Self {
        let data = to_json(details).expect("details have string keys only");
        Self {
            code,
            message: message.into(),
            data: Some(data),
        }
    }

    /// Which of the daemon's own errors this is, if any.
    #[must_use]
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::from_code(self.code)
    }

    /// `data` as the daemon's own errors have it; nothing if it is another's.
    #[must_use]
    pub fn details(&self) -> Option<ErrorDetails> {
        serde_json::from_str(self.data.as_ref()?.get()).ok()
    }
}

impl fmt::Display for ErrorObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(known) => write!(
                formatter,
                "{} ({}, {})",
                self.message,
                known.reason(),
                self.code
            ),
            None => write!(formatter, "{} ({})", self.message, self.code),
        }
    }
}

impl std::error::Error for ErrorObject {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protocol §9: ours are small positive integers, `data` is `{reason, retryable, …}`.
    #[test]
    fn the_table_is_unambiguous() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
            assert!(
                ErrorCode::ALL[..index]
                    .iter()
                    .all(|other| other.reason() != code.reason())
            );
            assert!((1001..3000).contains(&code.code()));
        }
        assert_eq!(ErrorCode::from_code(1), None);
        assert_eq!(ErrorCode::from_code(INVALID_PARAMS), None);
    }

    #[test]
    fn an_error_says_its_reason_and_its_details() {
        let error = ErrorObject::with(ErrorCode::CursorExpired, "too far back", |details| {
            details.oldest_cursor = Some(17);
            details.cursor = Some(3);
        });
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"code":1006,"message":"too far back","data":{"reason":"cursorExpired","retryable":false,"oldestCursor":17,"cursor":3}}"#
        );
        assert_eq!(error.details().unwrap().oldest_cursor, Some(17));
        assert_eq!(error.to_string(), "too far back (cursorExpired, 1006)");
    }

    #[test]
    fn data_of_a_subsystem_is_left_alone() {
        let text = r#"{"code":3001,"message":"no","data":{"z":1,"a":[18446744073709551615]}}"#;
        let error: ErrorObject = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&error).unwrap(), text);
        assert_eq!(error.known(), None);
    }
}
