//! T13: what one subscriber that never reads costs: the others in lives a second, the daemon in
//! memory. Two daemons take turns, and only one of them has such a subscriber.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::deliveries::Subscribers;
use super::lives::lives;
use crate::closed_loop::{Clients, Load};
use crate::daemon::{DURABILITY, Daemon};
use crate::report::{self, Report, Target, Usage};
use crate::rounds::{Figures, median};
use crate::scripts::{Lives, subscribe};

const SUBSCRIBERS: usize = 10;
const LOAD: Load = Load {
    connections: 1,
    in_flight: 64,
};
/// Far more bytes of alerts than the sockets of the system hold.
const LIVES: usize = 10_000;
const ALLOWED_COST: f64 = 0.05;
const ALLOWED_BYTES: f64 = (4 << 20) as f64;

/// A daemon with subscribers that read, and somebody who registers.
struct Scene {
    daemon: Daemon,
    subscribers: Subscribers,
    registrar: Clients<Lives>,
    figures: Vec<Figures>,
    cpu: Duration,
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let daemon = Daemon::start()?;
        Ok(Self {
            subscribers: Subscribers::of_daemon(&daemon, SUBSCRIBERS).await?,
            registrar: lives(&daemon, LOAD).await?,
            daemon,
            figures: Vec::new(),
            cpu: Duration::ZERO,
        })
    }

    async fn warm_up(&mut self) -> anyhow::Result<()> {
        let reading = self.subscribers.read_lives(LIVES);
        self.registrar.run(LIVES).await?;
        reading.finish(&mut self.subscribers).await?;
        Ok(())
    }

    async fn round(&mut self) -> anyhow::Result<f64> {
        let before = self.daemon.process.cpu_time()?;
        let reading = self.subscribers.read_lives(LIVES);
        let figures = Figures::of(&self.registrar.run(LIVES).await?);
        reading.finish(&mut self.subscribers).await?;
        self.cpu += self.daemon.process.cpu_time()?.saturating_sub(before);
        self.figures.push(figures);
        Ok(figures.per_s)
    }

    fn as_yardstick(&self) -> anyhow::Result<Value> {
        let mut shown = report::yardstick(&Figures::middle(&self.figures), Some(self.cpu));
        shown["server_peak_memory_bytes"] = self.daemon.process.peak_memory_bytes()?.into();
        Ok(shown)
    }
}

pub(super) async fn run(rounds: usize) -> anyhow::Result<Report> {
    let mut without = Scene::new().await?;
    let mut with = Scene::new().await?;
    without.warm_up().await?;
    with.warm_up().await?;
    let mut costs = Vec::new();
    for _ in 0..rounds {
        let undisturbed = without.round().await?;
        // Anew for each round: who takes nothing for long is disconnected.
        let mut frozen = with.daemon.connect().await?;
        subscribe(&mut frozen, "*").await?;
        costs.push(1.0 - with.round().await? / undisturbed);
        drop(frozen);
    }
    let peak = with.daemon.process.peak_memory_bytes()?;
    let more = peak.saturating_sub(without.daemon.process.peak_memory_bytes()?);
    let memory_ratio = more as f64 / ALLOWED_BYTES;
    let cost = median(costs.clone());
    Ok(Report {
        parameters: json!({
            "subscribers": SUBSCRIBERS,
            "lives_in_flight": LOAD.in_flight,
            "cost_to_others": report::rounded(cost),
            "memory_bytes": more,
        }),
        durability: DURABILITY,
        figures: Figures::middle(&with.figures),
        usage: Usage {
            cpu: with.cpu,
            peak_memory_bytes: peak,
        },
        yardsticks: Map::from_iter([("without".to_owned(), without.as_yardstick()?)]),
        ratio_of: "the worse of cost_to_others / 0.05 and memory_bytes / 4 MiB",
        ratio: f64::max(cost / ALLOWED_COST, memory_ratio),
        ratios: costs.iter().map(|cost| cost / ALLOWED_COST).collect(),
        target: Target::AtMost(1.0),
    })
}
