//! The load program: starts the release daemon and the yardsticks, drives both with the same
//! client, and prints one JSON line a measure. It judges the daemon only through its ratio to a
//! yardstick of the same run, because machines differ and are noisy.
//!
//! ```text
//! cargo bench                     every measure
//! cargo bench -- T1 T2            these
//! cargo bench -- T1 --rounds 7    more rounds than 3
//! ```
//!
//! What is under load runs in a process of its own, the yardsticks too: this program starts itself
//! again for them, so that the processor time of each can be told apart. The client is one thread.
//! Rounds alternate between yardstick and daemon, the ratio is taken round by round, and the median
//! counts. The exit code is 1 if a measure misses its target.
//!
//! | module | what it owns |
//! | --- | --- |
//! | `arguments` | the command line |
//! | `websocket` | one connection of the client: frames, nothing of JSON |
//! | `closed_loop` | so many connections, so many calls in flight on each |
//! | `scripts` | what is asked, and when it counts as done |
//! | `process` | a server in a process of its own: ready, processor time, memory, end |
//! | `daemon` | the daemon on a fresh folder |
//! | `yardstick` | `echo`, `flush`, `broadcast` |
//! | `rounds` | repeating, and the middle of what was seen |
//! | `report` | the JSON line |
//! | `measure` | one file for each thing that is measured |

mod arguments;
mod closed_loop;
mod daemon;
mod measure;
mod process;
mod report;
mod rounds;
mod scripts;
mod websocket;
mod yardstick;

use std::process::ExitCode;

use anyhow::Context;

use crate::arguments::{Arguments, Task};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// False if a measure missed its target.
fn run() -> anyhow::Result<bool> {
    match Arguments::parse(std::env::args().skip(1))?.0 {
        Task::Nothing => Ok(true),
        Task::Serve(yardstick) => yardstick.serve().map(|()| true),
        Task::Measure(plan) => {
            raise_file_limit().context("the limit of open files")?;
            // One thread: more would take from the servers what is to be measured.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(measure::run_all(&plan))
        }
    }
}

/// A thousand subscribers need more than the usual 1,024 files; the servers inherit the limit.
fn raise_file_limit() -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(())
}
