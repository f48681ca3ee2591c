//! What the loop does with executors outside of this process: how they come and leave, and what
//! becomes of what they say.

use std::sync::Arc;

use opstead_core::{Cursor, Fault, InfoUpdate, Lease, Order, Refusal, Reply};

use super::Loop;
use crate::engine::EngineError;
use crate::engine::attach::{Arrival, Said};
use crate::engine::draft::{Answered, Draft};
use crate::engine::outside::Seat;
use crate::engine::schemas::{Declared, is_same};

impl Loop {
    /// An executor comes. Answers the attempts that it goes on with.
    pub(super) fn arrive(&mut self, arrival: Arrival, draft: &mut Draft) -> Answered<Vec<Lease>> {
        let Arrival {
            seat,
            capacity,
            declarations,
            schemas,
            resume,
            outlet,
        } = arrival;
        for (declaration, schema) in declarations.iter().zip(schemas) {
            // The state keeps its own when the same is declared again.
            let known = self
                .state
                .declaration(&declaration.name, Some(declaration.version))
                .filter(|known| is_same(known, declaration));
            let declaration = known.unwrap_or(declaration).clone();
            self.handle.declare(Declared::new(declaration, schema));
        }
        let order = Order::Attach {
            executor: seat.executor.clone(),
            capacity,
            declarations: declarations.clone(),
            resume,
        };
        let Reply::Attached(accepted) = self.execute(order, draft)? else {
            unreachable!("an attachment was not answered as one");
        };
        self.handle.outside().sit(&seat, outlet, &declarations);
        Ok(accepted)
    }

    /// The connection of an executor is gone.
    pub(super) fn leave(&mut self, seat: &Seat, draft: &mut Draft) {
        if self.handle.outside().leave(seat) {
            let order = self.detach_for_now(seat.executor.clone());
            self.report(order, draft);
        }
    }

    /// Executors can come from now on, so the attempts of those who are away are kept from now.
    pub(super) fn listen(&mut self, draft: &mut Draft) {
        let away = self.state.executors().filter(|known| known.kept.is_some());
        let names: Vec<_> = away.map(|known| known.name.clone()).collect();
        for executor in names {
            let order = self.detach_for_now(executor);
            self.report(order, draft);
        }
    }

    /// Takes what an executor says, whole or not at all.
    pub(super) fn take_said(
        &mut self,
        seat: &Seat,
        said: Said,
        draft: &mut Draft,
    ) -> Answered<Cursor> {
        if !self.handle.outside().is_seated(seat) {
            return Err(Refusal::StaleLease.into());
        }
        match said {
            Said::Update {
                lease,
                update,
                error,
            } => {
                self.check_lease(lease, seat)?;
                // Only this can still be refused, so it comes first.
                if let Some(failure) = error {
                    self.execute(Order::RecordError { lease, failure }, draft)?;
                }
                if let Some(update) = update {
                    self.progress(lease, update, draft);
                }
            }
            Said::End { lease, verdict } => {
                self.check_lease(lease, seat)?;
                let early = self.take_reports(lease, false, draft);
                self.attempts.end(lease);
                let update = early.map(|early| early.update).unwrap_or_default();
                let order = Order::End {
                    lease,
                    update,
                    verdict,
                };
                self.execute(order, draft)?;
            }
            Said::Capacity(capacity) => {
                let executor = seat.executor.clone();
                self.execute(Order::Resize { executor, capacity }, draft)?;
            }
            Said::Publish { .. } if self.journal.is_low_on_space() => {
                return Err(EngineError::Overloaded {
                    what: "the disk is nearly full",
                });
            }
            Said::Publish { alert_name, info } => {
                self.check_owner(&alert_name, seat)?;
                let info = Arc::new(info);
                self.execute(Order::Publish { alert_name, info }, draft)?;
            }
            Said::Retire { alert_name } => {
                self.check_owner(&alert_name, seat)?;
                self.execute(Order::Retire { alert_name }, draft)?;
            }
        }
        Ok(self.state.head())
    }

    /// Whether an executor may speak for an attempt.
    pub(super) fn check_lease(&self, lease: Lease, seat: &Seat) -> Result<(), EngineError> {
        let holds =
            self.handle.outside().is_seated(seat) && self.state.is_held_by(lease, &seat.executor);
        if holds {
            Ok(())
        } else {
            Err(Refusal::StaleLease.into())
        }
    }

    /// An executor that has come back goes on with an attempt. If it was to stop meanwhile, it is
    /// told now.
    pub(super) fn resume(&mut self, lease: Lease, seat: &Seat) {
        // It may have been over within the same block.
        if self.state.is_held_by(lease, &seat.executor)
            && let Some(operation) = self.state.operation_at(lease.sequence)
        {
            self.attempts.resume(operation, seat);
        }
    }

    fn progress(&mut self, lease: Lease, update: InfoUpdate, draft: &mut Draft) {
        match self.attempts.note(lease, update) {
            Ok(()) => self.hear(lease, false, draft),
            // It has just been resumed, and nothing is kept of it yet: so nothing may be left for
            // later.
            Err(update) => {
                let order = Order::Update {
                    lease,
                    update,
                    flush: true,
                };
                self.report(order, draft);
            }
        }
    }

    /// Whether an object is of a subsystem whose methods the executor offers.
    fn check_owner(&self, alert_name: &str, seat: &Seat) -> Result<(), EngineError> {
        let subsystem = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let mut known = self.state.executors();
        let offers = known.find(|known| known.name == seat.executor);
        let mut own = offers.into_iter().flat_map(|known| &known.offers);
        if own.any(|(method, _)| subsystem(method) == subsystem(alert_name)) {
            return Ok(());
        }
        let message = "must be of a subsystem whose methods this executor declares";
        let faults = vec![Fault::new("/alertName", message)];
        Err(Refusal::Invalid { faults }.into())
    }

    fn detach_for_now(&self, executor: Arc<str>) -> Order {
        Order::Detach {
            executor,
            keep_ms: Some(self.config.lease_ms),
        }
    }
}
