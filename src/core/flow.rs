//! Flows: how their steps follow one another, forward and back. What is kept here is derived from
//! the operations of the flow and its steps, once all of them are known.
//!
//! Steps are operations; the claims are held by their flow. Going forward, a step waits until what
//! it requires has completed. Going back, it waits until all that required it are *settled*:
//! reverted, or never run, or of a method that cannot be reverted.

use std::sync::Arc;

use imbl::OrdSet;

use crate::conditions::{Revert, Step};
use crate::event::Cursor;
use crate::failure::Failure;
use crate::operation::{Operation, OperationState};
use crate::places::Standing;
use crate::state::State;

/// What is derived about one open flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// How many steps it has; 0 until its own record is known.
    steps: u32,
    /// How many records of the flow and its steps are known.
    known: u32,
    /// Steps that wait for an attempt.
    waiting: OrdSet<Cursor>,
    /// Steps that an executor has, to be run or reverted.
    held: u32,
    /// Steps that have completed, whatever came after it.
    pub(crate) completed: u32,
    /// Reverts that are to be handed to an executor.
    due: u32,
    /// Steps that are not settled; counted from the beginning of the way back.
    unsettled: u32,
}

/// Where a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not begun.
    Before,
    /// Steps start as soon as what they require has completed.
    Forward,
    /// A step failed, or somebody canceled it: no step starts, those that run finish.
    Stopping,
    /// What ran is reverted.
    Back,
}

/// What is next for a flow itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowStep {
    Start,
    /// This step will not start any more.
    Stop(Cursor),
    Complete,
    Revert,
    EndReverted,
    EndStuck,
}

impl Operation {
    /// The flow that it is, or is a step of.
    pub(crate) fn flow(&self) -> Option<Cursor> {
        let asked = self.request.conditions.as_ref()?;
        if asked.steps > 0 {
            return Some(self.subject.sequence);
        }
        asked
            .step
            .as_ref()
            .and(self.subject.parent.as_ref())
            .map(|flow| flow.sequence)
    }

    /// Whether it is a flow.
    pub fn is_flow(&self) -> bool {
        self.request.flow_steps().is_some()
    }

    /// Whether it is a step of a flow.
    pub fn is_step(&self) -> bool {
        self.request.step().is_some()
    }

    /// The places of a flow's steps in the order of registration; of others there are none.
    pub fn step_sequences(&self) -> std::ops::Range<Cursor> {
        let first = self.subject.sequence + 1;
        first..first + Cursor::from(self.request.flow_steps().unwrap_or_default())
    }

    /// The failure that stands while it has not ended: why a flow is reverted, or why a step could
    /// not be.
    pub fn failure(&self) -> Option<&Failure> {
        match self.revert() {
            Some(Revert::Failed(failure)) => Some(failure),
            _ if self.is_step() => None,
            _ => self.course.as_ref()?.failure.as_ref(),
        }
    }

    /// Where a flow is. Of one that has ended it says nothing of use.
    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            OperationState::Scheduled | OperationState::Waiting => Phase::Before,
            OperationState::Running if self.failed_steps().is_empty() => Phase::Forward,
            OperationState::Running | OperationState::Canceling => Phase::Stopping,
            _ => Phase::Back,
        }
    }

    /// Whether a step has run and its method can undo it.
    pub(crate) fn is_to_be_reverted(&self) -> bool {
        let can_be = self.request.step().is_some_and(|step| step.revertible);
        can_be && self.attempt > 0 && self.state != OperationState::Reverted
    }

    /// Whether nothing more will happen to it in its present state. Steps stay until their flow is
    /// done.
    pub(crate) fn has_left(&self) -> bool {
        self.state.has_ended() && !self.is_step()
    }

    pub(crate) fn requires(&self) -> &[Cursor] {
        self.request
            .step()
            .map_or(&[], |Step { requires, .. }| requires)
    }
}

impl State {
    /// The steps of an open flow, as listed.
    pub fn steps(&self, flow: &Operation) -> impl Iterator<Item = &Arc<Operation>> {
        let steps = self.operations.range(flow.step_sequences());
        steps.map(|(_, step)| step)
    }

    /// The flow of an open step.
    pub fn flow_of(&self, step: &Operation) -> Option<&Arc<Operation>> {
        step.request.step()?;
        self.operations.get(&step.subject.parent.as_ref()?.sequence)
    }

    /// The record of a flow or a step is known now.
    pub(crate) fn join(&mut self, flow: Cursor, sequence: Cursor) {
        let steps = self.operations[&sequence].request.flow_steps();
        let entry = self.flows.entry(flow).or_default();
        entry.known += 1;
        if let Some(steps) = steps {
            entry.steps = steps;
        }
        if entry.steps > 0 && entry.known == entry.steps + 1 {
            self.assemble(flow);
        }
    }

    /// All records of a flow are known: what follows from them.
    fn assemble(&mut self, flow: Cursor) {
        let phase = self.operations[&flow].phase();
        for sequence in self.sequences(flow) {
            let step = self.operations[&sequence].clone();
            for required in step.requires() {
                self.followers.insert((*required, sequence));
            }
            let entry = self.flow_mut(flow);
            entry.completed += u32::from(matches!(
                step.outcome,
                Some(crate::operation::Outcome::Completed(_))
            ));
            entry.held += u32::from(Standing::of(&step).is_held());
            if step.state == OperationState::Waiting {
                entry.waiting.insert(sequence);
            }
        }
        if phase == Phase::Back {
            self.turn_back(flow);
        } else {
            for sequence in self.sequences(flow) {
                let step = &self.operations[&sequence];
                let has_completed = |required: &&Cursor| {
                    self.operations[*required].state == OperationState::Completed
                };
                let met = step.requires().iter().filter(has_completed).count();
                let unmet = step.requires().len() - met
                    + usize::from(phase == Phase::Before)
                    + usize::from(step.is_delayed());
                self.operation_mut(sequence).unmet = unmet as u32;
                self.make_ready_if_met(sequence);
            }
        }
        self.operation_mut(flow).unmet -= 1;
        self.note_flow(flow);
    }

    /// A flow began: steps that require nothing can start.
    pub(crate) fn begin_flow(&mut self, flow: Cursor) {
        for sequence in self.sequences(flow) {
            self.operation_mut(sequence).unmet -= 1;
            self.make_ready_if_met(sequence);
        }
    }

    /// No step of a flow is to start any more.
    pub(crate) fn stop_flow(&mut self, flow: Cursor) {
        for sequence in self.flows[&flow].waiting.clone() {
            let step = self.operations[&sequence].clone();
            self.unready(&step);
        }
    }

    /// A flow begins to be reverted: each step waits for those that required it.
    pub(crate) fn turn_back(&mut self, flow: Cursor) {
        let sequences = self.sequences(flow);
        self.flow_mut(flow).unsettled = sequences.clone().count() as u32;
        let mut free = Vec::new();
        for sequence in sequences {
            let followers = self.followers_of(sequence).count() as u32;
            self.operation_mut(sequence).unmet = followers;
            if followers == 0 {
                free.push(sequence);
            }
        }
        self.go_back(flow, free);
    }

    /// Nothing that required these steps is in the way any more.
    fn go_back(&mut self, flow: Cursor, mut free: Vec<Cursor>) {
        while let Some(sequence) = free.pop() {
            if !self.operations[&sequence].is_to_be_reverted() {
                free.extend(self.settle(flow, sequence));
                continue;
            }
            let course = self.operation_mut(sequence).course();
            if *course.revert.get_or_insert(Revert::Due) == Revert::Due {
                self.queue_revert(flow, sequence);
            }
        }
    }

    /// A step is settled. Returns those that nothing is in the way of any more.
    fn settle(&mut self, flow: Cursor, sequence: Cursor) -> Vec<Cursor> {
        self.flow_mut(flow).unsettled -= 1;
        let mut free = Vec::new();
        for required in self.operations[&sequence].clone().requires() {
            let earlier = self.operation_mut(*required);
            earlier.unmet -= 1;
            if earlier.unmet == 0 {
                free.push(*required);
            }
        }
        free
    }

    fn queue_revert(&mut self, flow: Cursor, sequence: Cursor) {
        self.flow_mut(flow).due += 1;
        let step = &self.operations[&sequence];
        let (method, turn) = (step.method(), self.turn(step));
        self.reverts.entry(method).or_default().insert(turn);
    }

    fn unqueue_revert(&mut self, flow: Cursor, sequence: Cursor) {
        self.flow_mut(flow).due -= 1;
        let step = &self.operations[&sequence];
        let (method, turn) = (step.method(), self.turn(step));
        if let Some(queue) = self.reverts.get_mut(&method) {
            queue.remove(&turn);
            if queue.is_empty() {
                self.reverts.remove(&method);
            }
        }
    }

    /// Brings a flow in line with what has happened to one of its steps.
    pub(crate) fn follow_step(&mut self, step: &Operation, before: Standing, after: Standing) {
        let Some(flow) = step.flow().filter(|_| step.is_step()) else {
            return;
        };
        let sequence = step.subject.sequence;
        let entry = self.flow_mut(flow);
        if before.state == OperationState::Waiting {
            entry.waiting.remove(&sequence);
        }
        if after.state == OperationState::Waiting {
            entry.waiting.insert(sequence);
        }
        entry.held = entry.held + u32::from(after.is_held()) - u32::from(before.is_held());
        match (before.is_revert_due, after.is_revert_due) {
            (false, true) => self.queue_revert(flow, sequence),
            (true, false) => self.unqueue_revert(flow, sequence),
            _ => {}
        }
        if before.state == after.state {
            return;
        }
        match after.state {
            OperationState::Completed => {
                self.flow_mut(flow).completed += 1;
                let followers: Vec<_> = self.followers_of(sequence).collect();
                for follower in followers {
                    self.operation_mut(follower).unmet -= 1;
                    self.make_ready_if_met(follower);
                }
            }
            OperationState::Failed => {
                if before.is_delayed() {
                    self.operation_mut(sequence).unmet -= 1;
                }
                let was = self.operations[&flow].phase();
                let course = self.operation_mut(flow).course();
                course.failed_steps.push(sequence);
                // Once is enough: however many more fail, nothing is queued any more.
                if was == Phase::Forward {
                    self.stop_flow(flow);
                }
            }
            OperationState::Reverted => {
                let free = self.settle(flow, sequence);
                self.go_back(flow, free);
            }
            _ => {}
        }
    }

    /// What is next for a flow itself; nothing while it waits for others.
    pub(crate) fn flow_step(&self, flow: Cursor) -> Option<FlowStep> {
        let operation = self.operations.get(&flow)?;
        let entry = self.flows.get(&flow)?;
        match operation.phase() {
            Phase::Before => {
                let starts = operation.state == OperationState::Waiting && operation.unmet == 0;
                starts.then_some(FlowStep::Start)
            }
            Phase::Forward => (entry.completed == entry.steps).then_some(FlowStep::Complete),
            Phase::Stopping => match entry.waiting.get_min() {
                Some(step) => Some(FlowStep::Stop(*step)),
                None => (entry.held == 0).then_some(FlowStep::Revert),
            },
            Phase::Back if operation.state != OperationState::Reverting => None,
            Phase::Back if entry.unsettled == 0 => Some(FlowStep::EndReverted),
            Phase::Back => (entry.held + entry.due == 0).then_some(FlowStep::EndStuck),
        }
    }

    /// Remembers whether something is next for a flow itself.
    pub(crate) fn note_flow(&mut self, flow: Cursor) {
        match self.flow_step(flow) {
            Some(_) => self.flows_due.insert(flow),
            None => self.flows_due.remove(&flow),
        };
    }

    /// Forgets a flow and what was derived about it; its steps are still known.
    pub(crate) fn forget_flow(&mut self, flow: Cursor) {
        for sequence in self.sequences(flow) {
            for required in self.operations[&sequence].clone().requires() {
                self.followers.remove(&(*required, sequence));
            }
        }
        self.flows.remove(&flow);
        self.flows_due.remove(&flow);
    }

    /// The places of a flow's steps in the order of registration.
    pub(crate) fn sequences(&self, flow: Cursor) -> std::ops::Range<Cursor> {
        self.operations[&flow].step_sequences()
    }

    fn make_ready_if_met(&mut self, sequence: Cursor) {
        let step = &self.operations[&sequence];
        if step.state == OperationState::Waiting && step.unmet == 0 {
            self.make_ready(sequence);
        }
    }

    fn followers_of(&self, step: Cursor) -> impl Iterator<Item = Cursor> {
        let range = self.followers.range((step, 0)..=(step, Cursor::MAX));
        range.map(|(_, follower)| *follower)
    }

    fn flow_mut(&mut self, flow: Cursor) -> &mut Flow {
        self.flows.get_mut(&flow).expect("an open step has a flow")
    }
}
