//! Rounds of the echo server and of the daemon in turn, under the same load.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Map, Value};

use crate::closed_loop::{Clients, Script};
use crate::daemon::Daemon;
use crate::process::ServerProcess;
use crate::report::{self, Usage};
use crate::rounds::{Figures, median};

/// A server and those who ask it.
pub(super) struct Side<'a, S> {
    pub(super) process: &'a ServerProcess,
    pub(super) clients: Clients<S>,
    /// Of the measured rounds.
    figures: Vec<Figures>,
    cpu: Duration,
}

/// The outcome of all rounds.
pub(super) struct Compared {
    pub(super) daemon: Figures,
    pub(super) usage: Usage,
    pub(super) yardsticks: Map<String, Value>,
    /// Requests a second, daemon over echo, round by round.
    pub(super) ratios: Vec<f64>,
}

impl Compared {
    pub(super) fn ratio(&self) -> f64 {
        median(self.ratios.clone())
    }
}

impl<'a, S: Script> Side<'a, S> {
    pub(super) fn new(process: &'a ServerProcess, clients: Clients<S>) -> Self {
        Self {
            process,
            clients,
            figures: Vec::new(),
            cpu: Duration::ZERO,
        }
    }

    /// A round that counts.
    pub(super) async fn round(&mut self, requests: usize) -> anyhow::Result<Figures> {
        let before = self.process.cpu_time()?;
        let figures = Figures::of(&self.clients.run(requests).await?);
        self.cpu += self.process.cpu_time()?.saturating_sub(before);
        self.figures.push(figures);
        Ok(figures)
    }

    pub(super) fn middle(&self) -> Figures {
        Figures::middle(&self.figures)
    }

    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Ok(Usage {
            cpu: self.cpu,
            peak_memory_bytes: self.process.peak_memory_bytes()?,
        })
    }

    /// How a JSON line shows it as a yardstick.
    pub(super) fn as_yardstick(&self) -> Value {
        report::yardstick(&self.middle(), Some(self.cpu))
    }
}

/// The requests of a round that warms up and does not count.
pub(super) fn warm_up_requests(requests: usize) -> usize {
    requests.div_ceil(4)
}

/// Warms both up, then lets them take turns.
pub(super) async fn alternate<A: Script, B: Script>(
    rounds: usize,
    requests: usize,
    mut echo: Side<'_, A>,
    mut daemon: Side<'_, B>,
) -> anyhow::Result<Compared> {
    echo.clients.run(warm_up_requests(requests)).await?;
    daemon.clients.run(warm_up_requests(requests)).await?;
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let yardstick = echo.round(requests).await?;
        let measured = daemon.round(requests).await?;
        ratios.push(measured.per_s / yardstick.per_s);
    }
    Ok(Compared {
        daemon: daemon.middle(),
        usage: daemon.usage()?,
        yardsticks: Map::from_iter([("echo".to_owned(), echo.as_yardstick())]),
        ratios,
    })
}

/// Sees that the daemon has so many operations in a state; otherwise it was not measured what
/// should be.
pub(super) async fn expect_in_state(
    daemon: &Daemon,
    state: &str,
    expected: usize,
) -> anyhow::Result<()> {
    let count = daemon.count_in_state(state).await?;
    ensure!(
        count == expected as u64,
        "{expected} operations should be {state}, {count} are"
    );
    Ok(())
}
