//! A program that is a method: what a declaration is checked for, and what is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opstead_core::{Declaration, InfoUpdate, Json, MethodKind, Refusal};
use rustix::fs::{Access, access};

use super::SUBSYSTEM;
use super::argument::{Argument, Kwargs};
use super::declared::{Place, ProgramConfig, ProgramFault};
use super::error::ExecError;
use super::progress::ProgressPattern;
use super::schema::{self, Types};
use crate::subsystems::process::{
    ATTEMPT_VARIABLE, FOLDER_VARIABLE, GUARD_VARIABLE, OPERATION_VARIABLE, Ward,
};

/// The most characters of a name.
const NAME_CHARACTERS: usize = 64;

/// The most characters of what enters the names of resources and objects, as the core has it.
const TEMPLATE_CHARACTERS: usize = 200;

/// What is passed on of the daemon's own environment, where it is there.
const INHERITED: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR",
];

/// The variables that the subsystem sets itself.
const OWN_VARIABLES: [&str; 4] = [
    FOLDER_VARIABLE,
    OPERATION_VARIABLE,
    ATTEMPT_VARIABLE,
    GUARD_VARIABLE,
];

/// A declaration that was found good.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<Argument>,
    required: Vec<String>,
    environment: BTreeMap<OsString, OsString>,
    declaration: Arc<Declaration>,
    pub(super) progress: Option<Arc<ProgressPattern>>,
    pub(super) description: Option<Arc<str>>,
    pub(super) timeout: Option<Duration>,
    kill_after: Duration,
    pub(super) concurrency: u32,
}

/// A declaration while it is checked.
struct Check<'a> {
    config: &'a ProgramConfig,
    faults: Vec<ProgramFault>,
}

impl Program {
    /// Checks a declaration and finds the program. The error has everything that is wrong, but for
    /// the schemas of single kwargs, which whoever checks kwargs against them knows to judge.
    pub fn new(config: &ProgramConfig) -> Result<Self, Vec<ProgramFault>> {
        let mut check = Check {
            config,
            faults: Vec::new(),
        };
        check.names();
        check.templates();
        check.environment();
        let path = check.program();
        let arguments = check.arguments();
        let progress = check.progress();
        check.keywords();
        check.usage(&arguments);
        if !check.faults.is_empty() {
            return Err(check.faults);
        }
        let is_required = |name: &&String| !config.optional.contains(name);
        let required: Vec<String> = config.kwargs.keys().filter(is_required).cloned().collect();
        let schema = schema::of_kwargs(&config.kwargs, &required, &arguments);
        Ok(Self {
            declaration: Arc::new(declaration(config, &path, schema)),
            path,
            arguments,
            required,
            environment: environment(config),
            progress: progress.map(Arc::new),
            description: config.description.as_deref().map(Arc::from),
            timeout: config.timeout,
            kill_after: config.kill_after,
            concurrency: config.concurrency,
        })
    }

    /// The executor's name, which is the method's.
    pub(super) fn name(&self) -> &str {
        &self.declaration.name
    }

    pub(super) fn declaration(&self) -> &Arc<Declaration> {
        &self.declaration
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What a guard is to run for these kwargs. `marks` are variables that tell whose it is.
    pub(super) fn ward(
        &self,
        arguments: &Json,
        marks: &[(&str, &str)],
    ) -> Result<Ward<'_>, ExecError> {
        let kwargs = Kwargs::parse(arguments)?;
        if let Some(missing) = self.required.iter().find(|name| !kwargs.has(name)) {
            return Err(ExecError::InvalidKwargs(format!("{missing:?} is missing")));
        }
        let filled: Result<Vec<Option<String>>, ExecError> = self
            .arguments
            .iter()
            .map(|argument| argument.fill(&kwargs))
            .collect();
        let marks = marks
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Ok(Ward {
            path: &self.path,
            arguments: filled?.into_iter().flatten().collect(),
            environment: self.environment.clone().into_iter().chain(marks).collect(),
            kill_after: self.kill_after,
            folder: Path::new("/"),
        })
    }
}

impl Check<'_> {
    fn blame(&mut self, place: Place, message: impl Into<String>) {
        let message = message.into();
        self.faults.push(ProgramFault { place, message });
    }

    fn names(&mut self) {
        let config = self.config;
        if !is_name(&config.name) {
            self.blame(Place::Name, NAME_RULE);
        }
        for name in config.kwargs.keys().filter(|name| !is_name(name)) {
            self.blame(Place::Kwarg(name.clone()), NAME_RULE);
        }
        for (index, name) in config.optional.iter().enumerate() {
            if !config.kwargs.contains_key(name) {
                self.blame(Place::Optional(index), self.no_kwarg(name));
            }
        }
        for (index, name) in config.may_begin_with_dash.iter().enumerate() {
            if !config.kwargs.contains_key(name) {
                self.blame(Place::Dash(index), self.no_kwarg(name));
            }
        }
        if let Some(description) = &config.description {
            let update = InfoUpdate {
                description: Some(description.as_str().into()),
                ..InfoUpdate::default()
            };
            if let Err(Refusal::Invalid { faults }) = update.check() {
                for fault in faults {
                    self.blame(Place::Description, fault.message);
                }
            }
        }
    }

    /// Object and claims: names that are made of kwargs.
    fn templates(&mut self) {
        let config = self.config;
        if let Some(object) = &config.object {
            self.template(&Place::Object, object);
            if object.starts_with("task.") {
                let message = "must not begin with `task.`, which is for operations on no object";
                self.blame(Place::Object, message);
            }
        }
        for (index, claim) in config.claims.iter().enumerate() {
            let place = Place::Claim(index);
            self.template(&place, &claim.id);
            if !is_printable(&claim.kind) {
                self.blame(place, format!("`type` {PRINTABLE_RULE}"));
            }
        }
    }

    fn keywords(&mut self) {
        for (name, schema) in &self.config.kwargs {
            for keyword in schema::unknown_keywords(schema) {
                let message = schema::unknown_keyword_fault(keyword);
                self.blame(Place::Kwarg(name.clone()), message);
            }
        }
    }

    /// Checks that every kwarg is for something. Where it should have been used there may be a
    /// fault already, which says more.
    fn usage(&mut self, arguments: &[Argument]) {
        let is_of_use = |fault: &ProgramFault| {
            matches!(
                fault.place,
                Place::Argument(_) | Place::Object | Place::Claim(_)
            )
        };
        if self.faults.iter().any(is_of_use) {
            return;
        }
        let config = self.config;
        let mut used: BTreeSet<&str> = arguments.iter().flat_map(Argument::kwargs).collect();
        let ids = config.claims.iter().map(|claim| &*claim.id);
        for template in config.object.as_deref().into_iter().chain(ids) {
            used.extend(kwargs_of_template(template));
        }
        for name in config.kwargs.keys() {
            if !used.contains(name.as_str()) {
                let message = format!(
                    "no argument, object or claim uses it; write `{{{name}}}` where it belongs, \
                     or leave it out"
                );
                self.blame(Place::Kwarg(name.clone()), message);
            }
        }
    }

    fn template(&mut self, place: &Place, template: &str) {
        if !is_printable(template) {
            return self.blame(place.clone(), PRINTABLE_RULE);
        }
        for part in template.split('{').skip(1) {
            let Some((name, _)) = part.split_once('}') else {
                return self.blame(place.clone(), "a `{` is not closed");
            };
            if self.config.optional.iter().any(|optional| optional == name) {
                let message = format!("`{{{name}}}` is optional, and a name needs it always");
                self.blame(place.clone(), message);
            }
            self.takes(place, name, Types::IN_NAMES);
        }
    }

    /// Checks that there is such a kwarg and that it can be used there.
    fn takes(&mut self, place: &Place, name: &str, allowed: Types) {
        let Some(schema) = self.config.kwargs.get(name) else {
            return self.blame(place.clone(), self.no_kwarg(name));
        };
        if !Types::of(schema).is_within(allowed) {
            let message = format!(
                "`{{{name}}}` can be {allowed} here; give the kwarg such a `type`, as `type = \"string\"`"
            );
            self.blame(place.clone(), message);
        }
    }

    fn no_kwarg(&self, name: &str) -> String {
        let known: Vec<String> = self
            .config
            .kwargs
            .keys()
            .map(|name| format!("`{name}`"))
            .collect();
        match known.is_empty() {
            true => format!("there is no kwarg `{name}`; declare it under `kwargs`"),
            false => format!("there is no kwarg `{name}`, only {}", known.join(", ")),
        }
    }

    fn environment(&mut self) {
        for (name, value) in &self.config.environment {
            let message = if name.is_empty() || name.contains(['=', '\0']) {
                "a variable's name cannot be empty or hold `=` or NUL"
            } else if OWN_VARIABLES.contains(&name.as_str()) {
                "this variable is the daemon's own"
            } else if value.contains('\0') {
                "a variable cannot hold NUL"
            } else {
                continue;
            };
            self.blame(Place::Variable(name.clone()), message);
        }
    }

    /// Finds the program. What is returned after a fault is worth nothing.
    fn program(&mut self) -> PathBuf {
        let found = match self.config.argv.first() {
            Some(name) => find(name),
            None => Err("needs at least the program".to_owned()),
        };
        found.unwrap_or_else(|message| {
            self.blame(Place::Argument(0), message);
            PathBuf::new()
        })
    }

    fn arguments(&mut self) -> Vec<Argument> {
        let config = self.config;
        let dashes: BTreeSet<&str> = config
            .may_begin_with_dash
            .iter()
            .map(|name| &**name)
            .collect();
        let mut arguments = Vec::new();
        for (index, text) in config.argv.iter().enumerate().skip(1) {
            let place = Place::Argument(index);
            match Argument::parse(text, &dashes) {
                Ok(argument) => {
                    for name in argument.kwargs() {
                        self.takes(&place, name, Types::IN_ARGUMENTS);
                    }
                    arguments.push(argument);
                }
                Err(message) => self.blame(place, message),
            }
        }
        arguments
    }

    fn progress(&mut self) -> Option<ProgressPattern> {
        let pattern = self.config.progress.as_deref()?;
        ProgressPattern::parse(pattern)
            .map_err(|message| self.blame(Place::Progress, message))
            .ok()
    }
}

const NAME_RULE: &str = "a name has up to 64 letters, digits and `_`, and begins with a letter";

const PRINTABLE_RULE: &str = "must have 1 to 200 printable characters";

fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARACTERS
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The kwargs in the name of an object or a resource.
fn kwargs_of_template(template: &str) -> impl Iterator<Item = &str> {
    let parts = template.split('{').skip(1);
    parts.filter_map(|part| Some(part.split_once('}')?.0))
}

fn is_printable(text: &str) -> bool {
    (1..=TEMPLATE_CHARACTERS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The file that a program's name or path means.
fn find(name: &str) -> Result<PathBuf, String> {
    if name.starts_with('/') {
        let path = Path::new(name);
        return executable(path).map(|()| path.to_owned());
    }
    if name.is_empty() || name.contains(['/', '\0']) {
        return Err("the program must be an absolute path, or a name that is in PATH".to_owned());
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| executable(path).is_ok())
        .ok_or_else(|| {
            let folders = folders.to_string_lossy();
            format!(
                "there is no program `{name}` in PATH, which is `{folders}`; give its whole path"
            )
        })
}

fn executable(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match path.metadata() {
        Err(error) => Err(format!("the program `{shown}` cannot be used: {error}")),
        Ok(metadata) if !metadata.is_file() => Err(format!("`{shown}` is no regular file")),
        Ok(_) => access(path, Access::EXEC_OK)
            .map_err(|_| format!("`{shown}` is not executable for the daemon's user")),
    }
}

fn environment(config: &ProgramConfig) -> BTreeMap<OsString, OsString> {
    let inherited = INHERITED
        .iter()
        .filter_map(|name| Some((name.into(), env::var_os(name)?)));
    let declared = config
        .environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    inherited.chain(declared).collect()
}

fn declaration(config: &ProgramConfig, path: &Path, kwargs_schema: Json) -> Declaration {
    let summary = match &config.summary {
        Some(summary) => summary.as_str().into(),
        None => format!("Runs {}.", path.display()).into(),
    };
    Declaration {
        name: format!("{SUBSYSTEM}.{}", config.name).into(),
        version: 1,
        kind: MethodKind::Operation,
        summary,
        kwargs_schema: Some(kwargs_schema),
        object: config.object.as_deref().map(Arc::from),
        claims: config.claims.clone(),
        cancelable: true,
        on_interrupt: config.on_interrupt,
        weight: 0,
        retry: None,
        attempt_timeout_ms: None,
        holds_schedule: false,
        revertible: false,
        secrets: Vec::new(),
    }
}
