//! What the loop adds to a flow before it is decided: fresh ids, who ended under those chosen, and
//! the kwargs of each step as the declaration of this moment wants them.

use std::sync::Arc;

use opstead_core::{Fault, Operation, Order, RegisterFlow, RegisterStep, Reply};

use super::Loop;
use crate::engine::EngineError;
use crate::engine::draft::{Answered, Draft};
use crate::engine::kwargs::{Checked, Sealed};
use crate::engine::request::RegisteringFlow;

impl Loop {
    /// Registers a flow, or answers an earlier registration under the same id.
    pub(super) fn register_flow(
        &mut self,
        asked: RegisteringFlow,
        draft: &mut Draft,
    ) -> Answered<Reply> {
        let RegisteringFlow {
            mut flow,
            checked,
            seat,
        } = asked;
        if let (Some(lease), Some(seat)) = (flow.lease, &seat) {
            self.check_lease(lease, seat)?;
        }
        let known = self.known_flow(&mut flow, draft)?;
        if known.is_empty() {
            self.prepare_flow(&mut flow, checked, draft)?;
        }
        for (step, known) in flow.steps.iter_mut().zip(&known) {
            self.liken(&mut step.kwargs, &mut step.sealed, known);
        }
        self.execute(Order::RegisterFlow(flow), draft)
    }

    /// The steps of the flow that was registered under the same id before; not empty if there is
    /// any operation of that id.
    fn known_flow(
        &self,
        flow: &mut RegisterFlow,
        draft: &Draft,
    ) -> Result<Vec<Arc<Operation>>, EngineError> {
        let Some(id) = &flow.id else {
            return Ok(Vec::new());
        };
        if let Some(open) = self.state.operation(id) {
            let steps: Vec<_> = self.state.steps(open).cloned().collect();
            return Ok(if steps.is_empty() {
                vec![open.clone()]
            } else {
                steps
            });
        }
        let Some(ended) = self.ended(id, draft)? else {
            return Ok(Vec::new());
        };
        let steps = self.steps_of_ended(&ended, draft)?;
        flow.ended = Some((ended.clone(), steps.clone()));
        Ok(if steps.is_empty() { vec![ended] } else { steps })
    }

    /// The steps of a flow that has ended.
    pub(super) fn steps_of_ended(
        &self,
        flow: &Operation,
        draft: &Draft,
    ) -> Result<Vec<Arc<Operation>>, EngineError> {
        let mut steps = Vec::new();
        if flow.is_flow() {
            for id in flow.spawned() {
                steps.extend(self.ended(id, draft)?);
            }
        }
        Ok(steps)
    }

    fn prepare_flow(
        &mut self,
        flow: &mut RegisterFlow,
        checked: Vec<Checked>,
        draft: &Draft,
    ) -> Result<(), EngineError> {
        let faults = &mut flow.faults;
        for (index, (step, checked)) in flow.steps.iter_mut().zip(checked).enumerate() {
            let declaration = self.state.declaration(&step.method_name, step.version);
            let taken =
                declaration.map_or_else(Vec::new, |known| known.secret_results(&step.kwargs));
            let settled = match taken.is_empty() {
                true => self.settle_step(step, checked),
                false => Err(taken),
            };
            match settled {
                Ok(Some(Sealed { shown, text })) => {
                    step.kwargs = shown;
                    step.sealed = Some(text);
                }
                Ok(None) => {}
                Err(found) => faults.extend(found.into_iter().map(|fault| Fault {
                    pointer: format!("/steps/{index}{}", fault.pointer),
                    message: fault.message,
                })),
            }
        }
        match &flow.id {
            None => flow.ulid = self.fresh_ulid(),
            Some(id) => {
                for step in &mut flow.steps {
                    step.ended = self.ended(&format!("{id}.{}", step.name), draft)?;
                }
            }
        }
        self.look_up_earlier(&mut flow.after, draft)
    }

    /// What is to be stored of a step's kwargs that have secrets, or all that is wrong with them.
    fn settle_step(
        &self,
        step: &RegisterStep,
        checked: Checked,
    ) -> Result<Option<Sealed>, Vec<Fault>> {
        let declaration = self.state.declaration(&step.method_name, step.version);
        let checked = match declaration {
            _ if checked.is_by(declaration) => checked,
            Some(declaration) if step.kwargs.takes_results() => {
                self.handle.hide_by(declaration, &step.kwargs)
            }
            Some(declaration) => self.handle.check_by(declaration, &step.kwargs),
            None => Checked::by_nobody(),
        };
        checked.verdict()
    }
}
