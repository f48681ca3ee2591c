//! A daemon that does what a test tells it, message by message.

use std::net::SocketAddr;
use std::time::Duration;

use opstead_client::{Client, ClientConfig, Target, Token};
use serde_json::{Value, json};
use soketto::handshake::Server as Handshake;
use soketto::handshake::server::Response;
use soketto::{Receiver, Sender};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

pub(crate) const LOG: &str = "log-1";

/// The subscription of an executor's place.
const SEAT: &str = "seat";

/// No wait of a test ends by this; it only turns a hang into a failure.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

pub(crate) struct Daemon {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// One accepted connection. Dropping it is a connection lost.
pub(crate) struct Connection {
    sender: Sender<Compat<TcpStream>>,
    receiver: Receiver<Compat<TcpStream>>,
}

pub(crate) struct Request {
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Value,
}

pub(crate) fn config() -> ClientConfig {
    ClientConfig {
        token: Token::None,
        backoff: Duration::from_millis(1),
        backoff_most: Duration::from_millis(20),
        call_timeout: GUARD,
        ..ClientConfig::default()
    }
}

impl Daemon {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        Self { listener, address }
    }

    pub(crate) fn target(&self) -> Target {
        Target::Tcp {
            host: self.address.ip().to_string(),
            port: self.address.port(),
        }
    }

    /// A client and its first connection.
    pub(crate) async fn client(&self, config: ClientConfig) -> (Client, Connection) {
        let (client, connection) =
            tokio::join!(Client::connect(self.target(), config), self.accept());
        (client.expect("connected"), connection)
    }

    /// A connection whose first call, with which the client asks whether it is let in, is answered.
    pub(crate) async fn accept(&self) -> Connection {
        let mut connection = self.accept_silently().await;
        let greeting = connection.request("system.status").await;
        connection.answer(&greeting, json!({})).await;
        connection
    }

    pub(crate) async fn accept_silently(&self) -> Connection {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an option of TCP");
        let mut handshake = Handshake::new(stream.compat());
        let key = handshake
            .receive_request()
            .await
            .expect("a handshake")
            .key();
        let accept = Response::Accept {
            key,
            protocol: None,
        };
        handshake.send_response(&accept).await.expect("accepted");
        let (sender, receiver) = handshake.into_builder().finish();
        Connection { sender, receiver }
    }

    /// Refuses one connection.
    pub(crate) async fn reject(&self, status_code: u16) {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        let mut handshake = Handshake::new(stream.compat());
        handshake.receive_request().await.expect("a handshake");
        handshake
            .send_response(&Response::Reject { status_code })
            .await
            .expect("rejected");
    }

    pub(crate) async fn accept_raw(&self) -> TcpStream {
        self.listener.accept().await.expect("a connection").0
    }
}

impl Connection {
    /// The next request; nothing once the client has gone.
    pub(crate) async fn try_request(&mut self) -> Option<Request> {
        let mut text = Vec::new();
        self.receiver.receive_data(&mut text).await.ok()?;
        let mut value: Value = serde_json::from_slice(&text).expect("a request is JSON");
        assert_eq!(value["jsonrpc"], "2.0");
        Some(Request {
            id: value["id"].take(),
            method: value["method"].as_str().expect("a method").to_owned(),
            params: value["params"].take(),
        })
    }

    pub(crate) async fn request(&mut self, method: &str) -> Request {
        let request = tokio::time::timeout(GUARD, self.try_request())
            .await
            .expect("a request in time")
            .expect("the client is there");
        assert_eq!(request.method, method);
        request
    }

    pub(crate) async fn send(&mut self, value: Value) {
        self.sender
            .send_text(value.to_string())
            .await
            .expect("sent");
        self.sender.flush().await.expect("flushed");
    }

    pub(crate) async fn answer(&mut self, request: &Request, result: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": request.id, "result": result}))
            .await;
    }

    pub(crate) async fn refuse(&mut self, request: &Request, code: i32, data: Value) {
        let error = json!({"code": code, "message": "refused", "data": data});
        self.send(json!({"jsonrpc": "2.0", "id": request.id, "error": error}))
            .await;
    }

    /// Expects a subscription and grants it; what it asked for is given back.
    pub(crate) async fn grant(&mut self, subscription: &str, head: u64) -> Value {
        let request = self.request("alerts.subscribe").await;
        let granted = json!({
            "subscription": subscription, "cursor": head, "logId": LOG, "oldestCursor": 0,
        });
        self.answer(&request, granted).await;
        request.params
    }

    /// Expects an executor and gives it its place; what it said of itself is given back.
    pub(crate) async fn seat(&mut self, accepted: &[&str]) -> Value {
        let request = self.request("executors.attach").await;
        let seated = json!({
            "subscription": SEAT, "leaseMs": 30_000, "accepted": accepted, "refused": [],
        });
        self.answer(&request, seated).await;
        request.params
    }

    /// Assigns the executor something.
    pub(crate) async fn assign(&mut self, mut assignment: Value) {
        assignment["subscription"] = json!(SEAT);
        self.send(json!({"jsonrpc": "2.0", "method": "assignment", "params": assignment}))
            .await;
    }

    pub(crate) async fn alert(&mut self, subscription: &str, cursor: u64) {
        let params = alert(cursor, subscription);
        self.send(json!({"jsonrpc": "2.0", "method": "alert", "params": params}))
            .await;
    }

    pub(crate) async fn bookmark(&mut self, subscription: &str, cursor: u64, kind: &str) {
        let params = json!({
            "subscription": subscription, "cursor": cursor, "time": "2026-02-03T04:05:06.789Z", "kind": kind,
        });
        self.send(json!({"jsonrpc": "2.0", "method": "alertBookmark", "params": params}))
            .await;
    }
}

pub(crate) fn info(number: u32) -> Value {
    json!({
        "operationDescription": "Copying", "stageDescription": "", "stage": {"number": number, "total": 1},
        "percentage": 7, "lastError": {"code": 0, "message": ""}, "extraData": {},
    })
}

pub(crate) fn alert(cursor: u64, subscription: &str) -> Value {
    json!({
        "alertName": "storage.Image.a", "operationInfo": info(0), "cursor": cursor,
        "time": "2026-02-03T04:05:06.789Z", "event": "progress", "operationId": "o",
        "subscription": subscription,
    })
}

pub(crate) fn operation(id: &str, done: bool) -> Value {
    json!({
        "id": id, "methodName": "storage.copyImage", "version": 1, "kwargs": {}, "subsystem": "storage",
        "alertName": "storage.Image.a", "state": if done { "completed" } else { "running" }, "done": done,
        "reasons": [], "operationInfo": info(u32::from(done)), "claims": [], "weight": 0, "tags": [],
        "registeredAt": "2026-02-03T04:05:06.789Z", "attempt": 1, "maxAttempts": 1,
        "nonFatalErrors": [], "spawnedTasks": [], "after": [], "registeredBy": "admin", "cursor": 9,
    })
}
