//! The subsystem `exec`: programs of the operator's own, each of them a method.
//!
//! A program is declared in the configuration, never by a caller; a caller's kwargs become single
//! arguments of it and no shell reads them. Each attempt runs under a guard, a process of its own
//! that ends everything the program started, whatever becomes of the daemon. When an attempt has
//! answered, nothing of its program is left.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `declared`, `program`, `schema` | a declaration, and the checks that make a method of it |
//! | `argument` | how a kwarg becomes an argument |
//! | `attempt` | one attempt: the program's output, its end, its cancellation |
//! | `output`, `progress` | what is kept of the output, and read from it |
//! | `error` | codes and reasons |

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opstead_core::{Declaration, Json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::unknown_method;
use crate::engine::executor::{Executor, QueryContext, TaskContext, Work};

mod declared;
pub use declared::{Place, ProgramConfig, ProgramFault};

mod program;
pub use program::Program;

mod schema;

mod argument;

mod attempt;

mod output;

mod progress;

mod error;

use super::process::{FOLDER_VARIABLE, FolderMark, end_leftovers};

const SUBSYSTEM: &str = "exec";

/// How long a killed program may take to be gone when the daemon ends.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// How the subsystem is set up.
#[derive(Clone, Debug)]
pub struct ExecConfig {
    /// Our own program, of which `guard` is a command.
    pub guard: PathBuf,
    /// The data folder, which must be there and this daemon's alone.
    pub data: PathBuf,
    /// The programs.
    pub programs: Vec<Program>,
}

/// The subsystem: an executor for each program, so that each has its own capacity.
pub struct Exec {
    programs: Vec<Program>,
    site: Arc<Site>,
}

/// What all programs of a daemon share.
struct Site {
    guard: PathBuf,
    folder: FolderMark,
    /// The attempts that run.
    running: TaskTracker,
    /// The daemon has no more time for them.
    out_of_time: CancellationToken,
}

/// The executor of one program.
struct ProgramExecutor {
    program: Program,
    site: Arc<Site>,
}

impl Exec {
    /// Ends what earlier daemons on this folder may have left running.
    ///
    /// Fails if that cannot be ended, because nobody could say what it does meanwhile.
    pub fn open(config: ExecConfig) -> io::Result<Self> {
        let folder = FolderMark::of(&config.data)?;
        end_leftovers(&[(FOLDER_VARIABLE, folder.as_str())])?;
        Ok(Self {
            programs: config.programs,
            site: Arc::new(Site {
                guard: config.guard,
                folder,
                running: TaskTracker::new(),
                out_of_time: CancellationToken::new(),
            }),
        })
    }

    /// One executor a program.
    pub fn executors(&self) -> impl Iterator<Item = Arc<dyn Executor>> {
        self.programs.iter().map(|program| {
            Arc::new(ProgramExecutor {
                program: program.clone(),
                site: self.site.clone(),
            }) as Arc<dyn Executor>
        })
    }

    /// Waits for attempts that were told to stop; those that take longer than the grace are killed.
    pub async fn end(&self, grace: Duration) {
        self.site.running.close();
        if timeout(grace, self.site.running.wait()).await.is_err() {
            self.site.out_of_time.cancel();
            // The guards go on by themselves if it takes longer.
            let _ = timeout(KILL_PATIENCE, self.site.running.wait()).await;
        }
    }
}

impl Executor for ProgramExecutor {
    fn name(&self) -> &str {
        self.program.name()
    }

    fn capacity(&self) -> u32 {
        self.program.concurrency
    }

    fn declarations(&self) -> Vec<Arc<Declaration>> {
        vec![self.program.declaration().clone()]
    }

    fn execute(&self, task: TaskContext, arguments: Json) -> Work<'_> {
        let attempt = async move {
            attempt::run(&self.program, &self.site, &task, &arguments)
                .await
                .map_err(error::ExecError::into_failure)
        };
        Box::pin(self.site.running.track_future(attempt))
    }

    fn query(&self, query: QueryContext, _arguments: Json) -> Work<'_> {
        Box::pin(async move { Err(unknown_method(&query.method_name)) })
    }
}
