//! The diagnostic subsystem.

use std::sync::Arc;

use opstead::subsystems::diagnostic::Diagnostic;
use serde_json::{Value, json};

use crate::support::{Attempt, is, refusal};

#[tokio::test]
async fn noop_completes_at_once_with_null() {
    let attempt = Arc::new(Attempt::of("diagnostic.noop"));
    let result = attempt.run(&Diagnostic, json!({"any": "thing"})).await;
    assert_eq!(result.expect("completed"), Value::Null);
    assert!(attempt.updates().is_empty());
}

#[tokio::test]
async fn wait_lasts_until_it_is_canceled() {
    let attempt = Arc::new(Attempt::of("diagnostic.wait"));
    let cancel_when_it_waits = async {
        attempt.awaited.cancelled().await;
        attempt.cancel.cancel();
    };
    let run = attempt.run(&Diagnostic, json!({"resource": "disk"}));
    let (outcome, ()) = tokio::join!(run, cancel_when_it_waits);
    assert_eq!(refusal(outcome), is(2005, "canceled"));
    assert_eq!(attempt.extra_data(), [json!({"resource": "disk"})]);
}

#[tokio::test]
async fn wait_ends_after_its_seconds() {
    let attempt = Arc::new(Attempt::of("diagnostic.wait"));
    let result = attempt.run(&Diagnostic, json!({"seconds": 0.01})).await;
    assert_eq!(result.expect("completed"), Value::Null);
    let outcome = attempt.run(&Diagnostic, json!({"seconds": -1})).await;
    assert_eq!(refusal(outcome), is(-32602, "invalidParams"));
    let outcome = attempt.run(&Diagnostic, json!({"minutes": 1})).await;
    assert_eq!(refusal(outcome), is(-32602, "invalidParams"));
}

#[tokio::test]
async fn other_methods_are_refused() {
    let attempt = Arc::new(Attempt::of("diagnostic.explode"));
    let outcome = attempt.run(&Diagnostic, json!({})).await;
    assert_eq!(refusal(outcome), is(-32601, "methodNotFound"));
}
