//! What a subsystem declares about a method before anybody can register it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::conditions::{Retry, is_default};
use crate::json::{Json, steps};
use crate::operation::{ClaimOperation, OnInterrupt};
use crate::refusal::{Fault, Refusal};
use crate::template::{kwargs_of, name_fault};

/// One method of a subsystem, in one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// `<subsystem>.<method>`.
    pub name: Arc<str>,
    /// From 1 on; without a wish of the caller the highest is taken.
    pub version: u32,
    /// Whether it runs as an operation or only answers.
    pub kind: MethodKind,
    /// One sentence for people.
    pub summary: Arc<str>,
    /// JSON Schema of the kwargs.
    pub kwargs_schema: Option<Json>,
    /// The object it works on, a template without the subsystem, as `Image.{image}`.
    pub object: Option<Arc<str>>,
    /// The claims each operation takes.
    pub claims: Vec<ClaimTemplate>,
    /// Whether a running one can be canceled.
    pub cancelable: bool,
    /// What becomes of an attempt whose executor is lost.
    pub on_interrupt: OnInterrupt,
    /// The share of the capacity that each takes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: u32,
    /// Further attempts after a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// Whether its executor keeps start times itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub holds_schedule: bool,
    /// Whether it can be undone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revertible: bool,
    /// Kwargs that are never shown: names, or JSON pointers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Arc<str>>,
}

impl Declaration {
    /// Checks what no JSON Schema of a declaration could: names, templates, secrets, retry policy.
    /// Pointers of faults begin with `pointer`.
    pub fn check(&self, pointer: &str) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut blame = |member: String, message: &str| {
            faults.push(Fault::new(format!("{pointer}/{member}"), message));
        };
        if !is_method_name(&self.name) {
            let message = "must be <subsystem>.<method>, at most 200 letters, digits, _ and -; \
                           the method may have further dots";
            blame("name".to_owned(), message);
        }
        if self.version == 0 {
            blame("version".to_owned(), "must be at least 1");
        }
        if self.attempt_timeout_ms == Some(0) {
            blame("attemptTimeoutMs".to_owned(), "must be at least 1");
        }
        for (index, path) in self.secrets.iter().enumerate() {
            if path.is_empty() || &**path == "/" {
                let message =
                    "must be a kwarg's name, or a JSON pointer to something in the kwargs";
                blame(format!("secrets/{index}"), message);
            }
        }
        for (member, template) in self.templates() {
            if let Some(message) = self.template_fault(template) {
                blame(member, &message);
            }
        }
        for (index, claim) in self.claims.iter().enumerate() {
            if let Some(message) = name_fault(&claim.kind) {
                blame(format!("claims/{index}/type"), message);
            }
        }
        if let Some(Err(Refusal::Invalid { faults: broken })) = self
            .retry
            .map(|retry| retry.check(&format!("{pointer}/retry")))
        {
            faults.extend(broken);
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// The part of the name before the first dot.
    pub fn subsystem(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// Secret kwargs that are taken from results of other steps. These are shown to everybody, so that
    /// is not allowed.
    pub fn secret_results(&self, kwargs: &Json) -> Vec<Fault> {
        // One within the other, whichever is the larger.
        let meets = |place: &str, secret: &Arc<str>| {
            let mut both = steps(place).zip(steps(secret));
            both.all(|(one, other)| one == other)
        };
        let taken = kwargs.results().unwrap_or_default().into_iter();
        let secret = taken.filter(|taken| self.secrets.iter().any(|one| meets(&taken.place, one)));
        secret
            .map(|taken| {
                let message = "is a secret: it cannot be taken from a result, which is shown";
                Fault::new(format!("/kwargs{}", taken.place), message)
            })
            .collect()
    }

    /// Every template, and where it stands.
    fn templates(&self) -> impl Iterator<Item = (String, &Arc<str>)> {
        let claims = self.claims.iter().enumerate();
        let claims = claims.map(|(index, claim)| (format!("claims/{index}/id"), &claim.id));
        let object = self.object.iter();
        object
            .map(|object| ("object".to_owned(), object))
            .chain(claims)
    }

    fn template_fault(&self, template: &str) -> Option<String> {
        if let Some(message) = name_fault(template) {
            return Some(message.to_owned());
        }
        let kwargs = match kwargs_of(template) {
            Ok(kwargs) => kwargs,
            Err(message) => return Some(message.to_owned()),
        };
        // Names are shown to everybody.
        let secrets = self.secrets.iter();
        let mut secrets = secrets.filter_map(|path| steps(path).next());
        let shown = secrets.find(|secret| kwargs.contains(&&**secret))?;
        Some(format!(
            "{shown:?} is a secret and cannot be part of a name"
        ))
    }

    /// Whether anything is made from the kwargs.
    pub(crate) fn has_templates(&self) -> bool {
        let claims = self.claims.iter().map(|claim| &claim.id);
        claims.chain(&self.object).any(|text| text.contains('{'))
    }
}

/// Whether a method runs as an operation or only answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MethodKind {
    /// Registered durably and run.
    Operation,
    /// Answered at once, nothing is stored.
    Query,
}

/// A claim whose resource id is made from kwargs, as `{type: "image", id: "{image}"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimTemplate {
    /// The kind of resource.
    pub kind: Arc<str>,
    /// The template of the id.
    pub id: Arc<str>,
    /// What for.
    pub operation: ClaimOperation,
}

/// Whether a text is `<subsystem>.<method>`.
fn is_method_name(name: &str) -> bool {
    let is_good = |part: &str| {
        let mut characters = part.chars();
        !part.is_empty()
            && characters.all(|one| one.is_ascii_alphanumeric() || one == '_' || one == '-')
    };
    name.len() <= 200 && name.contains('.') && name.split('.').all(is_good)
}
