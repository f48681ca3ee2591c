//! What executors outside are told, and what they say, from the core's values to the wire's and
//! back.

use std::sync::Arc;

use opstead_core as core;
use opstead_schema as wire;
use opstead_schema::params::InfoUpdate;

use super::{claim, json, time};
use crate::engine::Assignment;

pub(in crate::rpc) fn declared(method: wire::MethodDeclaration) -> core::Declaration {
    let template = |template: wire::Claim| {
        let claim = claim(template);
        core::ClaimTemplate {
            kind: claim.resource.kind.clone(),
            id: claim.resource.id.clone(),
            operation: claim.operation,
        }
    };
    core::Declaration {
        name: method.name.into(),
        version: method.version,
        kind: match method.kind {
            wire::MethodKind::Operation => core::MethodKind::Operation,
            wire::MethodKind::Query => core::MethodKind::Query,
        },
        summary: method.summary.into(),
        kwargs_schema: method.kwargs_schema.map(Into::into),
        object: method.object.map(Into::into),
        claims: method.claims.into_iter().map(template).collect(),
        cancelable: method.cancelable,
        on_interrupt: match method.on_interrupt {
            wire::InterruptPolicy::Retry => core::OnInterrupt::Retry,
            wire::InterruptPolicy::Fail => core::OnInterrupt::Fail,
        },
        weight: method.weight,
        retry: method.retry.map(|retry| core::Retry {
            max_attempts: retry.max_attempts,
            initial_ms: retry.initial_ms,
            factor: retry.factor,
            max_ms: retry.max_ms,
        }),
        attempt_timeout_ms: method.attempt_timeout_ms,
        holds_schedule: method.holds_schedule,
        revertible: method.revertible,
        secrets: method.secrets.into_iter().map(Into::into).collect(),
    }
}

pub(in crate::rpc) fn update(update: InfoUpdate) -> core::InfoUpdate {
    core::InfoUpdate {
        description: update
            .operation_description
            .map(|word| Arc::from(word.as_str())),
        stage_description: update.stage_description.map(Into::into),
        stage: update.stage.map(|stage| core::Stage {
            number: stage.number,
            total: stage.total,
        }),
        percentage: update.percentage,
        last_error: update.last_error.map(|error| core::operation::LastError {
            code: error.code,
            message: error.message.into(),
        }),
        extra_data: update.extra_data.map(Into::into),
    }
}

/// What an update takes, about.
pub(in crate::rpc) fn update_bytes(update: &core::InfoUpdate) -> usize {
    let text = update
        .stage_description
        .as_ref()
        .map_or(0, |text| text.len());
    let error = update.last_error.as_ref();
    let data = update.extra_data.as_ref();
    text + error.map_or(0, |error| error.message.len()) + data.map_or(0, |data| data.as_str().len())
}

/// The whole notification that tells an executor what to do, as JSON.
pub(in crate::rpc) fn encode_assignment(assignment: &Assignment, subscription: &str) -> String {
    let params = self::assignment(assignment, subscription);
    let params = serde_json::to_string(&params).expect("an assignment is JSON");
    format!(r#"{{"jsonrpc":"2.0","method":"assignment","params":{params}}}"#)
}

fn assignment(assignment: &Assignment, subscription: &str) -> wire::Assignment {
    let nothing = |action| wire::Assignment {
        subscription: subscription.to_owned(),
        action,
        operation_id: None,
        lease: None,
        attempt: None,
        query_id: None,
        method_name: None,
        version: None,
        start_at: None,
        start_before: None,
        kwargs: None,
        result: None,
        error: None,
        failures: Vec::new(),
    };
    match assignment {
        Assignment::Execute(handed) => wire::Assignment {
            operation_id: Some(handed.operation_id.to_string()),
            lease: Some(handed.lease.to_string()),
            attempt: Some(handed.lease.attempt),
            method_name: Some(handed.method_name.to_string()),
            version: Some(handed.version),
            start_at: handed.start_at.map(time),
            start_before: handed.start_before.map(time),
            kwargs: Some(json(&handed.kwargs)),
            ..nothing(wire::AssignmentAction::Execute)
        },
        Assignment::Cancel {
            operation_id,
            lease,
        } => wire::Assignment {
            operation_id: Some(operation_id.to_string()),
            lease: Some(lease.to_string()),
            ..nothing(wire::AssignmentAction::Cancel)
        },
        Assignment::Query {
            query_id,
            method_name,
            version,
            kwargs,
        } => wire::Assignment {
            query_id: Some(query_id.to_string()),
            method_name: Some(method_name.to_string()),
            version: Some(*version),
            kwargs: Some(json(kwargs)),
            ..nothing(wire::AssignmentAction::Query)
        },
    }
}
