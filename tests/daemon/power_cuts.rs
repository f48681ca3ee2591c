//! Power cuts of the whole daemon: its disk is an image that is copied while the daemon is stopped.
//! Needs root; says so and passes elsewhere.

use rustix::process::{Signal, WaitOptions, kill_process, waitpid};

use crate::full_disk::disk;
use crate::load::{Ledger, Load, Noise, rounds};
use crate::program::Home;

const CONFIG: &str = "[limits]\nleast_free_bytes = 1048576\n";

/// §3: It is answered only when the operation is on disk, which means more than in the kernel's
/// hands: what was acknowledged before the cut is there after it, with exactly its kwargs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let mut noise = Noise::seeded();
    for round in 1..=rounds("OPSTEAD_POWER_CUTS", 1) {
        let Some(disk) = disk(384) else { return };
        let home = Home::at(&disk.path().join("data"), CONFIG);
        let daemon = home.start();
        let load = Load::start(&daemon.socket, &format!("p{round}")).await;
        load.acknowledged(1 + noise.below(600)).await;
        let process = daemon.pid();
        kill_process(process, Signal::STOP).unwrap();
        waitpid(Some(process), WaitOptions::UNTRACED).unwrap();
        let acknowledged = load.ledger.acknowledged();
        let cut = disk.cut().unwrap();
        daemon.kill();
        load.ended()
            .await
            .check(&cut.path().join("data"), &acknowledged)
            .await;
        println!(
            "power cut {round}: {} acknowledged ({} of 20 KB, {} of 200 KB): 0 lost",
            acknowledged.len(),
            Ledger::larger(&acknowledged, 20_000) - Ledger::larger(&acknowledged, 200_000),
            Ledger::larger(&acknowledged, 200_000),
        );
    }
}

impl Ledger {
    /// Starts a daemon on the disk as the cut left it.
    async fn check(
        &self,
        data: &std::path::Path,
        acknowledged: &std::collections::BTreeSet<(usize, usize)>,
    ) {
        let daemon = Home::at(data, CONFIG).start();
        let mut session = daemon.connect().await;
        self.check_found(&mut session, acknowledged).await;
    }
}
