//! Kwargs on their way into the log: what one declaration makes of them.
//!
//! They are checked on the caller's thread, so that the loop need not, and the loop stores them only
//! if they were checked by the very declaration that the operation is registered under. Else it
//! checks them again: an executor may have declared another since.

use std::sync::Arc;

use opstead_core::{Declaration, Fault, Json};

use super::Vault;
use super::handle::EngineHandle;
use super::schemas::{Compiled, Declared, is_same};

/// What one declaration makes of kwargs.
#[derive(Debug)]
pub(super) struct Checked {
    /// Which; none if nobody declares the method in that version.
    declaration: Option<Arc<Declaration>>,
    verdict: Result<Option<Sealed>, Vec<Fault>>,
}

/// Kwargs that have secrets, as they are stored.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Without the secrets, for everybody.
    pub(super) shown: Json,
    /// All of them, encrypted.
    pub(super) text: Arc<str>,
}

impl Checked {
    /// By no declaration: there is none.
    pub(super) fn by_nobody() -> Self {
        Self {
            declaration: None,
            verdict: Ok(None),
        }
    }

    /// By a declaration, whose schema finds these faults.
    pub(super) fn by(
        declaration: &Arc<Declaration>,
        kwargs: &Json,
        faults: Vec<Fault>,
        vault: &Vault,
    ) -> Self {
        let seal = |shown| Sealed {
            shown,
            text: vault.seal(kwargs),
        };
        let verdict = match faults.is_empty() {
            true => Ok(kwargs.hiding(&declaration.secrets).map(seal)),
            false => Err(faults),
        };
        Self {
            declaration: Some(declaration.clone()),
            verdict,
        }
    }

    /// Whether it was this declaration.
    pub(super) fn is_by(&self, declaration: Option<&Arc<Declaration>>) -> bool {
        match (&self.declaration, declaration) {
            (Some(one), Some(other)) => is_same(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// What is to be stored in the place of the kwargs if they have secrets, or all that is wrong.
    pub(super) fn verdict(self) -> Result<Option<Sealed>, Vec<Fault>> {
        self.verdict
    }

    /// About the bytes that it takes beside the kwargs.
    pub(super) fn bytes(&self) -> usize {
        match &self.verdict {
            Ok(None) => 0,
            Ok(Some(sealed)) => sealed.shown.as_str().len() + sealed.text.len(),
            Err(faults) => {
                let texts = faults
                    .iter()
                    .map(|fault| fault.pointer.len() + fault.message.len());
                texts.sum()
            }
        }
    }
}

impl EngineHandle {
    /// Checks kwargs by what is declared at this moment.
    pub(super) fn check(&self, method_name: &str, version: Option<u32>, kwargs: &Json) -> Checked {
        match self.declared(method_name, version) {
            Some(known) => {
                let faults = known.faults(kwargs);
                Checked::by(&known.declaration, kwargs, faults, self.vault())
            }
            None => Checked::by_nobody(),
        }
    }

    /// Checks kwargs by this declaration.
    pub(super) fn check_by(&self, declaration: &Arc<Declaration>, kwargs: &Json) -> Checked {
        let faults = self.faults(declaration, kwargs);
        Checked::by(declaration, kwargs, faults, self.vault())
    }

    /// Everything in the kwargs that is not what a declaration's schema asks for.
    pub(super) fn faults(&self, declaration: &Arc<Declaration>, kwargs: &Json) -> Vec<Fault> {
        let known = self.declared(&declaration.name, Some(declaration.version));
        if let Some(known) = known.filter(|known| is_same(&known.declaration, declaration)) {
            return known.faults(kwargs);
        }
        // It has been replaced, or is about to be known.
        match Compiled::new(declaration) {
            Ok(schema) => Declared::new(declaration.clone(), schema).faults(kwargs),
            Err(message) => vec![Fault::new("/kwargs", message)],
        }
    }
}
