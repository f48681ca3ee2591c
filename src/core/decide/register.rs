//! Deciding about a registration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::due::skip;
use super::{Answer, Decision, event, started};
use crate::command::{After, Lease, Moment, Register, Registration, Reply};
use crate::conditions::{Conditions, Dependency, FailedDependency};
use crate::declaration::{Declaration, MethodKind};
use crate::event::{Change, Cursor, EventBody, OperationEvent};
use crate::json::Json;
use crate::operation::{
    Claim, ClaimOperation, Operation, OperationInfo, OperationState, Parent, Request, Resource,
    Subject, Time,
};
use crate::refusal::{Fault, Refusal};
use crate::state::{Limits, State};
use crate::template::{Members, name_fault, render};

/// Where a new operation comes to stand.
pub(super) struct Place {
    /// In the order of registration.
    pub(super) sequence: Cursor,
    /// The flow that it is a step of.
    pub(super) parent: Option<Arc<Parent>>,
}

impl State {
    pub(super) fn decide_register(
        &self,
        limits: &Limits,
        register: Register,
        now: Moment,
    ) -> Result<Decision, Refusal> {
        check_names(limits, &register)?;
        if let Some(registration) = self.registered_before(&register, now)? {
            return Ok(Decision::reply(Reply::Registered(registration)));
        }
        let failed = self.failed_dependency(&register)?;
        let place = Place {
            sequence: self.head + 1,
            parent: None,
        };
        let mut operation = self.new_operation(limits, register, now, place)?;
        self.condition(&mut operation);
        let is_placed = operation.place() != 0;
        let is_judged = is_placed && failed.is_none();
        let free = is_judged && self.judge(&operation.request.claims)?;
        let registered = OperationEvent {
            subject: operation.subject.clone(),
            state: operation.state,
            info: operation.info.clone(),
            change: Change::Registered(operation.request.clone()),
        };
        let starts = free && operation.outstanding().is_empty();
        let starter = starts.then(|| self.starter(&operation)).flatten();
        let next = match (failed, starter) {
            (Some(earlier), _) => skip(&operation, &earlier.id, earlier.state),
            (None, Some(executor)) => started(&operation, executor.name.clone(), now.steady),
            (None, None) => {
                let (state, info) = (operation.state, operation.info.clone());
                event(&operation, state, info, Change::Postponed)
            }
        };
        Ok(Decision {
            answer: Answer::Registered(operation.subject.sequence),
            events: vec![EventBody::Operation(registered), next],
            // It may be the one that freed weight is to be kept for.
            frees: starts && operation.request.weight() > 0,
            postpone: Vec::new(),
        })
    }

    /// The first dependency of a request that ended in a state that is not allowed.
    pub(super) fn failed_dependency(
        &self,
        register: &Register,
    ) -> Result<Option<FailedDependency>, Refusal> {
        for earlier in &register.after {
            if self.operation(&earlier.id).is_none() && earlier.ended.is_none() {
                let id = earlier.id.clone();
                return Err(Refusal::OperationNotFound { id });
            }
        }
        let ended = |earlier: &After| {
            let state = earlier.ended.as_ref()?.state;
            let is_open = self.operation(&earlier.id).is_some();
            (!is_open && !earlier.states.contains(&state)).then(|| FailedDependency {
                id: earlier.id.clone(),
                state,
            })
        };
        Ok(register.after.iter().find_map(ended))
    }

    /// The answer to a request under an id that is taken: the same again, or a refusal.
    fn registered_before(
        &self,
        register: &Register,
        now: Moment,
    ) -> Result<Option<Registration>, Refusal> {
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
        } else if !request.kwargs.same_as(&register.kwargs)
            || (!operation.state.has_ended() && request.sealed() != register.sealed.as_ref())
        {
            // Of one that has ended nobody knows the secrets any more.
            "kwargs"
        } else {
            return Ok(Some(self.registration(operation, true, now)));
        };
        Err(Refusal::IdReused {
            id: id.clone(),
            differs,
        })
    }

    pub(super) fn new_operation(
        &self,
        limits: &Limits,
        register: Register,
        now: Moment,
        place: Place,
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
        let conditions = self.conditions(declaration, &register, now.wall)?;
        let starts_later = conditions
            .start_at
            .is_some_and(|time| time > now.wall && !conditions.holds_schedule);
        let subject = Arc::new(Subject {
            sequence: place.sequence,
            id,
            alert_name,
            method_name: declaration.name.clone(),
            parent: match place.parent {
                Some(flow) => Some(flow),
                None => self.parent(limits, register.lease)?,
            },
        });
        let request = Arc::new(Request {
            version: declaration.version,
            kwargs: register.kwargs.clone(),
            claims,
            tags: register.tags,
            registered_at: now.time,
            registered_by: register.registered_by,
            has_object: declaration.object.is_some(),
            cancelable: declaration.cancelable,
            on_interrupt: declaration.on_interrupt,
            conditions: (conditions != Conditions::default()).then(|| Box::new(conditions)),
        });
        let state = match starts_later {
            true => OperationState::Scheduled,
            false => OperationState::Waiting,
        };
        Ok(Operation::new(
            subject,
            request,
            state,
            OperationInfo::waiting(),
        ))
    }

    /// What is asked for beside method, kwargs and claims, and what the method declares of it.
    fn conditions(
        &self,
        declaration: &Declaration,
        register: &Register,
        wall: Time,
    ) -> Result<Conditions, Refusal> {
        check_times(register, wall)?;
        let weight = register.weight.unwrap_or(declaration.weight);
        let capacity = self.capacity.whole;
        if weight > capacity {
            return Err(Refusal::WeightTooLarge { weight, capacity });
        }
        let retry = register.retry.or(declaration.retry);
        if let Some(retry) = register.retry {
            retry.check("/retry")?;
        }
        Ok(Conditions {
            steps: 0,
            step: None,
            weight,
            start_at: register.start_at,
            start_before: register.start_before,
            holds_schedule: declaration.holds_schedule && register.start_at.is_some(),
            after: self.dependencies(&register.after),
            retry: retry.filter(|retry| retry.max_attempts > 1),
            attempt_timeout_ms: declaration.attempt_timeout_ms,
            sealed: register.sealed.clone(),
        })
    }

    pub(super) fn dependencies(&self, after: &[After]) -> Vec<Dependency> {
        let known = |earlier: &After| {
            let operation = self.operation(&earlier.id).or(earlier.ended.as_ref())?;
            Some(Dependency {
                sequence: operation.subject.sequence,
                id: earlier.id.clone(),
                states: earlier.states.clone(),
            })
        };
        after.iter().filter_map(known).collect()
    }

    /// The operation whose attempt registers another.
    pub(super) fn parent(
        &self,
        limits: &Limits,
        lease: Option<Lease>,
    ) -> Result<Option<Arc<Parent>>, Refusal> {
        let Some(lease) = lease else { return Ok(None) };
        let parent = self.leased(lease)?;
        if parent.state == OperationState::Canceling {
            return Err(Refusal::Canceled);
        }
        if parent.spawned().len() >= limits.children {
            let limit = limits.children;
            return Err(Refusal::LimitReached {
                what: "operations that one registers",
                limit,
            });
        }
        let (sequence, id) = (parent.subject.sequence, parent.subject.id.clone());
        Ok(Some(Arc::new(Parent { sequence, id })))
    }
}

/// Checks the times between which it is to start.
pub(super) fn check_times(register: &Register, wall: Time) -> Result<(), Refusal> {
    let Some(before) = register.start_before else {
        return Ok(());
    };
    let message = if before <= wall {
        "is past: the operation could never start"
    } else if register.start_at.is_some_and(|time| before <= time) {
        "must be later than startAt"
    } else {
        return Ok(());
    };
    Err(invalid(Fault::new("/startBefore", message)))
}

pub(super) fn invalid(fault: Fault) -> Refusal {
    Refusal::Invalid {
        faults: vec![fault],
    }
}

pub(super) const CLAIMS: &str = "claims of one operation";
const TAGS: &str = "tags of one operation";
const AFTER: &str = "operations that one follows";

/// Checks what the caller named: id, claims, tags.
pub(super) fn check_names(limits: &Limits, register: &Register) -> Result<(), Refusal> {
    for (what, count, limit) in [
        (CLAIMS, register.claims.len(), limits.claims),
        (TAGS, register.tags.len(), limits.tags),
        (AFTER, register.after.len(), limits.dependencies),
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
    for (index, earlier) in register.after.iter().enumerate() {
        let mut states = earlier.states.iter();
        let fault = if earlier.states.is_empty() {
            "must name at least one state"
        } else if !states.all(|state| state.has_ended()) {
            "must be states of operations that are done: completed, failed, canceled, skipped, reverted"
        } else if register.after[..index]
            .iter()
            .any(|other| other.id == earlier.id)
        {
            "the same operation is named before"
        } else {
            continue;
        };
        faults.push(Fault::new(format!("/after/{index}/states"), fault));
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
    let declared = declaration.claims.iter().map(|template| {
        let id = render(&template.id, kwargs, faults);
        let resource = Resource {
            kind: template.kind.clone(),
            id: id.into(),
        };
        (Arc::new(resource), template.operation)
    });
    let added = added
        .iter()
        .map(|claim| (claim.resource.clone(), claim.operation));
    strongest(declared.chain(added))
}

/// One claim for each resource: the strongest.
pub(super) fn strongest(
    claims: impl Iterator<Item = (Arc<Resource>, ClaimOperation)>,
) -> Vec<Claim> {
    let mut strongest = BTreeMap::new();
    for (resource, operation) in claims {
        let held = strongest.entry(resource).or_insert(operation);
        *held = operation.max(*held);
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
    pub(super) fn new(
        subject: Arc<Subject>,
        request: Arc<Request>,
        state: OperationState,
        info: Arc<OperationInfo>,
    ) -> Self {
        Self {
            cursor: subject.sequence,
            updated_at: request.registered_at,
            subject,
            request,
            state,
            info,
            described: false,
            attempt: 0,
            interruptions: 0,
            executor: None,
            started_at: None,
            finished_at: None,
            outcome: None,
            non_fatal_errors: Vec::new(),
            course: None,
            unmet: 0,
        }
    }

    /// The operation that a `registered` event tells of.
    pub(crate) fn registered(event: &OperationEvent, request: &Arc<Request>) -> Self {
        let subject = event.subject.clone();
        Self::new(subject, request.clone(), event.state, event.info.clone())
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
            weight: None,
            start_at: None,
            start_before: None,
            after: Vec::new(),
            retry: None,
            lease: None,
            sealed: None,
            tags: Vec::new(),
            registered_by: registered_by.into(),
            ended: None,
        }
    }
}
