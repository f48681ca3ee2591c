//! What the clients ask: registrations, echoes of the same, whole lives. Messages are written and
//! searched as bytes, because a client that parses JSON measures itself.

use std::io::Write;

use anyhow::{Context, bail};
use memchr::memmem;

use crate::closed_loop::Script;
use crate::websocket::WebSocket;

/// The size of the kwargs of every operation.
pub(crate) const KWARGS_BYTES: usize = 200;

const ANSWER_HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
/// How a notification of an alert begins, whatever else is sent.
pub(crate) const ALERT_HEAD: &[u8] = br#"{"jsonrpc":"2.0","method":"alert","#;

/// Registers operations that wait behind another that holds their resource, so that nothing but the
/// registration costs. The same params go to `echo` when that is the method.
pub(crate) struct Registrations {
    method: &'static str,
    /// Part of every id, so that ids of one daemon differ.
    prefix: String,
    claims: Claims,
    kwargs: String,
    stride: u64,
}

/// What every registered operation claims: one of the resources `r0…`, in turn.
#[derive(Clone, Copy)]
pub(crate) struct Claims {
    pub(crate) operation: &'static str,
    pub(crate) resources: u64,
}

impl Registrations {
    pub(crate) const REGISTER: &'static str = "operations.register";
    pub(crate) const ECHO: &'static str = "echo";

    /// Of connection `number`.
    pub(crate) fn new(method: &'static str, number: usize, claims: Claims) -> Self {
        Self {
            method,
            prefix: format!("load-{number}"),
            claims,
            kwargs: filled("resource"),
            stride: number as u64 * 7919,
        }
    }
}

impl Script for Registrations {
    fn ask(&mut self, id: u64, message: &mut Vec<u8>) {
        let resource = (id + self.stride) % self.claims.resources;
        // Writing to memory does not fail.
        let _ = write!(
            message,
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{}","params":{{"methodName":"diagnostic.wait","id":"{}-{id}","kwargs":{},"claims":[{{"type":"load","id":"r{resource}","operation":"{}"}}]}}}}"#,
            self.method, self.prefix, self.kwargs, self.claims.operation
        );
    }

    fn ended(&mut self, message: &[u8]) -> anyhow::Result<Option<u64>> {
        answered(message).map(Some)
    }
}

/// Whole lives of operations that do nothing: a life ends with the alert of its completion, which
/// the connection's own subscription brings.
pub(crate) struct Lives {
    prefix: String,
    kwargs: String,
    marker: Vec<u8>,
}

impl Lives {
    /// Subscribes to the operations that this connection will register.
    pub(crate) async fn subscribe(
        socket: &mut WebSocket,
        prefix: &str,
        number: usize,
    ) -> anyhow::Result<Self> {
        let prefix = format!("{prefix}-{number}");
        subscribe(socket, &format!("diagnostic.task.{prefix}-*")).await?;
        Ok(Self {
            kwargs: filled("text"),
            marker: format!(r#""operationId":"{prefix}-"#).into_bytes(),
            prefix,
        })
    }
}

impl Script for Lives {
    fn ask(&mut self, id: u64, message: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = write!(
            message,
            r#"{{"jsonrpc":"2.0","id":{id},"method":"operations.register","params":{{"methodName":"diagnostic.noop","id":"{}-{id}","kwargs":{}}}}}"#,
            self.prefix, self.kwargs
        );
    }

    fn ended(&mut self, message: &[u8]) -> anyhow::Result<Option<u64>> {
        if !message.starts_with(ALERT_HEAD) {
            return answered(message).map(|_| None);
        }
        if memmem::find(message, br#""event":"completed""#).is_none() {
            return Ok(None);
        }
        let at = memmem::find(message, &self.marker)
            .with_context(|| format!("not of this connection: {}", text(message)))?;
        number(&message[at + self.marker.len()..]).map(Some)
    }
}

/// Subscribes to a glob and waits for the answer.
pub(crate) async fn subscribe(socket: &mut WebSocket, glob: &str) -> anyhow::Result<()> {
    call(
        socket,
        "alerts.subscribe",
        &format!(r#"{{"filter":"{glob}","bookmarkMs":0}}"#),
    )
    .await
    .map(|_| ())
}

/// One call, alone, and its whole answer. Its id is 0, which no script uses.
pub(crate) async fn call(
    socket: &mut WebSocket,
    method: &str,
    params: &str,
) -> anyhow::Result<serde_json::Value> {
    let message = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"{method}","params":{params}}}"#);
    socket.outgoing.text(message.as_bytes());
    socket.flush().await?;
    let answer = socket.next_message().await?;
    answered(&answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The id of an answer that is a result.
fn answered(message: &[u8]) -> anyhow::Result<u64> {
    let Some(rest) = message.strip_prefix(ANSWER_HEAD) else {
        bail!("not an answer: {}", text(message));
    };
    let digits = digits(rest);
    if !rest[digits..].starts_with(br#","result":"#) {
        bail!("refused: {}", text(message));
    }
    number(rest)
}

fn number(bytes: &[u8]) -> anyhow::Result<u64> {
    let digits = std::str::from_utf8(&bytes[..digits(bytes)])?;
    digits.parse().context("a number was expected")
}

fn digits(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(&message[..message.len().min(1000)]).into_owned()
}

/// An object with one string member that makes it `KWARGS_BYTES` long.
fn filled(member: &str) -> String {
    let rest = KWARGS_BYTES - format!(r#"{{"{member}":""}}"#).len();
    format!(r#"{{"{member}":"{}"}}"#, "x".repeat(rest))
}
