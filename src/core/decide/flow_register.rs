//! Deciding about the registration of a flow: all of its steps, or nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::due::skip;
use super::flow::never_started;
use super::flow_order::{Requires, ordered};
use super::register::{CLAIMS, Place, check_names, check_times, invalid, strongest};
use super::{Answer, Decision};
use crate::command::{Moment, Register, RegisterFlow, RegisterStep, Registration, Reply};
use crate::conditions::{Conditions, Step};
use crate::event::{Change, Cursor, EventBody, OperationEvent};
use crate::json::{Json, MOST_FAULTS};
use crate::operation::{
    OnInterrupt, Operation, OperationInfo, OperationState, Parent, Request, Stage, Subject,
};
use crate::refusal::{Fault, Refusal};
use crate::state::{Limits, State};
use crate::template::name_fault;

impl State {
    pub(super) fn decide_register_flow(
        &self,
        limits: &Limits,
        asked: RegisterFlow,
        now: Moment,
    ) -> Result<Decision, Refusal> {
        let head = head(&asked);
        check_names(limits, &head)?;
        let mut faults = Vec::new();
        let requires = check_steps(limits, &asked, &mut faults)?;
        if faults.is_empty()
            && let Some(registration) = self.flow_registered_before(&asked, &requires, now)?
        {
            return Ok(Decision::reply(Reply::Registered(registration)));
        }
        if self.operations.len() + asked.steps.len() >= limits.open_operations {
            return Err(Refusal::LimitReached {
                what: "open operations",
                limit: limits.open_operations,
            });
        }
        let failed = self.failed_dependency(&head)?;
        let mut flow = self.new_flow(limits, &head, now)?;
        let steps = self.new_steps(limits, &asked, &flow, now, &mut faults)?;
        if !(faults.is_empty() && asked.faults.is_empty()) {
            // Of one place the schema has said it already.
            let places = asked.faults.iter().map(|fault| &*fault.pointer);
            let places: BTreeSet<&str> = places.collect();
            faults.retain(|fault| !places.contains(&*fault.pointer));
            let faults = [&asked.faults[..], &faults].concat();
            return Err(Refusal::Invalid { faults });
        }
        self.check_ids(&asked, &steps)?;
        let steps = self.with_requirements(&asked, &flow, steps, requires)?;
        set_claims(&mut flow, &steps);
        self.condition(&mut flow);
        if flow.place() != 0 && failed.is_none() {
            self.judge(&flow.request.claims)?;
        }
        let all = std::iter::once(&flow).chain(&steps);
        let mut events: Vec<_> = all.clone().map(registered).collect();
        let mut postpone = Vec::new();
        match failed {
            Some(earlier) => {
                events.extend(steps.iter().map(never_started));
                events.push(skip(&flow, &earlier.id, earlier.state));
            }
            None => postpone.extend(all.map(|operation| operation.subject.sequence)),
        }
        Ok(Decision {
            events,
            answer: Answer::Registered(flow.subject.sequence),
            frees: true,
            postpone,
        })
    }

    /// The answer to a flow under an id that is taken: the same again, or a refusal.
    fn flow_registered_before(
        &self,
        asked: &RegisterFlow,
        requires: &Requires,
        now: Moment,
    ) -> Result<Option<Registration>, Refusal> {
        let Some(id) = &asked.id else {
            return Ok(None);
        };
        let (flow, steps) = match (self.operation(id), &asked.ended) {
            (Some(flow), _) => (flow, self.steps(flow).cloned().collect()),
            (None, Some((flow, steps))) => (flow, steps.clone()),
            (None, None) => return Ok(None),
        };
        let differs = if *flow.subject.method_name != *method_name(&asked.name) {
            "method"
        } else if !is_same(asked, requires, flow, &steps) {
            "kwargs"
        } else {
            return Ok(Some(self.registration(flow, true, now)));
        };
        Err(Refusal::IdReused {
            id: id.clone(),
            differs,
        })
    }

    fn new_flow(
        &self,
        limits: &Limits,
        head: &Register,
        now: Moment,
    ) -> Result<Operation, Refusal> {
        check_times(head, now.wall)?;
        let own_name: Arc<str> = match &head.id {
            Some(id) => format!("flow.task.{id}").into(),
            None => format!("flow.task.{}", head.ulid).into(),
        };
        let subject = Subject {
            sequence: self.head + 1,
            id: head.id.clone().unwrap_or_else(|| own_name.clone()),
            alert_name: own_name,
            method_name: head.method_name.clone(),
            parent: self.parent(limits, head.lease)?,
        };
        let conditions = Conditions {
            start_at: head.start_at,
            start_before: head.start_before,
            after: self.dependencies(&head.after),
            ..Conditions::default()
        };
        let starts_later = head.start_at.is_some_and(|time| time > now.wall);
        let request = Request {
            version: 1,
            kwargs: Json::empty_object(),
            claims: Vec::new(),
            tags: head.tags.clone(),
            registered_at: now.time,
            registered_by: head.registered_by.clone(),
            has_object: false,
            cancelable: true,
            on_interrupt: OnInterrupt::Retry,
            conditions: Some(Box::new(conditions)),
        };
        let state = match starts_later {
            true => OperationState::Scheduled,
            false => OperationState::Waiting,
        };
        let info = OperationInfo::waiting();
        Ok(Operation::new(subject.into(), request.into(), state, info))
    }

    /// The steps as operations; everything that is wrong with any of them is added to the faults.
    fn new_steps(
        &self,
        limits: &Limits,
        asked: &RegisterFlow,
        flow: &Operation,
        now: Moment,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<Operation>, Refusal> {
        let mut steps = Vec::with_capacity(asked.steps.len());
        let parent = Arc::new(Parent {
            sequence: flow.subject.sequence,
            id: flow.subject.id.clone(),
        });
        for (index, step) in asked.steps.iter().enumerate() {
            let place = Place {
                sequence: sequence_of(flow, index),
                parent: Some(parent.clone()),
            };
            let register = step_register(asked, step, &flow.subject.id);
            if name_fault(&step.name).is_some() {
                continue;
            }
            if name_fault(register.id.as_deref().unwrap_or_default()).is_some() {
                let message = "the step's id, <flow id>.<name>, must have at most 200 characters";
                faults.push(Fault::new(format!("/steps/{index}/name"), message));
                continue;
            }
            if let Some(id) = &register.id
                && self.operation(id).is_some()
            {
                return Err(Refusal::IdReused {
                    id: id.clone(),
                    differs: "parent",
                });
            }
            match self.new_operation(limits, register, now, place) {
                Ok(operation) => steps.push(operation),
                Err(refusal) => faults.extend(faults_of_step(index, refusal)?),
            }
        }
        Ok(steps)
    }

    /// Refuses steps whose ids other operations have.
    fn check_ids(&self, asked: &RegisterFlow, steps: &[Operation]) -> Result<(), Refusal> {
        let is_taken = |(asked, step): &(&RegisterStep, &Operation)| {
            asked.ended.is_some() || self.operation(&step.subject.id).is_some()
        };
        match asked.steps.iter().zip(steps).find(is_taken) {
            Some((_, taken)) => Err(Refusal::IdReused {
                id: taken.subject.id.clone(),
                differs: "parent",
            }),
            None => Ok(()),
        }
    }

    /// The steps with what they require; the last of their registration.
    fn with_requirements(
        &self,
        asked: &RegisterFlow,
        flow: &Operation,
        mut steps: Vec<Operation>,
        requires: Requires,
    ) -> Result<Vec<Operation>, Refusal> {
        let requires = ordered(&steps.iter().collect::<Vec<_>>(), requires)?;
        for (index, (step, requires)) in steps.iter_mut().zip(requires).enumerate() {
            let asked = &asked.steps[index];
            let declaration = self.declaration(&asked.method_name, asked.version);
            let revertible = declaration.is_some_and(|method| method.revertible);
            let request = Arc::make_mut(&mut step.request);
            request.conditions.get_or_insert_default().step = Some(Step {
                requires: requires
                    .into_iter()
                    .map(|other| sequence_of(flow, other))
                    .collect(),
                revertible,
                takes_results: asked.kwargs.takes_results(),
            });
        }
        Ok(steps)
    }
}

fn sequence_of(flow: &Operation, index: usize) -> Cursor {
    flow.subject.sequence + 1 + index as Cursor
}

fn method_name(name: &str) -> Arc<str> {
    format!("flow.{name}").into()
}

fn registered(operation: &Operation) -> EventBody {
    EventBody::Operation(OperationEvent {
        subject: operation.subject.clone(),
        state: operation.state,
        info: operation.info.clone(),
        change: Change::Registered(operation.request.clone()),
    })
}

/// The flow as the registration of an operation.
fn head(asked: &RegisterFlow) -> Register {
    let method = method_name(&asked.name);
    Register {
        id: asked.id.clone(),
        start_at: asked.start_at,
        start_before: asked.start_before,
        after: asked.after.clone(),
        lease: asked.lease,
        tags: asked.tags.clone(),
        ..Register::new(
            &method,
            Json::empty_object(),
            &asked.ulid,
            &asked.registered_by,
        )
    }
}

/// A step as the registration of an operation.
fn step_register(asked: &RegisterFlow, step: &RegisterStep, flow: &str) -> Register {
    let kwargs = step.kwargs.clone();
    Register {
        id: Some(format!("{flow}.{}", step.name).into()),
        version: step.version,
        retry: step.retry,
        sealed: step.sealed.clone(),
        ..Register::new(&step.method_name, kwargs, &asked.ulid, &asked.registered_by)
    }
}

/// A refusal of a step as faults of the flow; what is no fault of the step stays a refusal.
fn faults_of_step(index: usize, refusal: Refusal) -> Result<Vec<Fault>, Refusal> {
    let at = |member: &str, message: String| {
        Ok(vec![Fault::new(format!("/steps/{index}{member}"), message)])
    };
    match refusal {
        Refusal::Invalid { faults } => Ok(faults
            .into_iter()
            .map(|fault| Fault {
                pointer: format!("/steps/{index}{}", fault.pointer),
                message: fault.message,
            })
            .collect()),
        Refusal::MethodUnknown { version, .. } => {
            let member = if version.is_some() {
                "/version"
            } else {
                "/methodName"
            };
            at(member, refusal.to_string())
        }
        Refusal::WeightTooLarge { weight, capacity } => {
            let message =
                format!("its weight of {weight} is over the whole capacity of {capacity}");
            at("/methodName", message)
        }
        Refusal::LimitReached { what, .. } if what == CLAIMS => at("", refusal.to_string()),
        other => Err(other),
    }
}

/// Checks names and references. Returns what each step requires, asked for or because it takes a
/// result.
fn check_steps(
    limits: &Limits,
    asked: &RegisterFlow,
    faults: &mut Vec<Fault>,
) -> Result<Requires, Refusal> {
    if asked.steps.is_empty() {
        return Err(invalid(Fault::new("/steps", "must have at least one step")));
    }
    if asked.steps.len() > limits.flow_steps {
        let limit = limits.flow_steps;
        let message = format!("must have at most {limit} steps");
        return Err(invalid(Fault::new("/steps", message)));
    }
    if let Some(message) = name_fault(&asked.name) {
        faults.push(Fault::new("/name", message));
    }
    let mut indices = BTreeMap::new();
    for (index, step) in asked.steps.iter().enumerate() {
        let pointer = format!("/steps/{index}/name");
        if let Some(message) = name_fault(&step.name) {
            faults.push(Fault::new(&pointer, message));
        } else if step.name.contains('#') {
            faults.push(Fault::new(
                &pointer,
                "must not contain #, behind which a part of a result is named",
            ));
        }
        if let Some(earlier) = indices.insert(&*step.name, index) {
            let message = format!("{:?} is the name of step {earlier}, too", step.name);
            faults.push(Fault::new(pointer, message));
        }
    }
    let mut requires = Requires::with_capacity(asked.steps.len());
    for (index, step) in asked.steps.iter().enumerate() {
        requires.push(references(index, step, &indices, faults));
    }
    Ok(requires)
}

/// The steps that a step names, in `requires` or by taking their results.
fn references(
    index: usize,
    step: &RegisterStep,
    indices: &BTreeMap<&str, usize>,
    faults: &mut Vec<Fault>,
) -> BTreeSet<usize> {
    let mut requires = BTreeSet::new();
    let mut unknown = Vec::new();
    let mut refer = |name: &str, place: &dyn Fn() -> String| match indices.get(name) {
        Some(other) => {
            requires.insert(*other);
        }
        None if unknown.len() < MOST_FAULTS => {
            let message = format!("no step of the flow is named {name:?}");
            unknown.push(Fault::new(format!("/steps/{index}{}", place()), message));
        }
        None => {}
    };
    for (at, name) in step.requires.iter().enumerate() {
        refer(name, &|| format!("/requires/{at}"));
    }
    match step.kwargs.results() {
        Ok(taken) => {
            for taken in taken {
                refer(&taken.step, &|| format!("/kwargs{}", taken.place));
            }
        }
        Err(found) => faults.extend(found.into_iter().map(|fault| Fault {
            pointer: format!("/steps/{index}/kwargs{}", fault.pointer),
            message: fault.message,
        })),
    }
    faults.extend(unknown);
    requires
}

/// A flow claims what its steps claim, for the strongest operation of each resource.
fn set_claims(flow: &mut Operation, steps: &[Operation]) {
    let claims = steps.iter().flat_map(|step| step.request.claims.iter());
    let claims = strongest(claims.map(|claim| (claim.resource.clone(), claim.operation)));
    let request = Arc::make_mut(&mut flow.request);
    request.claims = claims;
    request.conditions.get_or_insert_default().steps = steps.len() as u32;
    let info = Arc::make_mut(&mut flow.info);
    info.stage = Stage {
        number: 0,
        total: steps.len() as u32,
    };
}

/// Whether a flow is asked for as it was registered.
fn is_same(
    asked: &RegisterFlow,
    requires: &Requires,
    flow: &Operation,
    steps: &[Arc<Operation>],
) -> bool {
    let same = |(asked, known): (&RegisterStep, &Arc<Operation>)| {
        let request = &known.request;
        known.step_name() == &*asked.name
            && known.subject.method_name == asked.method_name
            && asked
                .version
                .is_none_or(|version| version == request.version)
            && request.kwargs.same_as(&asked.kwargs)
            && (flow.state.has_ended() || request.sealed() == asked.sealed.as_ref())
    };
    if asked.steps.len() != steps.len() || !asked.steps.iter().zip(steps).all(same) {
        return false;
    }
    let known: Vec<&Operation> = steps.iter().map(|step| &**step).collect();
    let Ok(requires) = ordered(&known, requires.clone()) else {
        return false;
    };
    let required =
        |indices: BTreeSet<usize>| indices.into_iter().map(|index| sequence_of(flow, index));
    requires
        .into_iter()
        .zip(known)
        .all(|(requires, step)| required(requires).eq(step.requires().iter().copied()))
}
