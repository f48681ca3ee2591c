//! T3: how many whole lives a second: registered, run by the method that does nothing, and the
//! completion told to the connection that registered, which subscribes to its own operations.

use serde_json::json;

use super::compare::{Side, alternate};
use super::registrations::{READ, echoes};
use crate::closed_loop::{Clients, Load};
use crate::daemon::{DURABILITY, Daemon};
use crate::report::{Report, Target};
use crate::scripts::{KWARGS_BYTES, Lives};
use crate::yardstick::echo::Echo;

const LOAD: Load = Load {
    connections: 8,
    in_flight: 8,
};
const REQUESTS: usize = 20_000;

pub(super) async fn run(rounds: usize) -> anyhow::Result<Report> {
    let echo = Echo::start()?;
    let daemon = Daemon::start()?;
    let compared = alternate(
        rounds,
        REQUESTS,
        Side::new(&echo.process, echoes(&echo, LOAD, READ).await?),
        Side::new(&daemon.process, lives(&daemon, LOAD).await?),
    )
    .await?;
    Ok(Report {
        parameters: json!({
            "connections": LOAD.connections,
            "in_flight_each": LOAD.in_flight,
            "kwargs_bytes": KWARGS_BYTES,
        }),
        durability: DURABILITY,
        figures: compared.daemon,
        usage: compared.usage,
        ratio_of: "per_s / echo per_s",
        ratio: compared.ratio(),
        ratios: compared.ratios,
        yardsticks: compared.yardsticks,
        target: Target::AtLeast(0.35),
    })
}

/// Clients that are told of what they registered.
pub(super) async fn lives(daemon: &Daemon, load: Load) -> anyhow::Result<Clients<Lives>> {
    daemon
        .clients(load, async |number, socket| {
            Lives::subscribe(socket, "life", number).await
        })
        .await
}
