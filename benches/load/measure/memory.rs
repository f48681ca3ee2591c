//! T10: what an open operation costs in memory: how much more is resident after many more of them.

use serde_json::{Map, json};

use super::compare::expect_in_state;
use super::registrations::{READ, registrations};
use crate::closed_loop::Load;
use crate::daemon::{DURABILITY, Daemon};
use crate::report::{Report, Target, Usage};
use crate::rounds::Figures;
use crate::scripts::KWARGS_BYTES;

const LOAD: Load = Load {
    connections: 16,
    in_flight: 16,
};
/// Registered before the first look, so that what exists once is there.
const BEFORE: usize = 20_000;
const OPERATIONS: usize = 200_000;
const TARGET_BYTES: f64 = 1024.0;

pub(super) async fn run() -> anyhow::Result<Report> {
    let daemon = Daemon::start()?;
    let mut clients = registrations(&daemon, LOAD, READ).await?;
    clients.run(BEFORE).await?;
    let (memory, cpu) = (daemon.process.memory_bytes()?, daemon.process.cpu_time()?);
    let round = clients.run(OPERATIONS).await?;
    let more = daemon.process.memory_bytes()?.saturating_sub(memory);
    let usage = Usage {
        cpu: daemon.process.cpu_time()?.saturating_sub(cpu),
        peak_memory_bytes: daemon.process.peak_memory_bytes()?,
    };
    expect_in_state(&daemon, "waiting", BEFORE + OPERATIONS).await?;
    let each = more as f64 / OPERATIONS as f64;
    Ok(Report {
        parameters: json!({
            "kwargs_bytes": KWARGS_BYTES,
            "operations_before": BEFORE,
            "memory_before_bytes": memory,
            "memory_each_bytes": each.round(),
        }),
        durability: DURABILITY,
        figures: Figures::of(&round),
        usage,
        yardsticks: Map::new(),
        ratio_of: "memory_each_bytes / 1,024",
        ratio: each / TARGET_BYTES,
        ratios: vec![each / TARGET_BYTES],
        target: Target::AtMost(1.0),
    })
}
