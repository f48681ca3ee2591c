//! The built-in executors, one folder or file each, and what they share: how a method is declared
//! and how its kwargs are read. They know the executor boundary and the core's types, nothing else
//! of the daemon, and nothing of one another.

use std::sync::Arc;

use opstead_core::{
    ClaimOperation, ClaimTemplate, Declaration, Failure, Json, MethodKind, OnInterrupt,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub mod diagnostic;

pub mod storage;

pub mod exec;

pub mod process;

/// A declaration in version 1 that may be interrupted and repeated, on no object and without
/// claims; its kwargs are an object with these members and no others.
fn operation(name: &str, summary: &str, properties: Value, required: &[&str]) -> Declaration {
    Declaration {
        name: name.into(),
        version: 1,
        kind: MethodKind::Operation,
        summary: summary.into(),
        kwargs_schema: Some(object_schema(&properties, required)),
        object: None,
        claims: Vec::new(),
        cancelable: false,
        on_interrupt: OnInterrupt::Retry,
        weight: 0,
        retry: None,
        attempt_timeout_ms: None,
        holds_schedule: false,
        revertible: false,
        secrets: Vec::new(),
    }
}

/// A claim template.
fn claim(kind: &str, id: &str, operation: ClaimOperation) -> ClaimTemplate {
    ClaimTemplate {
        kind: kind.into(),
        id: id.into(),
        operation,
    }
}

/// The JSON Schema of an object with these members and no others.
fn object_schema(properties: &Value, required: &[&str]) -> Json {
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    Json::from_value(&schema).expect("a JSON value is JSON")
}

/// Reads kwargs into a method's own type. The schema has been checked before; this is the second
/// fence, for what a schema cannot say and for callers that checked none.
fn parse_arguments<T: DeserializeOwned>(arguments: &Json) -> Result<T, Failure> {
    arguments.parse().map_err(|error| {
        Failure::new(
            -32602,
            &format!("invalid kwargs: {error}"),
            "invalidParams",
            false,
        )
    })
}

/// The failure of a method that the subsystem never declared.
fn unknown_method(method_name: &str) -> Failure {
    Failure::new(
        -32601,
        &format!("there is no method {method_name:?}"),
        "methodNotFound",
        false,
    )
}

/// The declarations, as the engine takes them.
fn shared(declarations: impl IntoIterator<Item = Declaration>) -> Vec<Arc<Declaration>> {
    declarations.into_iter().map(Arc::new).collect()
}
