//! The way into the engine for flows: to register one, and to end what could not be reverted.

use std::sync::Arc;

use opstead_core::{
    After, Declaration, Json, Lease, Operation, Order, Reason, RegisterFlow, RegisterStep,
    Registration, Retry, Time,
};

use super::kwargs::Checked;
use super::outside::Seat;
use super::post::Asker;
use super::request::{RegisteringFlow, Request};
use super::{EngineError, EngineHandle};

/// A request to register a flow.
#[derive(Clone, Debug)]
pub struct FlowRequest {
    /// What it is called.
    pub name: Arc<str>,
    /// What it consists of.
    pub steps: Vec<StepRequest>,
    /// The caller's choice.
    pub id: Option<Arc<str>>,
    /// Not before.
    pub start_at: Option<Time>,
    /// Not later.
    pub start_before: Option<Time>,
    /// What must be done before it starts.
    pub after: Vec<After>,
    /// The attempt that registers it.
    pub lease: Option<Lease>,
    /// Who carries that attempt out, if it is somebody outside of this process.
    pub seat: Option<Seat>,
    /// The caller's labels.
    pub tags: Vec<Arc<str>>,
    /// Who asks.
    pub registered_by: Arc<str>,
}

/// A step of a flow that is to be registered.
#[derive(Clone, Debug)]
pub struct StepRequest {
    /// Its name in the flow.
    pub name: Arc<str>,
    /// `<subsystem>.<method>`.
    pub method_name: Arc<str>,
    /// The highest declared, if left out.
    pub version: Option<u32>,
    /// A JSON object, which may take results of other steps.
    pub kwargs: Json,
    /// Names of the steps that must have completed.
    pub requires: Vec<Arc<str>>,
    /// In place of what is declared.
    pub retry: Option<Retry>,
}

impl EngineHandle {
    /// Registers a flow with its steps durably, or answers an earlier registration under the same
    /// id. Handed over like a registration.
    pub fn register_flow(
        &self,
        request: FlowRequest,
    ) -> impl Future<Output = Result<Registration, EngineError>> + Send + use<> {
        let checked = request.steps.iter().map(|step| self.check_step(step));
        let checked = checked.collect();
        let step = |step: StepRequest| RegisterStep {
            name: step.name,
            method_name: step.method_name,
            version: step.version,
            kwargs: step.kwargs,
            sealed: None,
            requires: step.requires,
            retry: step.retry,
            ended: None,
        };
        let flow = Box::new(RegisterFlow {
            name: request.name,
            faults: Vec::new(),
            steps: request.steps.into_iter().map(step).collect(),
            id: request.id,
            ulid: "".into(),
            start_at: request.start_at,
            start_before: request.start_before,
            after: request.after,
            lease: request.lease,
            tags: request.tags,
            registered_by: request.registered_by,
            ended: None,
        });
        let registering = RegisteringFlow {
            flow,
            checked,
            seat: request.seat,
        };
        let (reply, answer) = Asker::new();
        self.registered(Request::RegisterFlow(registering, reply), answer)
    }

    /// What is to be stored of a step's kwargs. Where they take results, they are checked when
    /// these are there.
    fn check_step(&self, step: &StepRequest) -> Checked {
        let (method_name, version) = (&step.method_name, step.version);
        if !step.kwargs.takes_results() {
            return self.check(method_name, version, &step.kwargs);
        }
        match self.declared(method_name, version) {
            Some(known) => self.hide_by(&known.declaration, &step.kwargs),
            None => Checked::by_nobody(),
        }
    }

    /// What a declaration makes of kwargs that are checked later.
    pub(super) fn hide_by(&self, declaration: &Arc<Declaration>, kwargs: &Json) -> Checked {
        Checked::by(declaration, kwargs, Vec::new(), self.vault())
    }

    /// Reverts again what could not be reverted: a step, or by the flow's id all such steps of it.
    /// Handed over like a registration. Answers how it stands then,
    /// and why it waits.
    pub fn retry_revert(
        &self,
        id: Arc<str>,
    ) -> impl Future<Output = Result<(Arc<Operation>, Vec<Reason>), EngineError>> + Send + use<>
    {
        self.change(Order::RetryRevert { id, ended: None })
    }

    /// Takes for reverted what could not be reverted, like [`Self::retry_revert`].
    pub fn skip_revert(
        &self,
        id: Arc<str>,
    ) -> impl Future<Output = Result<(Arc<Operation>, Vec<Reason>), EngineError>> + Send + use<>
    {
        self.change(Order::SkipRevert { id, ended: None })
    }
}
