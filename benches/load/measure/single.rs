//! T2 and T5: how long one registration, and one whole life, takes when nobody else asks. Measured
//! against what the disk and the wire take at least: flushes and echoes, one after another.

use serde_json::{Map, json};

use super::compare::Side;
use super::lives::lives;
use super::registrations::{READ, echoes, registrations};
use crate::closed_loop::{Clients, Load, Script};
use crate::daemon::{DURABILITY, Daemon};
use crate::report::{self, Report, Target};
use crate::rounds::{Figures, median};
use crate::scripts::KWARGS_BYTES;
use crate::yardstick::echo::Echo;
use crate::yardstick::flush;

const LOAD: Load = Load {
    connections: 1,
    in_flight: 1,
};
const REQUESTS: usize = 1_500;
const WARM_UP: usize = 300;
const FLUSHES: usize = 750;

/// How many of each yardstick's medians the daemon may take.
struct Allowed {
    flushes: f64,
    echoes: f64,
    ratio_of: &'static str,
}

pub(super) async fn registration(rounds: usize) -> anyhow::Result<Report> {
    let daemon = Daemon::start()?;
    let clients = registrations(&daemon, LOAD, READ).await?;
    let allowed = Allowed {
        flushes: 2.0,
        echoes: 1.5,
        ratio_of: "p50 / (2 × flush p50 + 1.5 × echo p50)",
    };
    run(rounds, &daemon, clients, &allowed).await
}

pub(super) async fn life(rounds: usize) -> anyhow::Result<Report> {
    let daemon = Daemon::start()?;
    let clients = lives(&daemon, LOAD).await?;
    let allowed = Allowed {
        flushes: 5.0,
        echoes: 3.0,
        ratio_of: "p50 / (5 × flush p50 + 3 × echo p50)",
    };
    run(rounds, &daemon, clients, &allowed).await
}

async fn run<S: Script>(
    rounds: usize,
    daemon: &Daemon,
    clients: Clients<S>,
    allowed: &Allowed,
) -> anyhow::Result<Report> {
    let echo = Echo::start()?;
    let mut echoes = Side::new(&echo.process, echoes(&echo, LOAD, READ).await?);
    let mut measured = Side::new(&daemon.process, clients);
    echoes.clients.run(WARM_UP).await?;
    measured.clients.run(WARM_UP).await?;
    let (mut flushes, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let flush = Figures::of_latencies(&flush::run(daemon.folder(), FLUSHES)?);
        let echo = echoes.round(REQUESTS).await?;
        let one = measured.round(REQUESTS).await?;
        let bound = allowed.flushes * flush.p50_ms + allowed.echoes * echo.p50_ms;
        ratios.push(one.p50_ms / bound);
        flushes.push(flush);
    }
    let flush = report::yardstick(&Figures::middle(&flushes), None);
    Ok(Report {
        parameters: json!({
            "connections": LOAD.connections,
            "in_flight_each": LOAD.in_flight,
            "kwargs_bytes": KWARGS_BYTES,
        }),
        durability: DURABILITY,
        figures: measured.middle(),
        usage: measured.usage()?,
        yardsticks: Map::from_iter([
            ("echo".to_owned(), echoes.as_yardstick()),
            ("flush".to_owned(), flush),
        ]),
        ratio_of: allowed.ratio_of,
        ratio: median(ratios.clone()),
        ratios,
        target: Target::AtMost(1.0),
    })
}
