//! What is declared of each method, with the JSON Schema that its kwargs are checked against, all
//! faults with their pointers. Declarations outlive the executors that made them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use boon::{CompileError, Compiler, SchemaIndex, UrlLoader, ValidationError};
use opstead_core::{Declaration, Failure, Fault, Json, State};
use serde_json::Value;

use super::StartError;
use super::executor::MESSAGE_KEYWORD;

/// Where compiled schemas live. No such address is ever fetched.
const ADDRESS: &str = "opstead:///kwargs";

/// All declared methods, with their compiled schemas.
#[derive(Default)]
pub(super) struct Schemas {
    /// By method, the versions in ascending order. Each is shared, so that nobody is kept waiting
    /// while somebody checks kwargs.
    methods: HashMap<Arc<str>, Vec<Arc<Declared>>>,
}

/// One version of a method.
pub(super) struct Declared {
    pub(super) declaration: Arc<Declaration>,
    schema: Compiled,
}

/// One schema, compiled and as it was declared; nothing for a method that takes any object.
pub(super) struct Compiled(Option<(boon::Schemas, SchemaIndex, Json)>);

/// A schema is whole in itself: nothing is loaded from a file or the network.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("a kwargs schema cannot refer to {url}").into())
    }
}

impl Schemas {
    /// Of what is declared at the start, and of what was declared before and is kept in the state.
    pub(super) fn compile<'a>(
        state: &'a State,
        attached: impl Iterator<Item = &'a Arc<Declaration>>,
    ) -> Result<Self, StartError> {
        let mut latest: BTreeMap<_, _> = state.declarations().map(named).collect();
        for (name, declaration) in attached.map(named) {
            // The state keeps its own when the same is declared again.
            let known = latest.entry(name).or_insert(declaration);
            if !is_same(known, declaration) {
                *known = declaration;
            }
        }
        let mut schemas = Self::default();
        for declaration in latest.into_values() {
            let schema = Compiled::new(declaration).map_err(|message| StartError::Schema {
                method: declaration.name.to_string(),
                message,
            })?;
            schemas.declare(Declared::new(declaration.clone(), schema));
        }
        Ok(schemas)
    }

    /// Adds a method, or puts it in the place of the same version.
    pub(super) fn declare(&mut self, declared: Declared) {
        let Declaration { name, version, .. } = &*declared.declaration;
        let versions = self.methods.entry(name.clone()).or_default();
        versions.retain(|known| known.declaration.version != *version);
        let place = versions.partition_point(|known| known.declaration.version < *version);
        versions.insert(place, Arc::new(declared));
    }

    /// How many methods and versions would be declared with these.
    pub(super) fn count_with(&self, declarations: &[Declaration]) -> usize {
        let is_new = |new: &&Declaration| self.find(&new.name, Some(new.version)).is_none();
        let known: usize = self.methods.values().map(Vec::len).sum();
        known + declarations.iter().filter(is_new).count()
    }

    /// What is declared of a method: of this version, else of the highest.
    pub(super) fn find(&self, method: &str, version: Option<u32>) -> Option<&Arc<Declared>> {
        let mut versions = self.methods.get(method)?.iter();
        versions.rfind(|known| version.is_none_or(|wanted| wanted == known.declaration.version))
    }
}

impl Declared {
    pub(super) fn new(declaration: Arc<Declaration>, schema: Compiled) -> Self {
        Self {
            declaration,
            schema,
        }
    }

    /// Everything in the kwargs that is not what the method's schema asks for.
    pub(super) fn faults(&self, kwargs: &Json) -> Vec<Fault> {
        let Compiled(Some((schemas, index, declared))) = &self.schema else {
            return Vec::new();
        };
        let value: Value = match kwargs.parse() {
            Ok(value) => value,
            Err(error) => return vec![Fault::new("/kwargs", error.to_string())],
        };
        match schemas.validate(&value, *index) {
            Ok(()) => Vec::new(),
            Err(error) => discreet(faults(&error, declared), &self.declaration.secrets),
        }
    }
}

/// Whether both declare the same; at once where they are one.
pub(super) fn is_same(one: &Arc<Declaration>, other: &Arc<Declaration>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn named(declaration: &Arc<Declaration>) -> ((&str, u32), &Arc<Declaration>) {
    ((&declaration.name, declaration.version), declaration)
}

impl Compiled {
    pub(super) fn new(declaration: &Declaration) -> Result<Self, String> {
        let Some(schema) = &declaration.kwargs_schema else {
            return Ok(Self(None));
        };
        compile(schema).map(|(schemas, index)| Self(Some((schemas, index, schema.clone()))))
    }
}

/// Faults may cite the value that they are about, which must not be if it is a secret.
fn discreet(mut faults: Vec<Fault>, secrets: &[Arc<str>]) -> Vec<Fault> {
    let pointer = |place: &Arc<str>| match place.starts_with('/') {
        true => format!("/kwargs{place}"),
        false => format!("/kwargs/{}", place.replace('~', "~0").replace('/', "~1")),
    };
    let secrets: Vec<_> = secrets.iter().map(pointer).collect();
    for fault in &mut faults {
        let is_within = |secret: &String| {
            let rest = fault.pointer.strip_prefix(secret.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if secrets.iter().any(is_within) {
            fault.message = "is not what the method's schema asks for".to_owned();
        }
    }
    faults
}

/// Checks that a text is a JSON Schema and whole in itself. The error says what is wrong.
pub fn check_schema(schema: &Json) -> Result<(), String> {
    compile(schema).map(drop)
}

fn compile(schema: &Json) -> Result<(boon::Schemas, SchemaIndex), String> {
    let schema: Value = schema.parse().map_err(|error| error.to_string())?;
    let mut schemas = boon::Schemas::new();
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NoLoader));
    compiler
        .add_resource(ADDRESS, schema)
        .map_err(|error| error.to_string())?;
    match compiler.compile(ADDRESS, &mut schemas) {
        Ok(index) => Ok((schemas, index)),
        Err(CompileError::ValidationError { src, .. }) => Err(told(&src)),
        Err(error) => Err(error.to_string()),
    }
}

/// What is wrong with a schema, without the branches.
fn told(error: &ValidationError<'_, '_>) -> String {
    if error.causes.is_empty() {
        return format!("{} {}", error.instance_location, error.kind);
    }
    let causes: Vec<String> = error.causes.iter().map(told).collect();
    causes.join(", or ")
}

/// The faults at the leaves, as many as are told; the branches only say that something below is
/// wrong.
fn faults(error: &ValidationError<'_, '_>, schema: &Json) -> Vec<Fault> {
    let schema: Option<Value> = schema.parse().ok();
    let mut faults = Vec::new();
    add_faults(error, schema.as_ref(), &mut faults);
    faults
}

fn add_faults(error: &ValidationError<'_, '_>, schema: Option<&Value>, faults: &mut Vec<Fault>) {
    if faults.len() == Failure::MOST_TOLD {
        return;
    }
    if error.causes.is_empty() {
        let pointer = format!("/kwargs{}", error.instance_location);
        let message = own_message(error, schema).unwrap_or_else(|| error.kind.to_string());
        return faults.push(Fault::new(pointer, message));
    }
    for cause in &error.causes {
        add_faults(cause, schema, faults);
    }
}

/// What the part of the schema that refused a value says itself. It is found where the address
/// needs no escaping.
fn own_message(error: &ValidationError<'_, '_>, schema: Option<&Value>) -> Option<String> {
    let pointer = error.schema_url.strip_prefix(ADDRESS)?.strip_prefix('#')?;
    let message = schema?.pointer(pointer)?.get(MESSAGE_KEYWORD)?.as_str()?;
    Some(message.to_owned())
}
