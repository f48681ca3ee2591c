//! What a subsystem declares about a method before anybody can register it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::conditions::{Retry, is_default};
use crate::json::{Json, MOST_FAULTS, Taken, steps};
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
        let allowed = self.kwargs_schema.as_ref().and_then(AllowedKwargs::of);
        for (index, path) in self.secrets.iter().enumerate() {
            let message = if path.is_empty() || &**path == "/" {
                let message =
                    "must be a kwarg's name, or a JSON pointer to something in the kwargs";
                Some(message.to_owned())
            } else {
                let mut kwargs = steps(path).take(1);
                kwargs.find_map(|kwarg| allowed.as_ref()?.fault(&kwarg))
            };
            if let Some(message) = message {
                blame(format!("secrets/{index}"), &message);
            }
        }
        for (member, template) in self.templates() {
            if let Some(message) = self.template_fault(template, allowed.as_ref()) {
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
        let meets = |taken: &Taken, secret: &Arc<str>| {
            let names = taken.place.names();
            let mut both = names.into_iter().zip(steps(secret));
            both.all(|(one, other)| *one == other)
        };
        let taken = kwargs.results().unwrap_or_default().into_iter();
        let secret = taken.filter(|taken| self.secrets.iter().any(|one| meets(taken, one)));
        secret
            .take(MOST_FAULTS)
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

    fn template_fault(&self, template: &str, allowed: Option<&AllowedKwargs>) -> Option<String> {
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
        if let Some(shown) = secrets.find(|secret| kwargs.contains(&&**secret)) {
            let message = format!("{shown:?} is a secret and cannot be part of a name");
            return Some(message);
        }
        kwargs.iter().find_map(|kwarg| allowed?.fault(kwarg))
    }

    /// Whether anything is made from the kwargs.
    pub(crate) fn has_templates(&self) -> bool {
        let claims = self.claims.iter().map(|claim| &claim.id);
        claims.chain(&self.object).any(|text| text.contains('{'))
    }
}

/// The most kwargs that a message lists.
const MOST_NAMED: usize = 16;

/// The kwargs of a schema that names all there can be.
struct AllowedKwargs(Vec<String>);

impl AllowedKwargs {
    /// Of a schema with `additionalProperties: false`; nothing of one by which others may come.
    fn of(schema: &Json) -> Option<Self> {
        let schema: serde_json::Value = schema.parse().ok()?;
        // Patterns allow names that are not listed, and in older drafts nothing counts beside $ref.
        let is_open = ["patternProperties", "$ref"]
            .iter()
            .any(|keyword| schema.get(keyword).is_some());
        if is_open || schema.get("additionalProperties")?.as_bool() != Some(false) {
            return None;
        }
        let listed = schema.get("properties").and_then(|value| value.as_object());
        Some(Self(
            listed
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect(),
        ))
    }

    /// What is wrong with the name of a kwarg that there cannot be: a slip there would show a
    /// secret, or leave an operation without a name.
    fn fault(&self, kwarg: &str) -> Option<String> {
        let is_allowed = self.0.iter().any(|name| name == kwarg);
        (!is_allowed).then(|| match self.0.is_empty() {
            true => format!("{kwarg:?} is no kwarg of kwargsSchema, which allows none"),
            false => {
                let (named, others) = self.0.split_at(self.0.len().min(MOST_NAMED));
                let others = if others.is_empty() { "" } else { " and others" };
                let names = named.join(", ") + others;
                format!("{kwarg:?} is no kwarg of kwargsSchema, which allows only {names}")
            }
        })
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
