//! What is declared of each method: its kind, and the JSON Schema that its kwargs are checked
//! against, all faults with their pointers. Declarations outlive the executors that made them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use boon::{CompileError, Compiler, SchemaIndex, UrlLoader, ValidationError};
use opstead_core::{Declaration, Fault, Json, MethodKind, State};
use serde_json::Value;

use super::StartError;
use super::executor::Executor;

/// Where compiled schemas live. No such address is ever fetched.
const ADDRESS: &str = "opstead:///kwargs";

/// All declared methods, with their compiled schemas.
#[derive(Default)]
pub(super) struct Schemas {
    /// By method, the versions in ascending order.
    methods: HashMap<Arc<str>, Vec<Declared>>,
}

/// One version of a method.
struct Declared {
    version: u32,
    kind: MethodKind,
    schema: Compiled,
}

/// One schema; nothing for a method that takes any object.
struct Compiled(Option<(boon::Schemas, SchemaIndex)>);

/// A schema is whole in itself: nothing is loaded from a file or the network.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("a kwargs schema cannot refer to {url}").into())
    }
}

impl Schemas {
    /// Of what these executors declare, and of what was declared before and is kept in the state.
    pub(super) fn compile(
        state: &State,
        executors: &[Arc<dyn Executor>],
    ) -> Result<Self, StartError> {
        // The executors come last, as they replace what was declared under the same version.
        let declared = state.declarations().cloned().chain(
            executors
                .iter()
                .flat_map(|executor| executor.declarations()),
        );
        let latest: BTreeMap<_, _> = declared
            .map(|method| ((method.name.clone(), method.version), method))
            .collect();
        let mut schemas = Self::default();
        for ((name, version), declaration) in latest {
            let schema = Compiled::new(&declaration).map_err(|message| StartError::Schema {
                method: name.to_string(),
                message,
            })?;
            schemas.methods.entry(name).or_default().push(Declared {
                version,
                kind: declaration.kind,
                schema,
            });
        }
        Ok(schemas)
    }

    /// Whether a method is declared, and as what in its highest version.
    pub(super) fn kind(&self, method: &str) -> Option<MethodKind> {
        self.methods.get(method)?.last().map(|highest| highest.kind)
    }

    /// Checks kwargs. A method or version that nobody declares is left to the core to refuse.
    pub(super) fn check(
        &self,
        method: &str,
        version: Option<u32>,
        kwargs: &Json,
    ) -> Result<(), Vec<Fault>> {
        let versions = self
            .methods
            .get(method)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let wanted = |known: &&Declared| version.is_none_or(|wanted| wanted == known.version);
        match versions.iter().rfind(wanted).map(|found| &found.schema) {
            Some(Compiled(Some((schemas, index)))) => {
                let value: Value = kwargs
                    .parse()
                    .map_err(|error| vec![Fault::new("/kwargs", error.to_string())])?;
                schemas
                    .validate(&value, *index)
                    .map_err(|error| faults(&error))
            }
            _ => Ok(()),
        }
    }
}

impl Compiled {
    fn new(declaration: &Declaration) -> Result<Self, String> {
        let Some(schema) = &declaration.kwargs_schema else {
            return Ok(Self(None));
        };
        compile(schema).map(|compiled| Self(Some(compiled)))
    }
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

/// The faults at the leaves; the branches only say that something below is wrong.
fn faults(error: &ValidationError<'_, '_>) -> Vec<Fault> {
    if error.causes.is_empty() {
        let pointer = format!("/kwargs{}", error.instance_location);
        return vec![Fault::new(pointer, error.kind.to_string())];
    }
    error.causes.iter().flat_map(faults).collect()
}
