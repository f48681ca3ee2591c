//! One connection to the daemon, which keeps what is pushed to it until it is asked for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::program::NEVER;
use crate::support::{Ws, request};

/// A connection.
pub(crate) struct Session {
    pub(crate) ws: Ws,
    pushed: VecDeque<String>,
    next_id: u64,
}

impl Session {
    pub(crate) async fn tcp(address: SocketAddr, token: &str) -> Self {
        Self::of(Ws::connect(address, token).await)
    }

    pub(crate) async fn unix(path: &Path) -> Self {
        Self::of(Ws::connect_unix(path).await)
    }

    fn of(ws: Ws) -> Self {
        Self {
            ws,
            pushed: VecDeque::new(),
            next_id: 1,
        }
    }

    /// The result of a call that must succeed.
    pub(crate) async fn ok(&mut self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The error of a call that must fail. Nothing stands beside its three members.
    pub(crate) async fn error(&mut self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await;
        let error = answer["error"].as_object().cloned();
        let error = error.unwrap_or_else(|| panic!("{method} succeeded: {answer}"));
        let known = ["code", "message", "data"];
        assert!(
            error.keys().all(|key| known.contains(&key.as_str())),
            "{error:?}"
        );
        error.into()
    }

    /// The whole response to a call.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        serde_json::from_str(&self.call_text(method, &params.to_string()).await).unwrap()
    }

    /// The response as text, to params as text.
    pub(crate) async fn call_text(&mut self, method: &str, params: &str) -> String {
        let id = self.send(method, params).await;
        self.answer(id).await
    }

    /// Sends a call without waiting for its answer; returns its id.
    pub(crate) async fn send(&mut self, method: &str, params: &str) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.ws.sender.send_text(&text).await.unwrap();
        id
    }

    /// The answer to a call that was sent. Other answers must not come before.
    pub(crate) async fn answer(&mut self, id: u64) -> String {
        loop {
            let text = self.receive().await.expect("the daemon closed");
            let message: Value = serde_json::from_str(&text).unwrap();
            if message.get("method").is_some() {
                self.pushed.push_back(text);
            } else {
                assert_eq!(message["id"], id, "{text}");
                return text;
            }
        }
    }

    /// The next message of any kind.
    pub(crate) async fn receive(&mut self) -> Option<String> {
        let received = timeout(NEVER, self.ws.receiver.receive_text()).await;
        received.expect("nothing came")
    }

    /// The next notification, as text.
    pub(crate) async fn pushed_text(&mut self) -> String {
        match self.pushed.pop_front() {
            Some(text) => text,
            None => self.receive().await.expect("the daemon closed"),
        }
    }

    /// The next notification.
    pub(crate) async fn pushed(&mut self) -> Value {
        let text = self.pushed_text().await;
        let message: Value = serde_json::from_str(&text).unwrap();
        assert!(message.get("method").is_some(), "{text}");
        message
    }

    /// The params of the next alert. No other notification may come before.
    pub(crate) async fn alert(&mut self) -> Value {
        let message = self.pushed().await;
        assert_eq!(message["method"], "alert", "{message}");
        message["params"].clone()
    }

    /// Alerts up to and including the one that meets the condition.
    pub(crate) async fn alerts_until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut alerts = Vec::new();
        loop {
            alerts.push(self.alert().await);
            if is_last(alerts.last().unwrap()) {
                return alerts;
            }
        }
    }

    /// Alerts up to the first one of this kind of an operation.
    pub(crate) async fn alerts_until_event(&mut self, id: &str, event: &str) -> Vec<Value> {
        self.alerts_until(|alert| alert["operationId"] == id && alert["event"] == event)
            .await
    }

    /// Registers `diagnostic.noop`.
    pub(crate) async fn noop(&mut self, id: &str) -> Value {
        let params = json!({"methodName": "diagnostic.noop", "id": id});
        self.ok("operations.register", params).await
    }

    /// Registers a `diagnostic.wait` that runs until it is canceled.
    pub(crate) async fn hold(&mut self, id: &str, claims: Value) -> Value {
        self.ok("operations.register", hold(id, claims)).await
    }

    /// The whole record of an operation.
    pub(crate) async fn get(&mut self, id: &str) -> Value {
        self.ok("operations.get", json!({"id": id})).await
    }

    /// The whole record once it is done.
    pub(crate) async fn done(&mut self, id: &str) -> Value {
        let params = json!({"ids": [id], "timeoutMs": NEVER.as_millis() as u64});
        let answer = self.ok("operations.wait", params).await;
        assert_eq!(answer["timedOut"], false, "{answer}");
        answer["operations"][0].clone()
    }

    /// Every alert from behind a cursor to the head, read page by page.
    pub(crate) async fn read_all(&mut self, filter: &str, after: u64) -> Vec<Value> {
        let mut alerts = Vec::new();
        let mut after = after;
        loop {
            let params = json!({"filter": filter, "after": after});
            let page = self.ok("alerts.read", params).await;
            alerts.extend(page["alerts"].as_array().unwrap().iter().cloned());
            after = page["cursor"].as_u64().unwrap();
            if page["more"] == false {
                return alerts;
            }
        }
    }

    /// The head of the log.
    pub(crate) async fn head(&mut self) -> u64 {
        let status = self.ok("system.status", json!({})).await;
        status["cursor"].as_u64().unwrap()
    }
}

/// Params that register a `diagnostic.wait` until it is canceled.
pub(crate) fn hold(id: &str, claims: Value) -> Value {
    json!({"methodName": "diagnostic.wait", "id": id, "claims": claims})
}

/// One claim.
pub(crate) fn claim(resource: &str, operation: &str) -> Value {
    json!({"type": "thing", "id": resource, "operation": operation})
}

/// The cursors of alerts.
pub(crate) fn cursors(alerts: &[Value]) -> Vec<u64> {
    alerts
        .iter()
        .map(|alert| alert["cursor"].as_u64().unwrap())
        .collect()
}

/// The events of alerts.
pub(crate) fn events(alerts: &[Value]) -> Vec<&str> {
    alerts
        .iter()
        .map(|alert| alert["event"].as_str().unwrap())
        .collect()
}

/// A whole request as text.
pub(crate) fn request_text(id: u64, method: &str, params: Value) -> String {
    request(id, method, params).to_string()
}
