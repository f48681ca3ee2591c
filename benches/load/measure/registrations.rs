//! T1: how many registrations a second are durable, when many ask at once.
//!
//! Every operation claims one of 1,000 resources that an operation before has and keeps, so it
//! waits: nothing runs and nothing ends, only registering costs. Its id is chosen by the caller, as
//! by one who wants to be able to ask again.

use serde_json::json;

use super::compare::{Side, alternate, expect_in_state, warm_up_requests};
use crate::closed_loop::{Clients, Load};
use crate::daemon::{DURABILITY, Daemon};
use crate::report::{Report, Target};
use crate::scripts::{KWARGS_BYTES, Registrations};
use crate::yardstick::echo::Echo;

const LOAD: Load = Load {
    connections: 64,
    in_flight: 16,
};
const REQUESTS: usize = 40_000;
const RESOURCES: u64 = 1_000;

pub(super) async fn run(rounds: usize) -> anyhow::Result<Report> {
    let echo = Echo::start()?;
    let daemon = Daemon::start()?;
    let compared = alternate(
        rounds,
        REQUESTS,
        Side::new(&echo.process, echoes(&echo, LOAD).await?),
        Side::new(&daemon.process, registrations(&daemon, LOAD).await?),
    )
    .await?;
    let asked = warm_up_requests(REQUESTS) + rounds * REQUESTS;
    expect_in_state(&daemon, "waiting", asked).await?;
    Ok(Report {
        parameters: json!({
            "connections": LOAD.connections,
            "in_flight_each": LOAD.in_flight,
            "kwargs_bytes": KWARGS_BYTES,
            "resources": RESOURCES,
        }),
        durability: DURABILITY,
        figures: compared.daemon,
        usage: compared.usage,
        ratio_of: "per_s / echo per_s",
        ratio: compared.ratio(),
        ratios: compared.ratios,
        yardsticks: compared.yardsticks,
        target: Target::AtLeast(0.8),
    })
}

/// Clients of the echo server that send what registrations would.
pub(super) async fn echoes(echo: &Echo, load: Load) -> anyhow::Result<Clients<Registrations>> {
    echo.clients(load, async |number, _| {
        Ok(Registrations::new(
            Registrations::ECHO,
            "load",
            number,
            RESOURCES,
        ))
    })
    .await
}

/// Clients whose operations wait, once the resources are held.
pub(super) async fn registrations(
    daemon: &Daemon,
    load: Load,
) -> anyhow::Result<Clients<Registrations>> {
    daemon.hold_resources(RESOURCES).await?;
    daemon
        .clients(load, async |number, _| {
            Ok(Registrations::new(
                Registrations::REGISTER,
                "load",
                number,
                RESOURCES,
            ))
        })
        .await
}
