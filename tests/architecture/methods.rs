//! The methods that the daemon answers are those of the table.

use std::collections::BTreeSet;

use opstead::alerts::{Hub, HubLimits};
use opstead::engine::{Engine, EngineConfig, recover};
use opstead::journal::{Journal, MemoryDisk, MemoryJournal, fingerprint};
use opstead::rpc::{Api, convert, method_table};
use opstead_schema::{Limits, METHODS};

#[test]
fn what_is_registered_is_what_the_table_says() {
    let journal = MemoryJournal::open(&MemoryDisk::new(fingerprint));
    let reader = journal.reader();
    let state = recover(&*reader).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let hub = Hub::new(reader, convert::encode_alert, HubLimits::default());
    let engine = Engine::start(
        EngineConfig::default(),
        Box::new(journal),
        state,
        Vec::new(),
        runtime.handle().clone(),
        Box::new(|_| {}),
    )
    .unwrap();
    let limits = Limits {
        request_bytes: 0,
        answer_bytes: 0,
        connections: 0,
        calls_in_flight: 0,
        waits: 0,
        subscriptions: 0,
        open_operations: 0,
        claims: 0,
        result_bytes: 0,
        report_bytes: 0,
        dependencies: 0,
        flow_steps: 0,
        children: 0,
        capacity: 0,
        filter_bytes: 0,
        write_timeout_ms: 0,
    };
    let table = method_table(&Api::new(engine.handle.clone(), hub, limits));

    let registered: Vec<&str> = table.names().collect();
    let answered: BTreeSet<&str> = registered.iter().copied().collect();
    let declared: BTreeSet<&str> = METHODS.iter().map(|method| method.name).collect();
    assert_eq!(answered, declared);
    assert_eq!(registered.len(), answered.len(), "one is registered twice");

    for method in METHODS {
        let needs = table.needs_web_socket(method.name);
        assert_eq!(needs, method.needs_web_socket, "{}", method.name);
    }

    engine.handle.stop();
    engine.join().unwrap();
}
