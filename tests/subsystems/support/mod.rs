//! The engine's side of an attempt, which remembers what it is told, and a storage in a folder of
//! its own.

use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use opstead::engine::executor::{
    Executor, Identity, Objects, Past, QueryContext, Task, TaskContext,
};
use opstead::subsystems::storage::{Storage, StorageConfig};
use opstead_core::{Cursor, Failure, InfoUpdate, Json, Time};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) mod disk;
pub(crate) mod qemu;

/// Our own program, built by cargo for these tests; it guards the programs that subsystems run.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_opstead");

pub(crate) const MIB: u64 = 1 << 20;

type OnProgress = Box<dyn Fn(&Value) + Send + Sync>;

/// One attempt, as a test sets it up and reads it afterwards.
pub(crate) struct Attempt {
    method_name: String,
    identity: Identity,
    number: u32,
    updates: Mutex<Vec<InfoUpdate>>,
    on_progress: OnProgress,
    /// None: there must be none.
    errors: Option<Mutex<Vec<Failure>>>,
    pub(crate) cancel: CancellationToken,
    /// Fires when the executor waits for the cancellation.
    pub(crate) awaited: CancellationToken,
}

impl Attempt {
    pub(crate) fn of(method_name: &str) -> Self {
        Self {
            method_name: method_name.to_owned(),
            identity: Identity {
                log_id: "log".into(),
                sequence: 1,
                operation_id: "operation/1".into(),
                registered_at: Time(1_800_000_000_000),
            },
            number: 1,
            updates: Mutex::default(),
            on_progress: Box::new(|_| {}),
            errors: None,
            cancel: CancellationToken::new(),
            awaited: CancellationToken::new(),
        }
    }

    pub(crate) fn operation(mut self, id: &str) -> Self {
        self.identity.operation_id = id.into();
        self
    }

    /// Of an operation that was registered at that place.
    pub(crate) fn registered_at(mut self, sequence: Cursor) -> Self {
        self.identity.sequence = sequence;
        self
    }

    /// Of an operation that was registered later, at the same place in a log that was put back.
    pub(crate) fn registered_later(mut self) -> Self {
        self.identity.registered_at.0 += 1;
        self
    }

    /// Of an operation that was registered in that log.
    pub(crate) fn logged_in(mut self, log_id: &str) -> Self {
        self.identity.log_id = log_id.into();
        self
    }

    pub(crate) fn number(mut self, number: u32) -> Self {
        self.number = number;
        self
    }

    /// Calls back with the `extraData` of each report, on the thread that reports.
    pub(crate) fn on_progress(mut self, callback: impl Fn(&Value) + Send + Sync + 'static) -> Self {
        self.on_progress = Box::new(callback);
        self
    }

    /// Takes non-fatal errors, which are else a defect.
    pub(crate) fn taking_errors(mut self) -> Self {
        self.errors = Some(Mutex::default());
        self
    }

    /// The non-fatal errors.
    pub(crate) fn errors(&self) -> Vec<Failure> {
        let errors = self.errors.as_ref().expect("taking errors");
        errors.lock().expect("errors").clone()
    }

    pub(crate) async fn run(
        self: &Arc<Self>,
        executor: &dyn Executor,
        kwargs: Value,
    ) -> Result<Value, Failure> {
        let context = TaskContext::new(self.clone());
        let outcome = executor.execute(context, json_text(&kwargs)).await;
        outcome.map(|result| result.parse().expect("result"))
    }

    /// Reverts the operation, whose attempts came to this.
    pub(crate) async fn revert(
        self: &Arc<Self>,
        executor: &dyn Executor,
        kwargs: Value,
        outcome: Result<Value, Failure>,
    ) -> Result<(), Failure> {
        let context = TaskContext::new(self.clone());
        let past = Past {
            outcome: outcome.map(|result| json_text(&result)),
            failures: Vec::new(),
        };
        executor.revert(context, json_text(&kwargs), past).await
    }

    pub(crate) fn updates(&self) -> Vec<InfoUpdate> {
        self.updates.lock().expect("updates").clone()
    }

    pub(crate) fn extra_data(&self) -> Vec<Value> {
        self.updates().iter().map(extra_data).collect()
    }

    pub(crate) fn last_image_state(&self) -> String {
        let last = self.extra_data().pop().expect("a report");
        last["imageState"].as_str().expect("imageState").to_owned()
    }
}

impl Task for Attempt {
    fn method_name(&self) -> &str {
        &self.method_name
    }

    fn operation_id(&self) -> &str {
        &self.identity.operation_id
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn attempt(&self) -> u32 {
        self.number
    }

    fn progress(&self, update: InfoUpdate) {
        (self.on_progress)(&extra_data(&update));
        self.updates.lock().expect("updates").push(update);
    }

    fn non_fatal_error(&self, failure: Failure) {
        match &self.errors {
            Some(errors) => errors.lock().expect("errors").push(failure),
            None => panic!("unexpected: {failure:?}"),
        }
    }

    fn is_canceled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn canceled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.awaited.cancel();
            self.cancel.cancelled().await;
        })
    }
}

/// The objects of a daemon that has said one thing about one image.
pub(crate) struct OneObject(pub(crate) &'static str, pub(crate) &'static str);

impl Objects for OneObject {
    fn operation_info(&self, alert_name: &str) -> Option<Json> {
        (alert_name == self.0).then(|| Json::from_text(self.1).expect("info"))
    }
}

/// A storage on a pool of its own.
pub(crate) struct Site {
    pub(crate) root: TempDir,
    pub(crate) config: StorageConfig,
    pub(crate) storage: Arc<Storage>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With a folder `imports` to import from, and what `change` makes of the configuration.
    pub(crate) fn with(change: impl FnOnce(&mut StorageConfig)) -> Self {
        let root = tempfile::tempdir().expect("folder");
        let imports = root.path().join("imports");
        fs::create_dir(&imports).expect("imports");
        let mut config = StorageConfig::new(root.path().join("pool"), PROGRAM);
        config.import_folders = vec![imports];
        change(&mut config);
        let storage = Arc::new(Storage::open(config.clone()).expect("open"));
        Self {
            root,
            config,
            storage,
        }
    }

    /// Closes the pool and opens it again, as a restart does. `between` sees it closed.
    pub(crate) fn reopen(self, between: impl FnOnce(&Path)) -> Self {
        let Self {
            root,
            config,
            storage,
        } = self;
        drop(storage);
        between(&config.pool);
        let storage = Arc::new(Storage::open(config.clone()).expect("open again"));
        Self {
            root,
            config,
            storage,
        }
    }

    pub(crate) fn path(&self, image: &str) -> PathBuf {
        self.config.pool.join(image)
    }

    pub(crate) fn imports(&self) -> PathBuf {
        self.root.path().join("imports")
    }

    /// Runs a first attempt.
    pub(crate) async fn run(&self, method: &str, kwargs: Value) -> Result<Value, Failure> {
        let attempt = Arc::new(Attempt::of(method));
        attempt.run(&*self.storage, kwargs).await
    }

    pub(crate) async fn info(&self, image: &str) -> Result<Value, Failure> {
        self.info_with(image, OneObject("", "null")).await
    }

    pub(crate) async fn info_with(
        &self,
        image: &str,
        objects: OneObject,
    ) -> Result<Value, Failure> {
        let query = QueryContext {
            method_name: "storage.getImageInfo".into(),
            objects: Arc::new(objects),
        };
        let kwargs = json_text(&serde_json::json!({"image": image}));
        let answer = self.storage.query(query, kwargs).await;
        answer.map(|answer| answer.parse().expect("answer"))
    }

    /// The raw images by their names, the qcow2 images and what is unfinished by their paths.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = names_in(&self.config.pool)
            .into_iter()
            .filter(|name| {
                ![".partial", ".origin", ".qcow2", ".damage", ".resize"].contains(&name.as_str())
            })
            .collect();
        for folder in [".partial", ".qcow2"] {
            let inside = names_in(&self.config.pool.join(folder));
            files.extend(inside.iter().map(|name| format!("{folder}/{name}")));
        }
        files.sort();
        files
    }

    pub(crate) fn qcow2(&self, image: &str) -> PathBuf {
        self.path(".qcow2").join(image)
    }
}

pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .expect("folder")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect()
}

/// Writes a file of 64 MiB with 12 MiB of data in three places, and holes between.
pub(crate) fn write_sparse(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(64 * MIB)?;
    for (place, first_byte) in [(0, 1), (20, 2), (50, 3)] {
        let data: Vec<u8> = (0..4 * MIB).map(|at| (at / 7) as u8 ^ first_byte).collect();
        file.write_all_at(&data, place * MIB)?;
    }
    file.sync_all()
}

pub(crate) fn allocated_bytes(path: &Path) -> u64 {
    fs::metadata(path).expect("metadata").blocks() * 512
}

pub(crate) fn reason(failure: &Failure) -> String {
    let data: Value = failure.data.as_ref().expect("data").parse().expect("data");
    assert!(data["retryable"].is_boolean(), "{data}");
    data["reason"].as_str().expect("reason").to_owned()
}

/// The code and reason of what failed.
pub(crate) fn refusal(outcome: Result<Value, Failure>) -> (i32, String) {
    let failure = outcome.expect_err("should have failed");
    (failure.code, reason(&failure))
}

pub(crate) fn is(code: i32, reason: &str) -> (i32, String) {
    (code, reason.to_owned())
}

pub(crate) fn json_text(value: &Value) -> Json {
    Json::from_value(value).expect("JSON")
}

fn extra_data(update: &InfoUpdate) -> Value {
    match &update.extra_data {
        Some(extra_data) => extra_data.parse().expect("extra data"),
        None => Value::Null,
    }
}
