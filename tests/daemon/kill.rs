//! kill -9 under load, again and again on the same data folder.

use std::collections::BTreeSet;

use opstead_client::{SubscribeOptions, Subscription};

use crate::load::{Ledger, Load, Noise, rounds};
use crate::program::Home;
use crate::session::cursors;

/// Whatever the manager was told is registered, is: every acknowledged id is found with exactly
/// its kwargs and nothing is there twice; a subscriber resumes with neither gap nor repeat
/// (protocol §3 Registration, §5 promises 2 and 3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_and_repeats_nothing() {
    let home = Home::new();
    let mut noise = Noise::seeded();
    let mut daemon = home.start();
    let client = daemon.client().await;
    let options = SubscribeOptions::new("*");
    let mut subscription = client.subscribe(options).await.unwrap();
    let mut ledgers = Vec::new();
    let (mut all_acknowledged, mut all_alerts) = (0, 0);
    for round in 1..=rounds("OPSTEAD_KILL_ROUNDS", 5) {
        let began = subscription.cursor();
        let load = Load::start(&daemon.socket, &format!("r{round}")).await;
        load.acknowledged(1 + noise.below(600)).await;
        daemon.kill();
        let ledger = load.ended().await;
        daemon = home.start();
        let mut session = daemon.connect().await;
        let acknowledged = ledger.acknowledged();
        ledger.check_found(&mut session, &acknowledged).await;
        ledger.check_repeated(&mut session, began).await;
        let told = collect(&mut subscription, session.head().await).await;
        let logged = cursors(&session.read_all("*", began).await);
        assert_eq!(told, logged, "a gap or a repeat");
        println!(
            "round {round}: {} acknowledged ({} of 20 KB, {} of 200 KB) of {} sent when killed: \
             0 lost, 0 twice; {} alerts: 0 lost, 0 repeated",
            acknowledged.len(),
            Ledger::larger(&acknowledged, 20_000) - Ledger::larger(&acknowledged, 200_000),
            Ledger::larger(&acknowledged, 200_000),
            ledger.sent().len(),
            told.len(),
        );
        all_acknowledged += acknowledged.len();
        all_alerts += told.len();
        ledgers.push((ledger, acknowledged));
    }
    let mut session = daemon.connect().await;
    for (ledger, acknowledged) in &ledgers {
        ledger.check_found(&mut session, acknowledged).await;
    }
    println!(
        "{} rounds: {all_acknowledged} acknowledged, 0 lost, 0 twice; {all_alerts} alerts, 0 lost, \
         0 repeated",
        ledgers.len()
    );
}

/// The cursors of the alerts up to the head, over any number of reconnections.
async fn collect(subscription: &mut Subscription, head: u64) -> Vec<u64> {
    let mut told = Vec::new();
    let mut once = BTreeSet::new();
    while subscription.cursor() < head {
        let next = tokio::time::timeout(crate::program::NEVER, subscription.next());
        let alert = next.await.expect("an alert is missing").unwrap();
        assert!(once.insert(alert.cursor), "{} is repeated", alert.cursor);
        told.push(alert.cursor);
    }
    told
}
