//! Deciding about a registration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, Decision, started};
use crate::command::{Register, Registration, Reply};
use crate::declaration::{Declaration, MethodKind};
use crate::event::{Change, EventBody, OperationEvent};
use crate::json::Json;
use crate::operation::{
    Claim, ClaimOperation, Operation, OperationInfo, OperationState, Request, Resource, Subject,
    Time,
};
use crate::refusal::{Fault, Refusal};
use crate::state::{Limits, State};
use crate::template::{Members, name_fault, render};

impl State {
    pub(super) fn decide_register(
        &self,
        limits: &Limits,
        register: Register,
        now: Time,
    ) -> Result<Decision, Refusal> {
        check_names(limits, &register)?;
        if let Some(registration) = self.registered_before(&register)? {
            return Ok(Decision::reply(Reply::Registered(registration)));
        }
        let operation = self.new_operation(limits, register, now)?;
        let free = self.judge(&operation.request.claims)?;
        let registered = OperationEvent {
            subject: operation.subject.clone(),
            state: OperationState::Waiting,
            info: operation.info.clone(),
            change: Change::Registered(operation.request.clone()),
        };
        let next = self.first_step(&operation, free);
        Ok(Decision {
            answer: Answer::Registered(operation.subject.sequence),
            events: vec![EventBody::Operation(registered), next],
            frees: false,
        })
    }

    /// What follows a registration at once: the start, or the word that it must wait. `free`:
    /// nothing is in the way of its claims.
    fn first_step(&self, operation: &Operation, free: bool) -> EventBody {
        match self.free_executor(&operation.subject.method_name, operation.request.version) {
            // Whoever was left to be started by a later command is older and goes first.
            Ok(executor) if free && self.next_on(executor).is_none() => {
                started(operation, executor.name.clone())
            }
            _ => EventBody::Operation(OperationEvent {
                subject: operation.subject.clone(),
                state: OperationState::Waiting,
                info: operation.info.clone(),
                change: Change::Postponed,
            }),
        }
    }

    /// The answer to a request under an id that is taken: the same again, or a refusal.
    fn registered_before(&self, register: &Register) -> Result<Option<Registration>, Refusal> {
        let Some(id) = &register.id else {
            return Ok(None);
        };
        let Some(operation) = self.operation(id).or(register.ended.as_ref()) else {
            return Ok(None);
        };
        let request = &operation.request;
        let differs = if operation.subject.method_name != register.method_name {
            "method"
        } else if register
            .version
            .is_some_and(|version| version != request.version)
        {
            "version"
        } else if !request.kwargs.same_as(&register.kwargs) {
            "kwargs"
        } else {
            return Ok(Some(Registration {
                id: operation.subject.id.clone(),
                alert_name: operation.subject.alert_name.clone(),
                reasons: self.reasons(operation),
                state: operation.state,
                existing: true,
                cursor: operation.subject.sequence,
            }));
        };
        Err(Refusal::IdReused {
            id: id.clone(),
            differs,
        })
    }

    fn new_operation(
        &self,
        limits: &Limits,
        register: Register,
        now: Time,
    ) -> Result<Operation, Refusal> {
        let declaration = self
            .declaration(&register.method_name, register.version)
            .ok_or(Refusal::MethodUnknown {
                method_name: register.method_name.clone(),
                version: register.version,
            })?;
        if declaration.kind == MethodKind::Query {
            let message = "is a query: it is called by its name and never registered";
            return Err(invalid(Fault::new("/methodName", message)));
        }
        if self.operations.len() >= limits.open_operations {
            let limit = limits.open_operations;
            return Err(Refusal::LimitReached {
                what: "open operations",
                limit,
            });
        }
        if !register.kwargs.is_object() {
            return Err(invalid(Fault::new("/kwargs", "must be a JSON object")));
        }
        let kwargs = match declaration.has_templates() {
            true => register.kwargs.members(),
            false => Vec::new(),
        };
        let mut faults = Vec::new();
        let claims = merged_claims(declaration, &kwargs, &register.claims, &mut faults);
        let (alert_name, id) = names(declaration, &kwargs, &register, &mut faults);
        if !faults.is_empty() {
            return Err(Refusal::Invalid { faults });
        }
        if claims.len() > limits.claims {
            return Err(Refusal::LimitReached {
                what: CLAIMS,
                limit: limits.claims,
            });
        }
        let subject = Arc::new(Subject {
            sequence: self.head + 1,
            id,
            alert_name,
            method_name: declaration.name.clone(),
        });
        let request = Arc::new(Request {
            version: declaration.version,
            kwargs: register.kwargs.clone(),
            claims,
            tags: register.tags,
            registered_at: now,
            registered_by: register.registered_by,
            has_object: declaration.object.is_some(),
            cancelable: declaration.cancelable,
            on_interrupt: declaration.on_interrupt,
        });
        Ok(Operation::new(subject, request, OperationInfo::waiting()))
    }
}

fn invalid(fault: Fault) -> Refusal {
    Refusal::Invalid {
        faults: vec![fault],
    }
}

const CLAIMS: &str = "claims of one operation";
const TAGS: &str = "tags of one operation";

/// Checks what the caller named: id, claims, tags.
fn check_names(limits: &Limits, register: &Register) -> Result<(), Refusal> {
    for (what, count, limit) in [
        (CLAIMS, register.claims.len(), limits.claims),
        (TAGS, register.tags.len(), limits.tags),
    ] {
        if count > limit {
            return Err(Refusal::LimitReached { what, limit });
        }
    }
    let mut faults = Vec::new();
    let mut check = |name: &str, pointer: &dyn Fn() -> String| {
        faults.extend(name_fault(name).map(|message| Fault::new(pointer(), message)));
    };
    if let Some(id) = &register.id {
        check(id, &|| "/id".to_owned());
    }
    for (index, claim) in register.claims.iter().enumerate() {
        check(&claim.resource.kind, &|| format!("/claims/{index}/type"));
        check(&claim.resource.id, &|| format!("/claims/{index}/id"));
    }
    for (index, tag) in register.tags.iter().enumerate() {
        check(tag, &|| format!("/tags/{index}"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Invalid { faults })
    }
}

/// The alert name and the id.
fn names(
    declaration: &Declaration,
    kwargs: &Members<'_>,
    register: &Register,
    faults: &mut Vec<Fault>,
) -> (Arc<str>, Arc<str>) {
    let subsystem = declaration.name.split('.').next().unwrap_or_default();
    let chosen = register.id.clone();
    let Some(template) = &declaration.object else {
        let tail = chosen.as_ref().unwrap_or(&register.ulid);
        let alert_name: Arc<str> = format!("{subsystem}.task.{tail}").into();
        return (alert_name.clone(), chosen.unwrap_or(alert_name));
    };
    let object = render(template, kwargs, faults);
    let alert_name: Arc<str> = format!("{subsystem}.{object}").into();
    let id = chosen.unwrap_or_else(|| format!("{alert_name}.{}", register.ulid).into());
    (alert_name, id)
}

/// The declared claims and the caller's, one for a resource: the strongest counts.
fn merged_claims(
    declaration: &Declaration,
    kwargs: &Members<'_>,
    added: &[Claim],
    faults: &mut Vec<Fault>,
) -> Vec<Claim> {
    let mut strongest = BTreeMap::new();
    let mut add = |resource: Arc<Resource>, operation: ClaimOperation| {
        let held = strongest.entry(resource).or_insert(operation);
        *held = operation.max(*held);
    };
    for template in &declaration.claims {
        let id = render(&template.id, kwargs, faults);
        let resource = Resource {
            kind: template.kind.clone(),
            id: id.into(),
        };
        add(resource.into(), template.operation);
    }
    for claim in added {
        add(claim.resource.clone(), claim.operation);
    }
    strongest
        .into_iter()
        .map(|(resource, operation)| Claim {
            resource,
            operation,
        })
        .collect()
}

impl Operation {
    /// An operation that is just being registered.
    fn new(subject: Arc<Subject>, request: Arc<Request>, info: Arc<OperationInfo>) -> Self {
        Self {
            cursor: subject.sequence,
            updated_at: request.registered_at,
            subject,
            request,
            state: OperationState::Waiting,
            info,
            described: false,
            attempt: 0,
            interruptions: 0,
            executor: None,
            started_at: None,
            finished_at: None,
            outcome: None,
            non_fatal_errors: Vec::new(),
            unmet: 0,
        }
    }

    /// The operation that a `registered` event tells of.
    pub(crate) fn registered(event: &OperationEvent, request: &Arc<Request>) -> Self {
        Self::new(event.subject.clone(), request.clone(), event.info.clone())
    }
}

impl Register {
    /// A registration of a method with kwargs and nothing else chosen.
    pub fn new(method_name: &str, kwargs: Json, ulid: &str, registered_by: &str) -> Self {
        Self {
            method_name: method_name.into(),
            version: None,
            kwargs,
            id: None,
            ulid: ulid.into(),
            claims: Vec::new(),
            tags: Vec::new(),
            registered_by: registered_by.into(),
            ended: None,
        }
    }
}
