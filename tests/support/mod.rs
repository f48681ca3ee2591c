//! Small clients for tests: a WebSocket on TCP or a Unix socket, and one HTTP request at a time.
//! They know nothing of the daemon beyond JSON-RPC.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use soketto::handshake::client::Header;
use soketto::handshake::{Client, ServerResponse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// Either kind of stream.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

type Stream = Compat<Box<dyn Duplex>>;

/// The half that sends.
pub(crate) struct WsSender(soketto::Sender<Stream>);

/// The half that receives.
pub(crate) struct WsReceiver(soketto::Receiver<Stream>);

/// A WebSocket client.
pub(crate) struct Ws {
    pub(crate) sender: WsSender,
    pub(crate) receiver: WsReceiver,
    next_id: u64,
}

/// The HTTP status with which an upgrade was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected(pub(crate) u16);

impl Ws {
    /// Connects over TCP and shows the token.
    pub(crate) async fn connect(address: SocketAddr, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        Self::connect_with(address, &[("authorization", &bearer)])
            .await
            .unwrap()
    }

    /// Connects over TCP with these headers. A header `host` takes the place of the usual one.
    pub(crate) async fn connect_with(
        address: SocketAddr,
        headers: &[(&str, &str)],
    ) -> Result<Self, Rejected> {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let host = headers
            .iter()
            .find(|(name, _)| *name == "host")
            .map(|(_, value)| *value);
        let own = address.to_string();
        Self::handshake(Box::new(stream), host.unwrap_or(&own), headers).await
    }

    /// Connects to a Unix socket.
    pub(crate) async fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).await.unwrap();
        Self::handshake(Box::new(stream), "localhost", &[])
            .await
            .unwrap()
    }

    async fn handshake(
        stream: Box<dyn Duplex>,
        host: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Rejected> {
        let headers: Vec<Header<'_>> = headers
            .iter()
            .filter(|(name, _)| *name != "host")
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let mut client = Client::new(stream.compat(), host, "/");
        client.set_headers(&headers);
        match client.handshake().await.unwrap() {
            ServerResponse::Accepted { .. } => {}
            ServerResponse::Rejected { status_code } => return Err(Rejected(status_code)),
            ServerResponse::Redirect { status_code, .. } => return Err(Rejected(status_code)),
        }
        let mut builder = client.into_builder();
        builder.set_max_message_size(64 << 20);
        let (sender, receiver) = builder.finish();
        Ok(Self {
            sender: WsSender(sender),
            receiver: WsReceiver(receiver),
            next_id: 1,
        })
    }

    /// Sends a call and returns the response to it; whatever comes before is dropped.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&request(id, method, params)).await;
        loop {
            let message = self
                .receive()
                .await
                .expect("the server closed the connection");
            if message["id"] == id {
                return message;
            }
        }
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.sender.send_text(&message.to_string()).await.unwrap();
    }

    /// The next message, or nothing when the server has closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Value> {
        self.receiver.receive().await
    }
}

impl WsSender {
    pub(crate) async fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.queue_text(text).await?;
        self.flush().await
    }

    /// Sends without flushing, for a pipeline.
    pub(crate) async fn queue_text(&mut self, text: &str) -> io::Result<()> {
        self.0.send_text(text).await.map_err(io::Error::other)
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await.map_err(io::Error::other)
    }
}

impl WsReceiver {
    pub(crate) async fn receive(&mut self) -> Option<Value> {
        let text = self.receive_text().await?;
        Some(serde_json::from_str(&text).unwrap())
    }

    pub(crate) async fn receive_text(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        match self.0.receive_data(&mut bytes).await {
            Ok(_) => Some(String::from_utf8(bytes).unwrap()),
            Err(_) => None,
        }
    }
}

/// The object of a call.
pub(crate) fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// What came back for one HTTP request.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl HttpAnswer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Posts a body on a connection of its own.
pub(crate) async fn post(address: SocketAddr, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
    let mut head = String::from("POST / HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    exchange(address, &(head + body)).await
}

/// Sends these bytes and reads until the server closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: &str) -> HttpAnswer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes with unread bytes resets the connection after its answer.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    HttpAnswer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
