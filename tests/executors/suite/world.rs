//! A daemon in the test's own process, with the executor of the suite within it or attached to it.

use std::sync::Arc;

use opstead::alerts::{Hub, HubLimits};
use opstead::engine::executor::Executor;
use opstead::engine::{Engine, EngineConfig, recover};
use opstead::journal::{Journal, MemoryDisk, MemoryJournal, fingerprint};
use opstead::rpc::{Api, Config, Limits, Listeners, RpcServer, Token, convert, method_table};
use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{InterruptPolicy, MethodDeclaration, MethodKind, Operation, to_json};
use opstead_client::{AttachOptions, Attachment, Client, ClientConfig, Target};
use opstead_core::{Declaration, OnInterrupt};
use serde_json::Value;
use tempfile::TempDir;

use super::behaviour::{Puppet, Strings};
use crate::program::NEVER;

/// Where the executor is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Inside,
    Outside,
}

/// A daemon and its executor.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) puppet: Strings,
    place: Place,
    disk: MemoryDisk,
    attachment: Option<Attachment>,
    daemon: Option<Daemon>,
    folder: TempDir,
}

struct Daemon {
    engine: Engine,
    server: RpcServer,
}

/// A request to register.
pub(crate) fn request(method: &str, id: &str, kwargs: Value) -> RegisterParams {
    RegisterParams::new(method, to_json(&kwargs).unwrap()).with_id(id)
}

impl World {
    pub(crate) async fn new(place: Place) -> Self {
        Self::on(MemoryDisk::new(fingerprint), place).await
    }

    async fn on(disk: MemoryDisk, place: Place) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let declared = declarations();
        let (puppet, strings) = Puppet::new(declared.iter().map(inside).map(Arc::new).collect());
        let within: Vec<Arc<dyn Executor>> = match place {
            Place::Inside => vec![Arc::new(puppet.clone())],
            Place::Outside => Vec::new(),
        };
        let daemon = Daemon::start(&disk, within, &folder);
        let target = Target::Unix(folder.path().join("socket"));
        let client = Client::connect(target, ClientConfig::default())
            .await
            .unwrap();
        let attachment = match place {
            Place::Inside => None,
            Place::Outside => Some(attach(&client, puppet).await),
        };
        Self {
            client,
            puppet: strings,
            place,
            disk,
            attachment,
            daemon: Some(daemon),
            folder,
        }
    }

    /// Registers an operation and waits until its executor has begun it.
    pub(crate) async fn begin(&self, method: &str, id: &str, kwargs: Value) {
        let request = request(method, id, kwargs);
        self.client.register(&request).await.unwrap();
        assert_eq!(self.puppet.started().await, id);
    }

    /// Registers an operation and waits for its end.
    pub(crate) async fn run(&self, method: &str, kwargs: Value) -> Operation {
        let params = RegisterParams::new(method, to_json(&kwargs).unwrap());
        let registration = self.client.register(&params).await.unwrap();
        assert_eq!(self.puppet.started().await, registration.id);
        self.done(&registration.id).await
    }

    pub(crate) async fn done(&self, id: &str) -> Operation {
        self.client.wait_for_operation(id, NEVER).await.unwrap()
    }

    /// The executor is lost, and another like it comes.
    pub(crate) async fn interrupt(&mut self) {
        match self.place {
            Place::Inside => {
                let disk = self.disk.copy();
                *self = Self::on(disk, self.place).await;
            }
            Place::Outside => {
                if let Some(attachment) = self.attachment.take() {
                    attachment.leave().await;
                }
                let declared = declarations();
                let declared = declared.iter().map(inside).map(Arc::new).collect();
                let (puppet, strings) = Puppet::new(declared);
                self.puppet = strings;
                self.attachment = Some(attach(&self.client, puppet).await);
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(Daemon { engine, server }) = self.daemon.take() {
            engine.handle.stop();
            server.stop();
            engine.join().unwrap();
        }
        // The folder goes when nobody listens in it any more.
        let _ = &self.folder;
    }
}

impl Daemon {
    fn start(disk: &MemoryDisk, executors: Vec<Arc<dyn Executor>>, folder: &TempDir) -> Self {
        let journal = MemoryJournal::open(disk);
        let reader = journal.reader();
        let state = recover(&*reader).unwrap();
        let hub = Hub::new(reader, convert::encode_alert, HubLimits::default());
        let publisher = hub.clone();
        let engine = Engine::start(
            EngineConfig::default(),
            Box::new(journal),
            state,
            executors,
            tokio::runtime::Handle::current(),
            Box::new(move |block| publisher.publish(block)),
        )
        .unwrap();
        let api = Api::new(engine.handle.clone(), hub, limits());
        let mut listeners = Listeners::default();
        listeners.unix(&folder.path().join("socket")).unwrap();
        let config = Config {
            limits: Limits::default(),
            ..Config::new(Token::from("a token that is long enough"))
        };
        let server = RpcServer::start(listeners, config, method_table(&api)).unwrap();
        Self { engine, server }
    }
}

async fn attach(client: &Client, puppet: Puppet) -> Attachment {
    let options = AttachOptions {
        executor: "suite".to_owned(),
        methods: declarations(),
        capacity: 4,
    };
    client.attach(options, puppet).await.unwrap()
}

fn declarations() -> Vec<MethodDeclaration> {
    let operation = |name: &str| MethodDeclaration {
        cancelable: true,
        on_interrupt: InterruptPolicy::Retry,
        ..MethodDeclaration::new(name, MethodKind::Operation, "Does as it is told.")
    };
    vec![
        operation("suite.run"),
        MethodDeclaration {
            on_interrupt: InterruptPolicy::Fail,
            ..operation("suite.once")
        },
        MethodDeclaration {
            attempt_timeout_ms: Some(50),
            ..operation("suite.brief")
        },
        MethodDeclaration::new("suite.ask", MethodKind::Query, "Answers."),
    ]
}

/// The same declaration within the daemon.
fn inside(method: &MethodDeclaration) -> Declaration {
    Declaration {
        name: method.name.as_str().into(),
        version: method.version,
        kind: match method.kind {
            MethodKind::Operation => opstead_core::MethodKind::Operation,
            MethodKind::Query => opstead_core::MethodKind::Query,
        },
        summary: method.summary.as_str().into(),
        kwargs_schema: None,
        object: None,
        claims: Vec::new(),
        cancelable: method.cancelable,
        on_interrupt: match method.on_interrupt {
            InterruptPolicy::Retry => OnInterrupt::Retry,
            InterruptPolicy::Fail => OnInterrupt::Fail,
        },
        weight: 0,
        retry: None,
        attempt_timeout_ms: method.attempt_timeout_ms,
        holds_schedule: false,
        revertible: false,
        secrets: Vec::new(),
    }
}

fn limits() -> opstead_client::schema::Limits {
    opstead_client::schema::Limits {
        request_bytes: 1 << 20,
        answer_bytes: 1 << 20,
        connections: 8,
        calls_in_flight: 8,
        waits: 8,
        subscriptions: 8,
        open_operations: 8,
        claims: 8,
        dependencies: 8,
        flow_steps: 8,
        children: 8,
        capacity: 8,
        result_bytes: 1 << 20,
        report_bytes: 1 << 16,
        filter_bytes: 1 << 10,
        write_timeout_ms: 10_000,
    }
}
