//! Load: several connections that register as fast as they can, and an account of what they sent
//! and what was acknowledged.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::program::NEVER;
use crate::session::Session;
use crate::support::Ws;

const CONNECTIONS: usize = 4;
/// Requests of one connection that are not answered yet.
const WINDOW: usize = 32;

/// A request is told by its connection and its number there.
type Key = (usize, usize);

/// Connections that register until the daemon is gone.
pub(crate) struct Load {
    pub(crate) ledger: Arc<Ledger>,
    connections: Vec<JoinHandle<()>>,
}

/// What was sent and what was acknowledged.
pub(crate) struct Ledger {
    /// What all ids begin with.
    name: String,
    sent: [AtomicUsize; CONNECTIONS],
    acknowledged: Mutex<BTreeSet<Key>>,
    count: watch::Sender<usize>,
}

impl Load {
    /// Connects and begins; `name` is what all ids begin with. From here on the daemon may end.
    pub(crate) async fn start(socket: &Path, name: &str) -> Self {
        let ledger = Arc::new(Ledger {
            name: name.to_owned(),
            sent: Default::default(),
            acknowledged: Mutex::default(),
            count: watch::channel(0).0,
        });
        let mut connections = Vec::new();
        for connection in 0..CONNECTIONS {
            let ws = Ws::connect_unix(socket).await;
            let registering = register_all(ws, Arc::clone(&ledger), connection);
            connections.push(tokio::spawn(registering));
        }
        Self {
            ledger,
            connections,
        }
    }

    /// Waits until so many are acknowledged.
    pub(crate) async fn acknowledged(&self, count: usize) {
        let mut counted = self.ledger.count.subscribe();
        let reached = counted.wait_for(|reached| *reached >= count);
        tokio::time::timeout(NEVER, reached)
            .await
            .expect("the load does not get on")
            .unwrap();
    }

    /// Waits until every connection has seen its end.
    pub(crate) async fn ended(self) -> Arc<Ledger> {
        for connection in self.connections {
            connection.await.unwrap();
        }
        self.ledger
    }
}

async fn register_all(ws: Ws, ledger: Arc<Ledger>, connection: usize) {
    let Ws {
        mut sender,
        mut receiver,
        ..
    } = ws;
    let mut in_flight = 0;
    loop {
        while in_flight < WINDOW {
            let number = ledger.sent[connection].fetch_add(1, Ordering::Relaxed);
            let params = ledger.params((connection, number));
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{number},"method":"operations.register","params":{params}}}"#
            );
            if sender.queue_text(&text).await.is_err() {
                return;
            }
            in_flight += 1;
        }
        if sender.flush().await.is_err() {
            return;
        }
        let Some(answer) = receiver.receive().await else {
            return;
        };
        in_flight -= 1;
        let number = answer["id"].as_u64().unwrap() as usize;
        match answer["error"]["data"]["reason"].as_str() {
            None => {
                assert_eq!(answer["result"]["existing"], false, "{answer}");
                ledger.acknowledge((connection, number));
            }
            Some(reason) => assert_eq!(reason, "shuttingDown", "{answer}"),
        }
    }
}

impl Ledger {
    fn acknowledge(&self, key: Key) {
        self.acknowledged.lock().unwrap().insert(key);
        self.count.send_modify(|count| *count += 1);
    }

    /// Who was acknowledged so far.
    pub(crate) fn acknowledged(&self) -> BTreeSet<Key> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Everything that was sent, whatever became of it.
    pub(crate) fn sent(&self) -> Vec<Key> {
        let numbers = |connection: usize| {
            let sent = self.sent[connection].load(Ordering::Relaxed);
            (0..sent).map(move |number| (connection, number))
        };
        (0..CONNECTIONS).flat_map(numbers).collect()
    }

    pub(crate) fn id(&self, (connection, number): Key) -> String {
        format!("{}-{connection}-{number}", self.name)
    }

    fn params(&self, key: Key) -> String {
        let (id, kwargs) = (self.id(key), kwargs(key));
        format!(r#"{{"methodName":"diagnostic.noop","id":"{id}","kwargs":{kwargs}}}"#)
    }

    /// Checks that each of these is there with exactly its kwargs.
    pub(crate) async fn check_found(&self, session: &mut Session, keys: &BTreeSet<Key>) {
        for key in keys {
            let params = json!({"id": self.id(*key)}).to_string();
            let text = session.call_text("operations.get", &params).await;
            let member = format!(r#""kwargs":{}"#, kwargs(*key));
            assert!(
                text.contains(&member),
                "{} is lost: {:.200}",
                self.id(*key),
                text
            );
        }
    }

    /// Sends everything again: what was acknowledged exists already, and afterwards everything is
    /// there exactly once.
    pub(crate) async fn check_repeated(&self, session: &mut Session, after: u64) {
        let acknowledged = self.acknowledged();
        for key in self.sent() {
            let text = session
                .call_text("operations.register", &self.params(key))
                .await;
            let answer: Value = serde_json::from_str(&text).unwrap();
            let existing = answer["result"]["existing"].as_bool();
            let existing = existing.unwrap_or_else(|| panic!("{answer}"));
            assert!(existing || !acknowledged.contains(&key), "twice: {answer}");
        }
        let filter = format!("diagnostic.task.{}-*", self.name);
        let params = json!({"filter": filter, "timeoutMs": NEVER.as_millis() as u64});
        session.ok("operations.wait", params).await;
        let alerts = session.read_all(&filter, after).await;
        for event in ["registered", "completed"] {
            let mut told: Vec<_> = alerts
                .iter()
                .filter(|alert| alert["event"] == event)
                .map(|alert| alert["operationId"].as_str().unwrap().to_owned())
                .collect();
            told.sort_unstable();
            let mut expected: Vec<_> = self.sent().into_iter().map(|key| self.id(key)).collect();
            expected.sort_unstable();
            assert_eq!(told, expected, "each is {event} exactly once");
        }
    }

    /// How many of these have kwargs of at least so many bytes.
    pub(crate) fn larger(keys: &BTreeSet<Key>, bytes: usize) -> usize {
        keys.iter().filter(|key| size(**key) >= bytes).count()
    }
}

/// Most requests are small, some have 20 KB, a few 200 KB.
fn size((connection, number): Key) -> usize {
    match (number + connection * 11) % 150 {
        13 => 200_000,
        40 | 90 | 140 => 20_000,
        _ => 20,
    }
}

/// The kwargs of a request: nothing that compresses well.
fn kwargs(key: Key) -> String {
    let mut noise = Noise(1 + (key.0 * 1_000_003 + key.1) as u64);
    let mut text = String::with_capacity(size(key) + 64);
    while text.len() < size(key) {
        text.push_str(&format!("{:016x}", noise.next()));
    }
    format!(r#"{{"number":{},"text":"{text}"}}"#, key.1)
}

/// Pseudo-random numbers, the same for the same seed.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    /// Begins somewhere else each time, and says where.
    pub(crate) fn seeded() -> Self {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = since.as_nanos() as u64 | 1;
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, bound: u64) -> usize {
        (self.next() % bound) as usize
    }
}

/// A count from the environment.
pub(crate) fn rounds(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |rounds| rounds.parse().unwrap())
}
