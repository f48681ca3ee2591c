//! What the loop adds to a registration before it is decided: a fresh id, who ended under the one
//! chosen or among those it follows, and kwargs as the declaration of this moment wants them.

use std::sync::Arc;

use opstead_core::{Json, Operation, Order, Register, Reply};

use super::Loop;
use crate::engine::EngineError;
use crate::engine::draft::{Answered, Draft};
use crate::engine::handle::invalid;
use crate::engine::kwargs::{Checked, Sealed};
use crate::engine::request::Registering;

impl Loop {
    /// Registers an operation, or answers an earlier registration under the same id.
    pub(super) fn register(&mut self, asked: Registering, draft: &mut Draft) -> Answered<Reply> {
        let Registering {
            mut register,
            checked,
            seat,
        } = asked;
        if let (Some(lease), Some(seat)) = (register.lease, &seat) {
            self.check_lease(lease, seat)?;
        }
        match self.known(&mut register, draft)? {
            // The answer takes no space on disk.
            Some(known) => self.liken(&mut register, &known),
            None => self.prepare_new(&mut register, checked, draft)?,
        }
        self.execute(Order::Register(register), draft)
    }

    /// The operation that was registered under the same id before.
    fn known(
        &self,
        register: &mut Register,
        draft: &Draft,
    ) -> Result<Option<Arc<Operation>>, EngineError> {
        let Some(id) = &register.id else {
            return Ok(None);
        };
        register.ended = self.ended(id, draft)?;
        let known = self.state.operation(id).or(register.ended.as_ref());
        Ok(known.cloned())
    }

    /// Writes kwargs that are the same as those of the earlier registration as these were stored.
    /// What is declared now has no say in it: only with which kwargs it was registered.
    fn liken(&self, register: &mut Register, known: &Operation) {
        let request = &known.request;
        if let Some(sealed) = request.sealed() {
            // The same secrets are never encrypted to the same text.
            let before = self.config.vault.open(sealed);
            if before.is_ok_and(|before| before.same_as(&register.kwargs)) {
                register.kwargs = request.kwargs.clone();
                register.sealed = Some(sealed.clone());
            }
        } else if known.state.is_done() {
            // Nobody knows its secrets any more, so what was hidden then may be anything.
            let name = &known.subject.method_name;
            let declaration = self.state.declaration(name, Some(request.version));
            let secrets = declaration.map_or(&[][..], |declaration| &declaration.secrets);
            let hidden = secrets
                .iter()
                .filter(|place| is_hidden(&request.kwargs, place));
            if let Some(shown) = register.kwargs.hiding(hidden) {
                register.kwargs = shown;
            }
        }
    }

    fn prepare_new(
        &mut self,
        register: &mut Register,
        checked: Checked,
        draft: &Draft,
    ) -> Result<(), EngineError> {
        if let Some(Sealed { shown, text }) = self.settle(register, checked)? {
            register.kwargs = shown;
            register.sealed = Some(text);
        }
        if register.id.is_none() {
            // The generator overflows after 2^80 ids of one millisecond.
            let fresh = self.ulids.generate();
            register.ulid = fresh
                .unwrap_or_else(|_| ulid::Ulid::generate())
                .to_string()
                .into();
        }
        for earlier in &mut register.after {
            earlier.ended = self.ended(&earlier.id, draft)?;
        }
        if self.journal.is_low_on_space() {
            return Err(EngineError::Overloaded {
                what: "the disk is nearly full",
            });
        }
        Ok(())
    }

    /// What is to be stored of kwargs that have secrets, by the declaration that counts: the one
    /// of this moment.
    fn settle(&self, register: &Register, checked: Checked) -> Result<Option<Sealed>, EngineError> {
        let declaration = self
            .state
            .declaration(&register.method_name, register.version);
        let checked = match declaration {
            _ if checked.is_by(declaration) => checked,
            Some(declaration) => self.handle.check_by(declaration, &register.kwargs),
            None => Checked::by_nobody(),
        };
        checked.verdict().map_err(invalid)
    }
}

/// Whether what stands at a place is hidden.
fn is_hidden(kwargs: &Json, place: &Arc<str>) -> bool {
    kwargs
        .hiding([place])
        .is_some_and(|hidden| hidden == *kwargs)
}
