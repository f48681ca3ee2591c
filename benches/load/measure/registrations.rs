//! T1 and T1Q: how many registrations a second are durable, when many ask at once.
//!
//! Every operation claims one of 1,000 resources that another operation is creating and never lets
//! go, so it waits: nothing runs and nothing ends, only registering costs. In T1 they want to read,
//! so each waits for that one alone. In T1Q they want to update, so each waits for all before it,
//! and its answer names the 16 oldest. Ids are chosen by the caller, as by one who wants to be able
//! to ask again.

use serde_json::json;

use super::compare::{Side, alternate, expect_in_state, warm_up_requests};
use crate::closed_loop::{Clients, Load};
use crate::daemon::{DURABILITY, Daemon};
use crate::report::{Report, Target};
use crate::scripts::{Claims, KWARGS_BYTES, Registrations};
use crate::yardstick::echo::Echo;

const LOAD: Load = Load {
    connections: 64,
    in_flight: 16,
};
const REQUESTS: usize = 40_000;
const RESOURCES: u64 = 1_000;
/// Many behind one.
pub(super) const READ: Claims = Claims {
    operation: "read",
    resources: RESOURCES,
};
/// One behind the other.
pub(super) const UPDATE: Claims = Claims {
    operation: "update",
    resources: RESOURCES,
};

pub(super) async fn run(rounds: usize, claims: Claims) -> anyhow::Result<Report> {
    let echo = Echo::start()?;
    let daemon = Daemon::start()?;
    let compared = alternate(
        rounds,
        REQUESTS,
        Side::new(&echo.process, echoes(&echo, LOAD, claims).await?),
        Side::new(&daemon.process, registrations(&daemon, LOAD, claims).await?),
    )
    .await?;
    let asked = warm_up_requests(REQUESTS) + rounds * REQUESTS;
    expect_in_state(&daemon, "waiting", asked).await?;
    Ok(Report {
        parameters: json!({
            "connections": LOAD.connections,
            "in_flight_each": LOAD.in_flight,
            "kwargs_bytes": KWARGS_BYTES,
            "resources": claims.resources,
            "claim": claims.operation,
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
pub(super) async fn echoes(
    echo: &Echo,
    load: Load,
    claims: Claims,
) -> anyhow::Result<Clients<Registrations>> {
    echo.clients(load, async |number, _| {
        Ok(Registrations::new(Registrations::ECHO, number, claims))
    })
    .await
}

/// Clients whose operations wait, once the resources are held.
pub(super) async fn registrations(
    daemon: &Daemon,
    load: Load,
    claims: Claims,
) -> anyhow::Result<Clients<Registrations>> {
    daemon.hold_resources(claims.resources).await?;
    daemon
        .clients(load, async |number, _| {
            Ok(Registrations::new(Registrations::REGISTER, number, claims))
        })
        .await
}
