//! What the calls and subscriptions of a client share with its connection: who waits for which
//! answer, and whose is which subscription. Nothing here does I/O; the lock is never held over an
//! await, nor while anything is dropped that takes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opstead_schema::{ErrorObject, Json, null, to_json};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::envelope::{Message, Routing, request};
use crate::{ClientConfig, Error, Target};

/// The code with which the daemon refuses a request that is too large to be read.
const REQUEST_TOO_LARGE: i32 = -32007;

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Connected,
    Disconnected,
    /// Nobody uses the client any more.
    Closed,
}

/// What a client, its subscriptions and its connection share.
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) config: ClientConfig,
    status: watch::Sender<Status>,
    in_flight: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many connections there have been; the number of the present one.
    number: u64,
    session: Option<Session>,
}

/// One connection's calls in flight and subscriptions.
struct Session {
    next_id: u64,
    pending: HashMap<u64, Pending>,
    routes: HashMap<String, mpsc::Sender<Delivery>>,
    outgoing: mpsc::UnboundedSender<String>,
}

/// Who waits for an answer. Calls in flight are bounded by the permits that they hold until they
/// are answered, whether or not somebody still waits; that also bounds what is to be written.
struct Pending {
    reply: Reply,
    request_bytes: usize,
    _permit: OwnedSemaphorePermit,
}

enum Reply {
    Call(oneshot::Sender<Result<Json, Error>>),
    /// The answer names a subscription, of which so many notifications may wait to be taken.
    Subscribe(oneshot::Sender<Result<(Json, Route), Error>>, usize),
}

/// One notification of a subscription, as it came.
pub(crate) struct Delivery {
    pub(crate) kind: DeliveryKind,
    pub(crate) cursor: u64,
    pub(crate) params: Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryKind {
    Alert,
    Bookmark,
    Closed,
    Assignment,
}

/// The consumer's end of a subscription of one connection. Dropping it unsubscribes.
pub(crate) struct Route {
    shared: Arc<Shared>,
    number: u64,
    subscription: String,
    queue: mpsc::Receiver<Delivery>,
}

impl Shared {
    pub(crate) fn new(target: Target, config: ClientConfig) -> Self {
        Self {
            target,
            status: watch::Sender::new(Status::Disconnected),
            in_flight: Arc::new(Semaphore::new(config.calls_in_flight)),
            config,
            state: Mutex::default(),
        }
    }

    /// A connection is there: what it is to write comes out of the receiver, which ends when the
    /// client is closed.
    pub(crate) fn open(&self) -> mpsc::UnboundedReceiver<String> {
        let (outgoing, to_write) = mpsc::unbounded_channel();
        let mut state = self.state();
        if *self.status.borrow() == Status::Closed {
            return to_write;
        }
        state.number += 1;
        state.session = Some(Session {
            next_id: 0,
            pending: HashMap::new(),
            routes: HashMap::new(),
            outgoing,
        });
        self.status.send_replace(Status::Connected);
        to_write
    }

    /// The connection is gone. The status is set first, so that who is told of it and waits for the
    /// next connection does not see this one.
    pub(crate) fn lose(&self) {
        self.end(Status::Disconnected);
    }

    /// Nobody uses the client any more.
    pub(crate) fn close(&self) {
        self.end(Status::Closed);
    }

    fn end(&self, status: Status) {
        let session = {
            let mut state = self.state();
            self.status.send_if_modified(|present| {
                let changed = *present != Status::Closed && *present != status;
                if changed {
                    *present = status;
                }
                changed
            });
            state.session.take()
        };
        for pending in session
            .into_iter()
            .flat_map(|session| session.pending.into_values())
        {
            pending.reply.fail(Error::Disconnected);
        }
    }

    /// The status, to be waited on.
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The number of the present connection.
    pub(crate) fn present(&self) -> Option<u64> {
        let state = self.state();
        state.session.is_some().then_some(state.number)
    }

    /// Waits until there is no connection.
    pub(crate) async fn disconnected(&self) {
        let mut status = self.status();
        // The sender lives as long as this.
        let _status = status.wait_for(|status| *status != Status::Connected).await;
    }

    /// Waits until there is a connection.
    pub(crate) async fn connected(&self) -> Result<(), Error> {
        match self
            .status()
            .wait_for(|status| *status != Status::Disconnected)
            .await
            .as_deref()
        {
            Ok(Status::Connected) => Ok(()),
            _ => Err(Error::Disconnected),
        }
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        params: &RawValue,
        within: Duration,
    ) -> Result<Json, Error> {
        self.ask(method, params, within, Reply::Call).await
    }

    /// Calls a method that pushes from then on; of what it pushes, `queue` may wait.
    pub(crate) async fn subscribe(
        &self,
        method: &str,
        params: &RawValue,
        queue: usize,
    ) -> Result<(Json, Route), Error> {
        let reply = |sender| Reply::Subscribe(sender, queue);
        self.ask(method, params, self.config.call_timeout, reply)
            .await
    }

    async fn ask<T>(
        &self,
        method: &str,
        params: &RawValue,
        within: Duration,
        reply: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Reply,
    ) -> Result<T, Error> {
        // A time too long to be added to the clock is no time limit worth the name.
        let longest = Duration::from_secs(365 * 86_400);
        let deadline = Instant::now() + within.min(longest);
        let permit = timeout_at(deadline, Arc::clone(&self.in_flight).acquire_owned())
            .await
            .map_err(|_| Error::TimedOut)?
            .map_err(|_| Error::Disconnected)?;
        let (sender, receiver) = oneshot::channel();
        self.send(method, params, reply(sender), permit)?;
        match timeout_at(deadline, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Disconnected),
            Err(_) => Err(Error::TimedOut),
        }
    }

    fn send(
        &self,
        method: &str,
        params: &RawValue,
        reply: Reply,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), Error> {
        let mut state = self.state();
        let session = state.session.as_mut().ok_or(Error::Disconnected)?;
        let (id, request_bytes) = session.write(method, params)?;
        let pending = Pending {
            reply,
            request_bytes,
            _permit: permit,
        };
        session.pending.insert(id, pending);
        Ok(())
    }

    /// Takes one message of the daemon. The connection calls it in the order of the messages, so a
    /// subscription has its route before its first alert comes.
    pub(crate) fn receive(self: &Arc<Self>, text: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(text) else {
            return;
        };
        match (message.method.as_deref(), message.params) {
            (Some("alert"), Some(params)) => self.deliver(DeliveryKind::Alert, params),
            (Some("alertBookmark"), Some(params)) => self.deliver(DeliveryKind::Bookmark, params),
            (Some("alertClosed"), Some(params)) => self.deliver(DeliveryKind::Closed, params),
            (Some("assignment"), Some(params)) => self.deliver(DeliveryKind::Assignment, params),
            (Some(_), _) => {}
            (None, _) => self.answer(message),
        }
    }

    fn answer(self: &Arc<Self>, message: Message<'_>) {
        let pending = {
            let mut state = self.state();
            let Some(session) = state.session.as_mut() else {
                return;
            };
            match message.id {
                Some(id) => session.pending.remove(&id),
                None => session.unnamed(message.error.as_ref()),
            }
        };
        let Some(Pending { reply, .. }) = pending else {
            return;
        };
        if let Some(error) = message.error {
            return reply.fail(Error::from_daemon(error));
        }
        match reply {
            Reply::Call(sender) => {
                let _gone = sender.send(Ok(message.result.map_or_else(null, RawValue::to_owned)));
            }
            Reply::Subscribe(sender, queue) => {
                let answer = message.result.map_or_else(null, RawValue::to_owned);
                let route = serde_json::from_str::<Routing<'_>>(answer.get())
                    .map_err(|error| Error::Protocol(error.to_string()))
                    .and_then(|routing| self.route(routing.subscription.into_owned(), queue));
                let answer = route.map(|route| (answer, route));
                // If nobody waits any more, the route that comes back unsubscribes.
                let _gone = sender.send(answer);
            }
        }
    }

    fn route(self: &Arc<Self>, subscription: String, queue: usize) -> Result<Route, Error> {
        let (sender, queue) = mpsc::channel(queue.max(1));
        let mut state = self.state();
        let number = state.number;
        let session = state.session.as_mut().ok_or(Error::Disconnected)?;
        session.routes.insert(subscription.clone(), sender);
        Ok(Route {
            shared: Arc::clone(self),
            number,
            subscription,
            queue,
        })
    }

    fn deliver(&self, kind: DeliveryKind, params: &RawValue) {
        let Ok(Routing {
            subscription,
            cursor,
        }) = serde_json::from_str(params.get())
        else {
            return;
        };
        let mut state = self.state();
        let Some(session) = state.session.as_mut() else {
            return;
        };
        // Of one that was given up, the last alerts may still be under way.
        let Some(queue) = session.routes.get(subscription.as_ref()) else {
            return;
        };
        if queue
            .try_send(Delivery {
                kind,
                cursor,
                params: params.to_owned(),
            })
            .is_err()
        {
            // Its consumer is too slow: it empties the queue, finds it ended and resumes.
            session.unsubscribe(&subscription);
        } else if kind == DeliveryKind::Closed {
            session.routes.remove(subscription.as_ref());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and what it guards is whole at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Hands a call to the connection: its id and its length. If the connection has just gone, it
    /// is about to be said.
    fn write(&mut self, method: &str, params: &RawValue) -> Result<(u64, usize), Error> {
        let id = self.next_id;
        let request = request(id, method, params);
        let request_bytes = request.len();
        self.outgoing
            .send(request)
            .map_err(|_| Error::Disconnected)?;
        self.next_id += 1;
        Ok((id, request_bytes))
    }

    fn unsubscribe(&mut self, subscription: &str) {
        if self.routes.remove(subscription).is_some()
            && let Ok(params) = to_json(&[subscription])
        {
            // Nobody waits for the answer; if the connection has gone, so has the subscription.
            let _gone = self.write("alerts.unsubscribe", &params);
        }
    }

    /// Takes the call that is meant by an answer without an id: an error that the daemon could not
    /// tell the call of. If a request was too large the longest was, and each that is gets an error.
    fn unnamed(&mut self, error: Option<&ErrorObject>) -> Option<Pending> {
        let is_too_large = error.is_some_and(|error| error.code == REQUEST_TOO_LARGE);
        if !is_too_large && self.pending.len() > 1 {
            return None;
        }
        let longest = self
            .pending
            .iter()
            .max_by_key(|(_, call)| call.request_bytes);
        let id = *longest?.0;
        self.pending.remove(&id)
    }
}

impl Reply {
    fn fail(self, error: Error) {
        // Who no longer waits need not be told.
        match self {
            Self::Call(sender) => drop(sender.send(Err(error))),
            Self::Subscribe(sender, _) => drop(sender.send(Err(error))),
        }
    }
}

impl Route {
    /// The next notification; nothing once the subscription was given up or its connection lost.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        self.queue.recv().await
    }

    /// The number of its connection.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether its connection is still there.
    pub(crate) fn is_connected(&self) -> bool {
        self.shared.present() == Some(self.number)
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.number == self.number
            && let Some(session) = state.session.as_mut()
        {
            session.unsubscribe(&self.subscription);
        }
    }
}
