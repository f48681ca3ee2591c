//! The programs in the configuration file: `[exec.<method>]`, and where in the file something is
//! wrong with them.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::time::Duration;

use opstead_core::{ClaimOperation, ClaimTemplate, Json, OnInterrupt};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::values::count;
use crate::engine::check_schema;
use crate::subsystems::exec::{Place, Program, ProgramConfig, ProgramFault};

/// How long a program has after SIGTERM, if nothing is said.
const KILL_AFTER: Duration = Duration::from_secs(10);

/// Programs by their methods, without the subsystem.
pub(super) type ExecSection = BTreeMap<Spanned<String>, ProgramSection>;

/// One program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramSection {
    /// One sentence for people.
    pub(super) summary: Option<String>,
    /// The program and its arguments, with `{name}` for kwargs.
    pub(super) argv: Spanned<Vec<Spanned<String>>>,
    /// The JSON Schema of each kwarg.
    #[serde(default)]
    pub(super) kwargs: BTreeMap<Spanned<String>, toml::Table>,
    /// Kwargs that may be left out.
    #[serde(default)]
    pub(super) optional: Vec<Spanned<String>>,
    /// Kwargs that may begin an argument with `-`.
    #[serde(default)]
    pub(super) may_begin_with_dash: Vec<Spanned<String>>,
    /// The object, as `Repository.{repository}`.
    pub(super) object: Option<Spanned<String>>,
    /// What each operation claims.
    #[serde(default)]
    pub(super) claims: Vec<Spanned<ClaimSection>>,
    /// What becomes of an operation whose daemon ends: `fail` if left out.
    #[serde(default)]
    pub(super) on_interrupt: OnInterrupt,
    /// How long an attempt may take.
    #[serde(default, deserialize_with = "count")]
    pub(super) timeout_ms: Option<NonZeroU64>,
    /// How long the program has after SIGTERM.
    pub(super) kill_after_ms: Option<u64>,
    /// How many of it run at once: 1 if left out.
    #[serde(default, deserialize_with = "count")]
    pub(super) concurrency: Option<NonZeroU32>,
    /// A regular expression that reads progress from a line of output.
    pub(super) progress: Option<Spanned<String>>,
    /// The word for what it does.
    pub(super) description: Option<Spanned<String>>,
    /// Further variables of its environment.
    #[serde(default)]
    pub(super) environment: BTreeMap<Spanned<String>, String>,
}

/// One claim.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimSection {
    /// The type of resource.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Which resource, with `{name}` for kwargs.
    pub(super) id: String,
    /// `create`, `read`, `update` or `delete`.
    pub(super) operation: ClaimOperation,
}

/// Something wrong in a file.
pub(super) struct Fault {
    /// The byte at which it begins.
    at: usize,
    /// What is wrong and what is allowed.
    message: String,
}

/// Checks every program and finds it. The error has all that is wrong.
pub(super) fn programs(section: &ExecSection) -> Result<Vec<Program>, Vec<Fault>> {
    let mut programs = Vec::new();
    let mut faults = Vec::new();
    for (name, section) in section {
        match program(name, section) {
            Ok(program) => programs.push(program),
            Err(wrong) => faults.extend(wrong),
        }
    }
    faults.sort_by_key(|fault| fault.at);
    match faults.is_empty() {
        true => Ok(programs),
        false => Err(faults),
    }
}

fn program(name: &Spanned<String>, section: &ProgramSection) -> Result<Program, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut kwargs = BTreeMap::new();
    for (kwarg, schema) in &section.kwargs {
        let checked = to_json(schema.iter()).and_then(|schema| {
            let text = Json::from_value(&schema).map_err(|error| error.to_string())?;
            check_schema(&text).map(|()| schema)
        });
        let schema = checked.unwrap_or_else(|message| {
            let place = Place::Kwarg(kwarg.get_ref().clone());
            faults.push(ProgramFault { place, message });
            Value::Null
        });
        kwargs.insert(kwarg.get_ref().clone(), schema);
    }
    let program = Program::new(&section.declared(name.get_ref(), kwargs));
    if let Err(more) = &program {
        // What follows from a schema that is none is not worth telling.
        let is_news = |fault: &&ProgramFault| faults.is_empty() || fault.place == Place::Name;
        let news: Vec<ProgramFault> = more.iter().filter(is_news).cloned().collect();
        faults.extend(news);
    }
    let located = |fault: ProgramFault| section.locate(name, fault);
    match program {
        Ok(program) if faults.is_empty() => Ok(program),
        _ => Err(faults.into_iter().map(located).collect()),
    }
}

impl Fault {
    /// What is wrong, with its place in the file's text.
    pub(super) fn told(&self, text: &str) -> String {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let in_line = before.rsplit('\n').next().unwrap_or_default();
        let column = in_line.chars().count() + 1;
        format!("line {line}, column {column}: {}", self.message)
    }
}

impl ProgramSection {
    fn declared(&self, name: &str, kwargs: BTreeMap<String, Value>) -> ProgramConfig {
        let texts = |texts: &[Spanned<String>]| texts.iter().map(text).collect();
        let milliseconds = |time: NonZeroU64| Duration::from_millis(time.get());
        ProgramConfig {
            name: name.to_owned(),
            summary: self.summary.clone(),
            argv: texts(self.argv.get_ref()),
            kwargs,
            optional: texts(&self.optional),
            may_begin_with_dash: texts(&self.may_begin_with_dash),
            object: self.object.as_ref().map(text),
            claims: self
                .claims
                .iter()
                .map(|claim| claim.get_ref().template())
                .collect(),
            on_interrupt: self.on_interrupt,
            timeout: self.timeout_ms.map(milliseconds),
            kill_after: self.kill_after_ms.map_or(KILL_AFTER, Duration::from_millis),
            concurrency: self.concurrency.map_or(1, NonZeroU32::get),
            progress: self.progress.as_ref().map(text),
            description: self.description.as_ref().map(text),
            environment: self
                .environment
                .iter()
                .map(|(name, value)| (text(name), value.clone()))
                .collect(),
        }
    }

    /// Finds what is wrong in the file.
    fn locate(&self, name: &Spanned<String>, fault: ProgramFault) -> Fault {
        let entry = |list: &[Spanned<String>], index: usize| list.get(index).map(Spanned::span);
        let (member, span) = match &fault.place {
            Place::Name => ("", None),
            Place::Argument(index) => {
                let span = entry(self.argv.get_ref(), *index);
                ("argv", span.or(Some(self.argv.span())))
            }
            Place::Kwarg(kwarg) => ("kwargs", key(&self.kwargs, kwarg)),
            Place::Optional(index) => ("optional", entry(&self.optional, *index)),
            Place::Dash(index) => {
                let span = entry(&self.may_begin_with_dash, *index);
                ("may_begin_with_dash", span)
            }
            Place::Object => ("object", self.object.as_ref().map(Spanned::span)),
            Place::Claim(index) => ("claims", self.claims.get(*index).map(Spanned::span)),
            Place::Progress => ("progress", self.progress.as_ref().map(Spanned::span)),
            Place::Description => ("description", self.description.as_ref().map(Spanned::span)),
            Place::Variable(variable) => ("environment", key(&self.environment, variable)),
        };
        let dot = if member.is_empty() { "" } else { "." };
        let sub_member = match &fault.place {
            Place::Kwarg(sub) | Place::Variable(sub) => format!(".{sub}"),
            _ => String::new(),
        };
        let path = format!("exec.{}{dot}{member}{sub_member}", name.get_ref());
        Fault {
            at: span.unwrap_or_else(|| name.span()).start,
            message: format!("{path}: {}", fault.message),
        }
    }
}

impl ClaimSection {
    fn template(&self) -> ClaimTemplate {
        ClaimTemplate {
            kind: self.kind.as_str().into(),
            id: self.id.as_str().into(),
            operation: self.operation,
        }
    }
}

fn text(spanned: &Spanned<String>) -> String {
    spanned.get_ref().clone()
}

/// Where a key stands.
fn key<T>(table: &BTreeMap<Spanned<String>, T>, name: &str) -> Option<Range<usize>> {
    let mut keys = table.keys();
    keys.find(|key| key.get_ref() == name).map(Spanned::span)
}

/// A table as the JSON object that it stands for.
fn to_json<'a>(
    table: impl Iterator<Item = (&'a String, &'a toml::Value)>,
) -> Result<Value, String> {
    table
        .map(|(name, value)| Ok((name.clone(), value_to_json(value)?)))
        .collect::<Result<serde_json::Map<String, Value>, String>>()
        .map(Value::Object)
}

fn value_to_json(value: &toml::Value) -> Result<Value, String> {
    match value {
        toml::Value::String(text) => Ok(text.as_str().into()),
        toml::Value::Integer(number) => Ok((*number).into()),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)
            .map(Value::Number)
            .ok_or_else(|| format!("{number} is no number of JSON")),
        toml::Value::Boolean(value) => Ok((*value).into()),
        toml::Value::Datetime(moment) => Err(format!(
            "{moment} is no value of JSON; write it as a string"
        )),
        toml::Value::Array(values) => values.iter().map(value_to_json).collect(),
        toml::Value::Table(table) => to_json(table.iter()),
    }
}
