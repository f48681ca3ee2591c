//! Conversion between the core's values and the wire's. Nothing else knows both.

mod executors;
pub(super) use executors::{declared, encode_assignment, update, update_bytes};

use std::sync::Arc;

use opstead_core as core;
use opstead_schema as wire;
use opstead_schema::{Json, Timestamp};

/// Foreign JSON goes out as it came in.
pub(super) fn json(json: &core::Json) -> Json {
    json.as_raw().to_owned()
}

/// A time on the wire.
pub fn time(time: core::Time) -> Timestamp {
    Timestamp::from_unix_ms(time.0)
}

/// A state on the wire.
pub fn state(state: core::OperationState) -> wire::OperationState {
    use core::OperationState as Core;
    match state {
        Core::Scheduled => wire::OperationState::Scheduled,
        Core::Waiting => wire::OperationState::Waiting,
        Core::Running => wire::OperationState::Running,
        Core::Canceling => wire::OperationState::Canceling,
        Core::Completed => wire::OperationState::Completed,
        Core::Failed => wire::OperationState::Failed,
        Core::Canceled => wire::OperationState::Canceled,
        Core::Skipped => wire::OperationState::Skipped,
    }
}

fn claim_operation(operation: core::ClaimOperation) -> wire::ClaimOperation {
    match operation {
        core::ClaimOperation::Create => wire::ClaimOperation::Create,
        core::ClaimOperation::Read => wire::ClaimOperation::Read,
        core::ClaimOperation::Update => wire::ClaimOperation::Update,
        core::ClaimOperation::Delete => wire::ClaimOperation::Delete,
    }
}

pub(super) fn claim(claim: wire::Claim) -> core::Claim {
    core::Claim {
        resource: Arc::new(core::Resource {
            kind: claim.kind.into(),
            id: claim.id.into(),
        }),
        operation: match claim.operation {
            wire::ClaimOperation::Create => core::ClaimOperation::Create,
            wire::ClaimOperation::Read => core::ClaimOperation::Read,
            wire::ClaimOperation::Update => core::ClaimOperation::Update,
            wire::ClaimOperation::Delete => core::ClaimOperation::Delete,
        },
    }
}

fn resource(resource: &core::Resource) -> wire::Resource {
    wire::Resource {
        kind: resource.kind.to_string(),
        id: resource.id.to_string(),
    }
}

pub(super) fn info(info: &core::OperationInfo) -> wire::OperationInfo {
    wire::OperationInfo {
        operation_description: wire::OperationDescription::from_word(&info.description)
            .expect("the core takes only words of the list"),
        stage_description: info.stage_description.to_string(),
        stage: wire::Stage {
            number: info.stage.number,
            total: info.stage.total,
        },
        percentage: wire::Percentage::new(info.percentage).expect("the core checks the range"),
        last_error: wire::LastError {
            code: info.last_error.code,
            message: info.last_error.message.to_string(),
        },
        extra_data: json(&info.extra_data),
    }
}

pub(super) fn reason(reason: &core::Reason) -> wire::Reason {
    wire::Reason {
        cause: match reason.cause {
            core::Cause::Resource => wire::Cause::Resource,
            core::Cause::Capacity => wire::Cause::Capacity,
            core::Cause::Executor => wire::Cause::Executor,
            core::Cause::Version => wire::Cause::Version,
            core::Cause::StartTime => wire::Cause::StartTime,
            core::Cause::Dependency => wire::Cause::Dependency,
            core::Cause::RetryDelay => wire::Cause::RetryDelay,
        },
        resource: reason.resource.as_ref().map(resource),
        operation: reason.operation.map(claim_operation),
        blocked_by: reason.blocked_by.iter().map(ToString::to_string).collect(),
        more: reason.more,
        detail: match reason.until {
            Some(until) => Some(time(until).to_string()),
            None => reason.detail.as_ref().map(ToString::to_string),
        },
    }
}

pub(super) fn registration(registration: &core::Registration, log_id: &str) -> wire::Registration {
    wire::Registration {
        id: registration.id.to_string(),
        response: if registration.reasons.is_empty() {
            wire::Response::Accepted
        } else {
            wire::Response::Postponed
        },
        reasons: registration.reasons.iter().map(reason).collect(),
        state: state(registration.state),
        alert_name: registration.alert_name.to_string(),
        existing: registration.existing,
        cursor: registration.cursor,
        log_id: log_id.to_owned(),
    }
}

pub(super) fn failure(failure: &core::Failure) -> wire::ErrorObject {
    wire::ErrorObject {
        code: failure.code,
        message: failure.message.to_string(),
        data: failure.data.as_ref().map(json),
    }
}

fn non_fatal_error(error: &core::NonFatalError) -> wire::NonFatalError {
    wire::NonFatalError {
        time: time(error.time),
        code: error.failure.code,
        message: error.failure.message.to_string(),
        data: error.failure.data.as_ref().map(json),
    }
}

pub(super) fn task(operation: &core::Operation) -> wire::TaskInfo {
    wire::TaskInfo {
        id: operation.subject.id.to_string(),
        method_name: operation.subject.method_name.to_string(),
        kwargs: json(&operation.request.kwargs),
    }
}

/// The state, where the core knows it: of flows it knows none yet.
fn core_state(state: wire::OperationState) -> Option<core::OperationState> {
    let mut known = core::OperationState::ALL.into_iter();
    known.find(|known| self::state(*known) == state)
}

/// What an operation is to follow. Fails at the place of a state that none can end in.
pub(super) fn after(after: Vec<wire::Dependency>) -> Result<Vec<core::After>, String> {
    let earlier = |(index, earlier): (usize, wire::Dependency)| {
        let states = earlier.states.into_iter().map(core_state);
        let states = states.collect::<Option<_>>();
        let states = states.ok_or_else(|| format!("/after/{index}/states"))?;
        Ok(core::After::new(&earlier.id, states))
    };
    after.into_iter().enumerate().map(earlier).collect()
}

pub(super) fn retry(retry: wire::RetryPolicy) -> core::Retry {
    core::Retry {
        max_attempts: retry.max_attempts,
        initial_ms: retry.initial_ms,
        factor: retry.factor,
        max_ms: retry.max_ms,
    }
}

fn parent(subject: &core::Subject) -> Option<String> {
    let parent = subject.parent.as_ref();
    parent.map(|parent| parent.id.to_string())
}

fn dependency(earlier: &core::Dependency) -> wire::Dependency {
    wire::Dependency {
        id: earlier.id.to_string(),
        states: earlier.states.iter().copied().map(state).collect(),
    }
}

/// The whole record; `reasons` are those of the same moment.
pub fn operation(operation: &core::Operation, reasons: &[core::Reason]) -> wire::Operation {
    let (subject, request) = (&operation.subject, &operation.request);
    let (result, error) = match &operation.outcome {
        None => (None, None),
        Some(core::Outcome::Completed(result)) => (Some(json(result)), None),
        Some(
            core::Outcome::Failed(given)
            | core::Outcome::Canceled(given)
            | core::Outcome::Skipped(given),
        ) => {
            let error = failure(given);
            (
                Some(wire::to_json(&error).expect("an error is JSON")),
                Some(error),
            )
        }
    };
    wire::Operation {
        id: subject.id.to_string(),
        method_name: subject.method_name.to_string(),
        version: request.version,
        kwargs: json(&request.kwargs),
        subsystem: subject.subsystem().to_owned(),
        alert_name: subject.alert_name.to_string(),
        state: state(operation.state),
        done: operation.state.is_done(),
        reasons: reasons.iter().map(reason).collect(),
        operation_info: info(&operation.info),
        claims: request
            .claims
            .iter()
            .map(|held| wire::Claim {
                kind: held.resource.kind.to_string(),
                id: held.resource.id.to_string(),
                operation: claim_operation(held.operation),
            })
            .collect(),
        weight: request.weight(),
        tags: request.tags.iter().map(ToString::to_string).collect(),
        registered_at: time(request.registered_at),
        start_at: request.start_at().map(time),
        start_before: request.start_before().map(time),
        started_at: operation.started_at.map(time),
        finished_at: operation.finished_at.map(time),
        attempt: operation.attempt,
        max_attempts: request.max_attempts(),
        executor: operation.executor.as_ref().map(ToString::to_string),
        result,
        error,
        non_fatal_errors: operation
            .non_fatal_errors
            .iter()
            .map(non_fatal_error)
            .collect(),
        parent: parent(subject),
        spawned_tasks: operation
            .spawned()
            .iter()
            .map(ToString::to_string)
            .collect(),
        after: request.after().iter().map(dependency).collect(),
        registered_by: request.registered_by.to_string(),
        cursor: operation.cursor,
    }
}

pub(super) fn object(object: &core::ObjectView) -> wire::ObjectInfo {
    wire::ObjectInfo {
        alert_name: object.alert_name.to_string(),
        operation_info: info(&object.info),
        operation_id: object.operation_id.as_ref().map(ToString::to_string),
        updated_at: time(object.updated_at),
        cursor: object.cursor,
    }
}

pub(super) fn declaration(method: &core::Declaration) -> wire::MethodDeclaration {
    wire::MethodDeclaration {
        name: method.name.to_string(),
        version: method.version,
        kind: match method.kind {
            core::MethodKind::Operation => wire::MethodKind::Operation,
            core::MethodKind::Query => wire::MethodKind::Query,
        },
        summary: method.summary.to_string(),
        kwargs_schema: method.kwargs_schema.as_ref().map(json),
        object: method.object.as_ref().map(ToString::to_string),
        claims: method
            .claims
            .iter()
            .map(|template| wire::Claim {
                kind: template.kind.to_string(),
                id: template.id.to_string(),
                operation: claim_operation(template.operation),
            })
            .collect(),
        weight: method.weight,
        cancelable: method.cancelable,
        revertible: method.revertible,
        on_interrupt: on_interrupt(method.on_interrupt),
        retry: method.retry.map(|retry| wire::RetryPolicy {
            max_attempts: retry.max_attempts,
            initial_ms: retry.initial_ms,
            factor: retry.factor,
            max_ms: retry.max_ms,
        }),
        attempt_timeout_ms: method.attempt_timeout_ms,
        holds_schedule: method.holds_schedule,
        secrets: method.secrets.iter().map(ToString::to_string).collect(),
    }
}

/// What becomes of an interrupted attempt, on the wire.
pub fn on_interrupt(policy: core::OnInterrupt) -> wire::InterruptPolicy {
    match policy {
        core::OnInterrupt::Retry => wire::InterruptPolicy::Retry,
        core::OnInterrupt::Fail => wire::InterruptPolicy::Fail,
    }
}

pub(super) fn executor(executor: &core::Executor) -> wire::ExecutorInfo {
    wire::ExecutorInfo {
        executor: executor.name.to_string(),
        attached: executor.attached,
        capacity: executor.capacity,
        running: executor.running.len() as u32,
        methods: executor
            .offers
            .iter()
            .map(|(name, version)| wire::OfferedMethod {
                name: name.to_string(),
                version: *version,
            })
            .collect(),
    }
}

/// The alert that an event is, if it is one; without its subscription.
pub fn alert(event: &core::Event, cursor: core::Cursor) -> Option<wire::Alert> {
    let body = match &event.body {
        core::EventBody::Operation(body) => body,
        core::EventBody::ObjectPublished { alert_name, info } => {
            return Some(object_alert(event, cursor, alert_name, info));
        }
        core::EventBody::ObjectRetired { alert_name, info } => {
            return Some(wire::Alert {
                event: wire::AlertEvent::Retired,
                ..object_alert(event, cursor, alert_name, info)
            });
        }
        _ => return None,
    };
    let subject = &body.subject;
    let event_word = match &body.change {
        core::Change::Registered(_) => wire::AlertEvent::Registered,
        core::Change::Postponed => wire::AlertEvent::Postponed,
        core::Change::Started { .. } => wire::AlertEvent::Started,
        core::Change::Progressed { .. } => wire::AlertEvent::Progress,
        core::Change::ErrorRecorded(_) => wire::AlertEvent::Error,
        core::Change::Retrying | core::Change::AttemptFailed { .. } => wire::AlertEvent::Retrying,
        core::Change::CancelRequested => wire::AlertEvent::Canceling,
        core::Change::Completed(_) => wire::AlertEvent::Completed,
        core::Change::Failed(_) => wire::AlertEvent::Failed,
        core::Change::Canceled(_) => wire::AlertEvent::Canceled,
        core::Change::Skipped(_) => wire::AlertEvent::Skipped,
    };
    Some(wire::Alert {
        alert_name: subject.alert_name.to_string(),
        operation_info: info(&body.info),
        cursor,
        time: time(event.time),
        event: event_word,
        operation_id: Some(subject.id.to_string()),
        parent: parent(subject),
        method_name: Some(subject.method_name.to_string()),
        state: Some(state(body.state)),
        snapshot: false,
        subscription: None,
    })
}

/// The alert that tells how a subsystem has published an object.
fn object_alert(
    event: &core::Event,
    cursor: core::Cursor,
    alert_name: &str,
    how: &core::OperationInfo,
) -> wire::Alert {
    wire::Alert {
        alert_name: alert_name.to_owned(),
        operation_info: info(how),
        cursor,
        time: time(event.time),
        event: wire::AlertEvent::Object,
        operation_id: None,
        parent: None,
        method_name: None,
        state: None,
        snapshot: false,
        subscription: None,
    }
}

/// The alert's `params` object as JSON, without the closing brace: the subscription follows there.
pub fn encode_alert(event: &core::Event, cursor: core::Cursor) -> Option<String> {
    Some(open_ended(&alert(event, cursor)?))
}

/// The alert with which a snapshot tells of an object, like [`encode_alert`].
pub(super) fn encode_snapshot(object: &core::ObjectView) -> String {
    open_ended(&wire::Alert {
        alert_name: object.alert_name.to_string(),
        operation_info: info(&object.info),
        cursor: object.cursor,
        time: time(object.updated_at),
        event: wire::AlertEvent::Object,
        operation_id: object.operation_id.as_ref().map(ToString::to_string),
        parent: None,
        method_name: None,
        state: None,
        snapshot: true,
        subscription: None,
    })
}

fn open_ended(alert: &wire::Alert) -> String {
    let mut text = serde_json::to_string(alert).expect("an alert is JSON");
    text.pop();
    text
}

/// How objects stand in one snapshot, as queries may see it.
pub(super) struct Objects(pub(super) Arc<crate::engine::Snapshot>);

impl crate::engine::executor::Objects for Objects {
    fn operation_info(&self, alert_name: &str) -> Option<core::Json> {
        let object = self.0.state.object(alert_name)?;
        Some(core::Json::from_value(&info(&object.info)).expect("an info is JSON"))
    }
}
