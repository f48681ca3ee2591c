//! Programs under test: a shell script as a declared program, on a data folder of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opstead::engine::executor::Executor;
use opstead::subsystems::exec::{Exec, ExecConfig, Program, ProgramConfig};
use opstead_core::{Failure, OnInterrupt};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Attempt;

/// A subsystem with one program, `exec.run`.
pub(crate) struct Workplace {
    pub(crate) exec: Exec,
    _data: TempDir,
}

/// A declaration of `exec.run` with string kwargs of these names, and nothing else.
pub(crate) fn declared(argv: &[&str], kwargs: &[&str]) -> ProgramConfig {
    let schema = |name: &&str| ((*name).to_owned(), json!({"type": "string"}));
    ProgramConfig {
        name: "run".to_owned(),
        summary: None,
        argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        kwargs: kwargs.iter().map(schema).collect(),
        optional: Vec::new(),
        may_begin_with_dash: Vec::new(),
        object: None,
        claims: Vec::new(),
        on_interrupt: OnInterrupt::Fail,
        timeout: None,
        // Who ignores SIGTERM is not waited for in vain.
        kill_after: Duration::from_secs(300),
        concurrency: 1,
        progress: None,
        description: None,
        environment: BTreeMap::new(),
    }
}

/// A shell script that is given these kwargs as `$1` and so on.
pub(crate) fn script(script: &str, kwargs: &[&str]) -> ProgramConfig {
    let places: Vec<String> = kwargs.iter().map(|name| format!("{{{name}}}")).collect();
    let script = script.replace('{', "{{").replace('}', "}}");
    let mut argv = vec!["sh", "-c", &script, "sh"];
    argv.extend(places.iter().map(String::as_str));
    declared(&argv, kwargs)
}

impl Workplace {
    pub(crate) fn new(config: &ProgramConfig) -> Self {
        let data = tempfile::tempdir().unwrap();
        let program = Program::new(config).unwrap_or_else(|faults| panic!("{faults:?}"));
        let exec = open(&data, vec![program]);
        Self { exec, _data: data }
    }

    pub(crate) fn executor(&self) -> Arc<dyn Executor> {
        self.exec.executors().next().unwrap()
    }

    /// Runs a first attempt.
    pub(crate) async fn run(&self, kwargs: Value) -> Result<Value, Failure> {
        let attempt = Arc::new(Attempt::of("exec.run"));
        attempt.run(&*self.executor(), kwargs).await
    }

    /// Runs an attempt beside the test.
    pub(crate) fn begin(
        &self,
        attempt: &Arc<Attempt>,
        kwargs: Value,
    ) -> tokio::task::JoinHandle<Result<Value, Failure>> {
        let (attempt, executor) = (attempt.clone(), self.executor());
        tokio::spawn(async move { attempt.run(&*executor, kwargs).await })
    }
}

/// A subsystem on a data folder.
pub(crate) fn open(data: &TempDir, programs: Vec<Program>) -> Exec {
    let config = ExecConfig {
        guard: env!("CARGO_BIN_EXE_opstead").into(),
        data: data.path().to_owned(),
        programs,
    };
    Exec::open(config).unwrap()
}

/// `data` of a failure.
pub(crate) fn data(failure: &Failure) -> Value {
    failure.data.as_ref().unwrap().parse().unwrap()
}
