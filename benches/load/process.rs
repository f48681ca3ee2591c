//! A server in a process of its own: waits until it is ready, reads what the system knows of it,
//! and ends it. Nothing outlives the load program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// What Linux counts processor time of processes in, on every architecture: a hundredth second.
const TICK: Duration = Duration::from_millis(10);

pub(crate) struct ServerProcess {
    child: Child,
    /// The first line that it wrote.
    ready_line: String,
}

impl ServerProcess {
    /// Starts it and waits for its first line.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("its output was piped")?;
        let mut server = Self {
            child,
            ready_line: String::new(),
        };
        BufReader::new(stdout).read_line(&mut server.ready_line)?;
        Ok(server)
    }

    pub(crate) fn ready_line(&self) -> &str {
        self.ready_line.trim()
    }

    /// Processor time of all its threads since it started, in user and kernel.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name before it may hold blanks and brackets; after the last bracket come the state
        // and, as 12th and 13th field, utime and stime.
        let (_, fields) = stat.rsplit_once(')').context("an unknown form of stat")?;
        let ticks = |place: usize| -> anyhow::Result<u32> {
            let field = fields.split_whitespace().nth(place);
            Ok(field.context("an unknown form of stat")?.parse()?)
        };
        Ok(TICK * (ticks(11)? + ticks(12)?))
    }

    /// Most memory that was ever resident.
    pub(crate) fn peak_memory_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    /// Memory that is resident now.
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.context("an unknown form of status")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// Asks it to end, and waits for that.
    fn terminate(&mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process has an id")?, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if self.terminate().is_err() {
            // It is gone already, or nothing more can be done.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
