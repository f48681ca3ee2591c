//! Queries: how long one may take.

use std::time::Duration;

use opstead::engine::executor::Objects;
use opstead::engine::{EngineConfig, EngineError};
use opstead_core::Json;
use serde_json::json;

use super::world::Setup;

/// No object stands in any way.
struct Nothing;

impl Objects for Nothing {
    fn operation_info(&self, _alert_name: &str) -> Option<Json> {
        None
    }
}

#[test]
fn a_query_that_is_not_answered_in_time_is_unavailable() {
    let world = Setup {
        config: EngineConfig {
            query_timeout: Duration::from_millis(1),
            ..EngineConfig::default()
        },
        ..Setup::default()
    }
    .start();
    let kwargs = Json::from_value(&json!({"thing": "silence"})).unwrap();
    let answer = world
        .handle
        .query("test.ask", kwargs, std::sync::Arc::new(Nothing));
    assert!(matches!(
        world.wait(answer),
        Err(EngineError::ExecutorUnavailable { .. })
    ));
}
