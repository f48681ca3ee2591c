//! The subsystem `storage`: raw and qcow2 images, which are files in one pool folder. What is qcow2
//! is the business of the program `qemu-img`; without it raw images work all the same.
//!
//! An image appears under its name only when it is whole and on disk, so there is never half an
//! image to be seen, whatever happens meanwhile. Every operation but a merge can be repeated: an
//! attempt that finds the work of an earlier attempt of the same operation finished says so and is
//! done. All
//! file work runs on blocking threads; none of it outlives the attempt it belongs to for longer
//! than one chunk.
//!
//! It decides nothing about who may work on an image when: that is what the claims are for. It
//! keeps the pool for itself, though, by a lock on the folder.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::{fs, io, panic};

use opstead_core::{Declaration, Failure, Json};
use rustix::fs::{Access, access};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::engine::executor::{Executor, Past, QueryContext, TaskContext, Undoing, Work};

mod methods;

mod arguments;

mod operations;

mod making;

mod revert;

mod merge;

mod check;

mod info;

mod job;

mod pool;

mod image;

mod header;

mod chain;

mod in_use;

mod gate;

mod partial;

mod record;

mod file_identity;

mod origin;

mod size_before;

mod damage;

mod copy;

mod throttle;

mod import;

mod qemu;

mod run;

mod error;

use gate::Gate;
use import::ImportFolders;
use job::Job;
use operations::Workshop;
use pool::Pool;
use throttle::Throttle;

/// How a storage is set up.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The folder of the images; made if it is missing.
    pub pool: PathBuf,
    /// The folders that images may be imported from; they must be there. None: no imports.
    pub import_folders: Vec<PathBuf>,
    /// How many operations run at once.
    pub capacity: u32,
    /// How fast all copies, imports and merges together may write, at least 1; none: as fast as
    /// they can.
    pub copy_bytes_per_second: Option<u64>,
    /// The program `qemu-img`: a name that is looked for in `PATH` when it is needed, or an absolute
    /// path, which must be there.
    pub qemu_img: PathBuf,
    /// Our own program, of which `guard` is a command.
    pub guard: PathBuf,
}

impl StorageConfig {
    /// A pool with four operations at once, without imports and without a limit on copying.
    pub fn new(pool: impl Into<PathBuf>, guard: impl Into<PathBuf>) -> Self {
        Self {
            pool: pool.into(),
            import_folders: Vec::new(),
            capacity: 4,
            copy_bytes_per_second: None,
            qemu_img: "qemu-img".into(),
            guard: guard.into(),
        }
    }
}

/// The subsystem on one pool.
pub struct Storage {
    workshop: Arc<Workshop>,
    capacity: u32,
}

impl Storage {
    /// Opens the pool, keeps everybody else out of it, and removes what a crash has left unfinished.
    ///
    /// Fails with `WouldBlock` when the pool is in use, with `InvalidInput` for a limit of 0 or a
    /// path to `qemu-img` that is relative or leads to no program, and with what the system says about a folder that cannot be
    /// used.
    pub fn open(config: StorageConfig) -> io::Result<Self> {
        let rate = config
            .copy_bytes_per_second
            .map(|rate| {
                NonZeroU64::new(rate).ok_or_else(|| {
                    let message = "copy_bytes_per_second must be at least 1";
                    io::Error::new(io::ErrorKind::InvalidInput, message)
                })
            })
            .transpose()?;
        check_program(&config.qemu_img)?;
        let workshop = Workshop {
            // First what makes nothing.
            import_folders: ImportFolders::open(&config.import_folders)?,
            pool: Arc::new(Pool::open(&config.pool)?),
            throttle: rate.map(Throttle::new),
            gate: Gate::default(),
            qemu_img: config.qemu_img,
            guard: config.guard,
            capacity: config.capacity,
        };
        Ok(Self {
            workshop: Arc::new(workshop),
            capacity: config.capacity,
        })
    }
}

impl Executor for Storage {
    fn name(&self) -> &str {
        methods::SUBSYSTEM
    }

    fn capacity(&self) -> u32 {
        self.capacity
    }

    fn declarations(&self) -> Vec<Arc<Declaration>> {
        methods::declarations()
    }

    fn execute(&self, task: TaskContext, arguments: Json) -> Work<'_> {
        self.attempt(task, move |workshop, job| workshop.execute(job, &arguments))
    }

    fn revert(&self, task: TaskContext, arguments: Json, _past: Past) -> Undoing<'_> {
        self.attempt(task, move |workshop, job| workshop.revert(job, &arguments))
    }

    fn query(&self, query: QueryContext, arguments: Json) -> Work<'_> {
        let workshop = self.workshop.clone();
        Box::pin(on_blocking_thread(move || {
            workshop.query(&query, &arguments)
        }))
    }
}

impl Storage {
    /// Carries an attempt out on a blocking thread.
    fn attempt<T: Send + 'static>(
        &self,
        task: TaskContext,
        work: impl FnOnce(&Workshop, &Job) -> Result<T, Failure> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + '_>> {
        let workshop = self.workshop.clone();
        Box::pin(async move {
            // A blocking thread cannot be dropped. So when this future is, the thread is told.
            let abandoned = CancellationToken::new();
            let job = Job::new(task, abandoned.clone(), Handle::current());
            let _abandon = abandoned.drop_guard();
            on_blocking_thread(move || work(&workshop, &job)).await
        })
    }
}

/// Refuses a path that leads to no program; a name is looked up when it is needed.
fn check_program(qemu_img: &Path) -> io::Result<()> {
    let fault = if qemu_img.is_absolute() {
        match fs::metadata(qemu_img) {
            Err(error) => error.to_string(),
            Ok(metadata) if !metadata.is_file() => "it is no regular file".to_owned(),
            Ok(_) => match access(qemu_img, Access::EXEC_OK) {
                Ok(()) => return Ok(()),
                Err(_) => "it is not executable for the daemon's user".to_owned(),
            },
        }
    } else if qemu_img.components().count() == 1 {
        return Ok(());
    } else {
        "it must be a name or an absolute path".to_owned()
    };
    let message = format!("qemu_img {}: {fault}", qemu_img.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Runs file work where it may block, and lets a panic of it through to whoever waits.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        // The runtime is ending and never began the work.
        Err(_) => Err(Failure::canceled()),
    }
}
