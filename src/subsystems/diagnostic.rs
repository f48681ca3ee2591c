//! The subsystem `diagnostic`: operations that do nothing, at once or for a while, for load tests
//! and for trying things out. It touches no object and no disk.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use opstead_core::{Declaration, Failure, InfoUpdate, Json};
use serde::Deserialize;
use serde_json::json;

use super::{operation, parse_arguments, shared, unknown_method};
use crate::engine::executor::{Executor, QueryContext, TaskContext, Work};

const NOOP: &str = "diagnostic.noop";
const WAIT: &str = "diagnostic.wait";

/// The longest that `wait` waits by its own time: a year.
const WAIT_MAX_SECONDS: u32 = 31_536_000;

/// The subsystem; it has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Diagnostic;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitArguments {
    seconds: Option<f64>,
    resource: Option<String>,
}

impl Executor for Diagnostic {
    fn name(&self) -> &str {
        "diagnostic"
    }

    fn capacity(&self) -> u32 {
        10_000
    }

    fn declarations(&self) -> Vec<Arc<Declaration>> {
        let noop = Declaration {
            // Any object; that it is one is checked without a schema, and for much less.
            kwargs_schema: None,
            ..operation(NOOP, "Completes at once and does nothing.", json!({}), &[])
        };
        let properties = json!({
            "resource": {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "description": "what is waited for; only shown",
            },
            "seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": WAIT_MAX_SECONDS,
                "description": "without it, until canceled",
            },
        });
        let summary = "Waits until it is canceled, or for some seconds.";
        let wait = Declaration {
            cancelable: true,
            ..operation(WAIT, summary, properties, &[])
        };
        shared([noop, wait])
    }

    fn execute(&self, task: TaskContext, arguments: Json) -> Work<'_> {
        Box::pin(async move {
            match task.method_name() {
                NOOP => Ok(Json::null()),
                WAIT => wait(&task, &arguments).await,
                other => Err(unknown_method(other)),
            }
        })
    }

    fn query(&self, query: QueryContext, _arguments: Json) -> Work<'_> {
        Box::pin(async move { Err(unknown_method(&query.method_name)) })
    }
}

async fn wait(task: &TaskContext, arguments: &Json) -> Result<Json, Failure> {
    let arguments: WaitArguments = parse_arguments(arguments)?;
    let duration = arguments
        .seconds
        .map(|seconds| Duration::try_from_secs_f64(seconds.min(f64::from(WAIT_MAX_SECONDS))))
        .transpose()
        .map_err(|error| {
            Failure::new(-32602, &format!("seconds: {error}"), "invalidParams", false)
        })?;
    let extra_data = arguments.resource.map(|resource| {
        Json::from_value(&json!({"resource": resource})).expect("a JSON value is JSON")
    });
    task.progress(InfoUpdate {
        description: Some("Running".into()),
        extra_data,
        ..InfoUpdate::default()
    });
    let time_is_up = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => future::pending().await,
        }
    };
    tokio::select! {
        () = task.canceled() => Err(Failure::canceled()),
        () = time_is_up => Ok(Json::null()),
    }
}
