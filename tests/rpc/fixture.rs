//! A server with methods made for testing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opstead::rpc::{
    Answer, Call, Config, Limits, Listeners, MethodTable, Opened, PushSink, Reply, RpcServer,
    Token, method_not_found,
};
use opstead_schema::ErrorObject;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};

use crate::support::Ws;

pub(crate) const TOKEN: &str = "a token that is long enough";

/// What the test methods leave to be looked at.
#[derive(Default)]
pub(crate) struct Seen {
    /// The numbers that `order` was called with, by connection.
    pub(crate) order: Mutex<HashMap<u64, Vec<u64>>>,
    /// Calls of `hold` and `wait` that were started.
    pub(crate) started: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
    /// Calls of `big` that were answered, messages that `push.flood` sent.
    pub(crate) made: AtomicUsize,
    /// Woken when a pump or a wait is dropped or over.
    pub(crate) over: Notify,
}

pub(crate) struct Fixture {
    pub(crate) server: Option<RpcServer>,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) seen: Arc<Seen>,
    /// One permit lets one `hold` or `wait` go on.
    pub(crate) release: Arc<Semaphore>,
    _directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("opstead.sock");
        let seen = Arc::new(Seen::default());
        let release = Arc::new(Semaphore::new(0));
        let mut listeners = Listeners::default();
        listeners
            .tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
            .unwrap();
        listeners.unix(&socket).unwrap();
        let config = Config {
            allowed_hosts: vec!["opstead.example".to_owned()],
            allowed_origins: vec!["https://console.example".to_owned()],
            workers: 2,
            limits,
            ..Config::new(Token::from(TOKEN))
        };
        let server = RpcServer::start(listeners, config, table(&seen, &release)).unwrap();
        let address = server.local_address().unwrap();
        Self {
            server: Some(server),
            address,
            socket,
            seen,
            release,
            _directory: directory,
        }
    }

    pub(crate) async fn connect(&self) -> Ws {
        Ws::connect(self.address, TOKEN).await
    }

    /// Stops the server on a thread of its own, so that the test's clients go on meanwhile.
    pub(crate) fn stop(&mut self) -> std::thread::JoinHandle<()> {
        let server = self.server.take().unwrap();
        std::thread::spawn(move || server.stop())
    }
}

/// Headers of a client with the token.
pub(crate) fn bearer() -> (&'static str, &'static str) {
    ("authorization", "Bearer a token that is long enough")
}

fn table(seen: &Arc<Seen>, release: &Arc<Semaphore>) -> MethodTable {
    let mut table = MethodTable::default();
    table.method("echo", |call| {
        let text = call.params.unwrap_or("null").to_owned();
        Ok(Answer::raw(RawValue::from_string(text).unwrap()).into())
    });
    table.method("who", |call| {
        Ok(Answer::small(&*call.connection.identity())?.into())
    });
    table.method("panic.now", |_| panic!("as asked"));
    table.method("panic.later", |_| {
        Reply::soon(async { panic!("as asked, later") })
    });
    table.fallback(|call| match call.method.strip_prefix("storage.") {
        Some(method) => Ok(Answer::small(&method)?.into()),
        None => Err(method_not_found(call.method)),
    });
    add_order(&mut table, seen);
    add_holding(&mut table, seen, release);
    add_blocking(&mut table, seen, release);
    add_big(&mut table, seen);
    add_pushing(&mut table, seen);
    let release = Arc::clone(release);
    table.subscription("push.slow", move |call, _| {
        let release = Arc::clone(&release);
        let opened = opened(call, |_| std::future::pending());
        Ok(Box::pin(async move {
            release.acquire().await.unwrap().forget();
            opened?.await
        }))
    });
    table
}

fn number(call: Call<'_>) -> u64 {
    let params: Vec<u64> = serde_json::from_str(call.params.unwrap()).unwrap();
    params[0]
}

/// Notes the order in which the handler saw the calls; the answer comes from another thread, as
/// the engine's does.
fn add_order(table: &mut MethodTable, seen: &Arc<Seen>) {
    let (engine, commands) = std::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>();
    std::thread::spawn(move || {
        for reply in commands {
            let _ = reply.send(());
        }
    });
    let seen = Arc::clone(seen);
    table.method("order", move |call| {
        let number = number(call);
        seen.order
            .lock()
            .unwrap()
            .entry(call.connection.id())
            .or_default()
            .push(number);
        let (reply, answered) = tokio::sync::oneshot::channel();
        engine.send(reply).unwrap();
        Reply::soon(async move {
            answered.await.unwrap();
            Answer::small(&number)
        })
    });
}

/// `hold` counts as a call in flight, `wait` as a wait; both end when they are released.
fn add_holding(table: &mut MethodTable, seen: &Arc<Seen>, release: &Arc<Semaphore>) {
    struct Running(Arc<Seen>);
    impl Running {
        fn new(seen: &Arc<Seen>) -> Self {
            seen.started.fetch_add(1, Ordering::SeqCst);
            let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most_running.fetch_max(running, Ordering::SeqCst);
            Self(Arc::clone(seen))
        }
    }
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.running.fetch_sub(1, Ordering::SeqCst);
            self.0.over.notify_one();
        }
    }
    for name in ["hold", "wait"] {
        let (seen, release) = (Arc::clone(seen), Arc::clone(release));
        table.method(name, move |_| {
            let (running, release) = (Running::new(&seen), Arc::clone(&release));
            let held = async move {
                let _running = running;
                release.acquire().await.unwrap().forget();
                Answer::small(&"released")
            };
            if name == "hold" {
                Reply::soon(held)
            } else {
                Reply::wait(held)
            }
        });
    }
}

/// `block` keeps a thread of its own busy until it is released.
fn add_blocking(table: &mut MethodTable, seen: &Arc<Seen>, release: &Arc<Semaphore>) {
    let (seen, release) = (Arc::clone(seen), Arc::clone(release));
    table.method("block", move |_| {
        let (seen, release) = (Arc::clone(&seen), Arc::clone(&release));
        let blocked = tokio::task::spawn_blocking(move || {
            seen.started.fetch_add(1, Ordering::SeqCst);
            seen.over.notify_one();
            while release.try_acquire().is_err() {
                std::thread::park_timeout(std::time::Duration::from_millis(10));
            }
        });
        Reply::soon(async move {
            blocked.await.unwrap();
            Answer::small(&"released")
        })
    });
}

/// Answers so many bytes.
fn add_big(table: &mut MethodTable, seen: &Arc<Seen>) {
    let seen = Arc::clone(seen);
    table.unpaged_method("big", "big.paged", move |call| {
        seen.made.fetch_add(1, Ordering::SeqCst);
        let bytes = usize::try_from(number(call)).unwrap();
        Ok(call.answerer.json(&"x".repeat(bytes))?.into())
    });
}

struct Signal(Arc<Seen>);

impl Drop for Signal {
    fn drop(&mut self) {
        self.0.over.notify_one();
    }
}

/// `push.subscribe [n]` pushes n alerts and goes on silently, `push.flood` never stops.
fn add_pushing(table: &mut MethodTable, seen: &Arc<Seen>) {
    let for_subscribe = Arc::clone(seen);
    table.subscription("push.subscribe", move |call, push| {
        let count = number(call);
        if count == 13 {
            return Err(ErrorObject::invalid_params("an unlucky number", vec![]));
        }
        let signal = Signal(Arc::clone(&for_subscribe));
        opened(call, move |subscription| async move {
            let _signal = signal;
            for cursor in 1..=count {
                push.send(alert(&subscription, cursor)).await.unwrap();
            }
            std::future::pending::<()>().await;
        })
    });
    let for_flood = Arc::clone(seen);
    table.subscription("push.flood", move |call, push: PushSink| {
        let seen = Arc::clone(&for_flood);
        opened(call, move |subscription| async move {
            let _signal = Signal(Arc::clone(&seen));
            while push.send(alert(&subscription, 1)).await.is_ok() {
                seen.made.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    table.subscription("push.panic", |call, _| {
        opened(call, |_| async { panic!("as asked") })
    });
    table.method("push.unsubscribe", |call| {
        let params: Vec<String> = serde_json::from_str(call.params.unwrap()).unwrap();
        Ok(Answer::small(&call.connection.unsubscribe(&params[0]))?.into())
    });
}

fn opened<F>(
    call: Call<'_>,
    pump: impl FnOnce(String) -> F + Send + 'static,
) -> Result<opstead::rpc::Later<Opened>, ErrorObject>
where
    F: Future<Output = ()> + Send + 'static,
{
    let subscription = call.connection.new_subscription();
    Ok(Box::pin(async move {
        let answer = Answer::small(&json!({"subscription": subscription}))?;
        Ok(Opened {
            answer,
            pump: Box::pin(pump(subscription.clone())),
            subscription,
        })
    }))
}

/// The literal shape of protocol §5.
pub(crate) fn alert(subscription: &str, cursor: u64) -> Box<RawValue> {
    let params: Value =
        json!({"alertName": "vm.VM.a", "cursor": cursor, "subscription": subscription});
    to_raw_value(&json!({"jsonrpc": "2.0", "method": "alert", "params": params})).unwrap()
}
