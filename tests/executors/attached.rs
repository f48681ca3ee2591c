//! One attached executor as a test plays it: a connection that keeps what it is assigned.

use serde_json::{Value, json};

use crate::program::Daemon;
use crate::session::Session;

/// An executor, played by hand.
pub(crate) struct Attached {
    pub(crate) session: Session,
    pub(crate) subscription: String,
    /// The whole answer to `executors.attach`.
    pub(crate) answer: Value,
}

/// A declaration of an operation with nothing special to it.
pub(crate) fn operation(name: &str) -> Value {
    json!({"name": name, "kind": "operation", "summary": "Does something."})
}

/// The same with these members beside.
pub(crate) fn with(mut declaration: Value, members: Value) -> Value {
    let members = members.as_object().unwrap().clone();
    declaration.as_object_mut().unwrap().extend(members);
    declaration
}

impl Attached {
    pub(crate) async fn new(daemon: &Daemon, executor: &str, methods: Value) -> Self {
        let params = json!({"executor": executor, "methods": methods});
        Self::attach(daemon, params).await
    }

    pub(crate) async fn attach(daemon: &Daemon, params: Value) -> Self {
        let mut session = daemon.connect().await;
        let answer = session.ok("executors.attach", params).await;
        Self {
            session,
            subscription: answer["subscription"].as_str().unwrap().to_owned(),
            answer,
        }
    }

    /// The params of the next assignment, which is for this action.
    pub(crate) async fn assigned(&mut self, action: &str) -> Value {
        let message = self.session.pushed().await;
        assert_eq!(message["method"], "assignment", "{message}");
        let params = message["params"].clone();
        assert_eq!(params["subscription"], *self.subscription, "{params}");
        assert_eq!(params["action"], action, "{params}");
        params
    }

    /// The lease of the next attempt, which is of this operation.
    pub(crate) async fn execute(&mut self, id: &str) -> String {
        let assignment = self.assigned("execute").await;
        assert_eq!(assignment["operationId"], id, "{assignment}");
        assignment["lease"].as_str().unwrap().to_owned()
    }

    /// Says something of an attempt. Answers the cursor.
    pub(crate) async fn say(&mut self, method: &str, params: Value) -> u64 {
        let taken = self.session.ok(method, params).await;
        taken["cursor"].as_u64().unwrap()
    }

    pub(crate) async fn complete(&mut self, lease: &str) -> u64 {
        let params = json!({"lease": lease, "result": {"by": lease}});
        self.say("executors.complete", params).await
    }
}

/// Registers an operation of this method.
pub(crate) async fn register(manager: &mut Session, method: &str, id: &str) -> Value {
    let params = json!({"methodName": method, "id": id});
    manager.ok("operations.register", params).await
}

impl Session {
    /// Waits until an executor is not attached any more. The daemon says it to nobody, so it is
    /// asked; each question waits its turn behind all that came before.
    pub(crate) async fn executor_away(&mut self, name: &str) {
        loop {
            let list = self.ok("executors.list", json!({})).await;
            let mut known = list["executors"].as_array().unwrap().iter();
            if !known.any(|known| known["executor"] == name && known["attached"] == true) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}
