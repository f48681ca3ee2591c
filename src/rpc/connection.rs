//! What is known and kept about one connection: who it is, what it may do, how many waits and
//! which subscriptions it has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opstead_schema::{ErrorCode, ErrorObject};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::auth::Access;
use super::errors::overloaded;
use super::gate::Gate;
use super::limits::Limits;
use super::socket::Outgoing;

/// So many calls of a connection without access are answered before it is closed.
const MAX_REFUSALS: usize = 5;

/// The socket's own part, the same for every request that comes over it.
#[derive(Debug)]
pub(super) struct Link {
    /// Unique among all connections since the daemon started.
    pub(super) id: u64,
    pub(super) gate: Arc<Gate>,
    pub(super) outgoing: Arc<Outgoing>,
}

/// How a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    WebSocket,
}

/// One WebSocket, or one HTTP request, and who is behind it.
#[derive(Debug)]
pub struct Connection {
    link: Arc<Link>,
    access: Access,
    transport: Transport,
    refusals: AtomicUsize,
    waits: AtomicUsize,
    max_waits: usize,
    subscriptions: Mutex<HashMap<String, Subscription>>,
    subscription_places: Arc<Semaphore>,
    next_subscription: AtomicU64,
    max_subscriptions: u32,
}

/// A subscription that has been answered.
#[derive(Debug)]
struct Subscription {
    ended: Arc<Notify>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(
        link: Arc<Link>,
        access: Access,
        transport: Transport,
        limits: &Limits,
    ) -> Self {
        Self {
            link,
            access,
            transport,
            refusals: AtomicUsize::new(0),
            waits: AtomicUsize::new(0),
            max_waits: limits.max_waits,
            subscriptions: Mutex::default(),
            next_subscription: AtomicU64::new(1),
            subscription_places: Arc::new(Semaphore::new(limits.max_subscriptions as usize)),
            max_subscriptions: limits.max_subscriptions,
        }
    }

    /// Unique among all connections since the daemon started.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.link.id
    }

    /// Who calls, as `registeredBy` shows it: `token:admin`, `uid:0`.
    #[must_use]
    pub fn identity(&self) -> Arc<str> {
        match &self.access {
            Access::Granted(identity) => Arc::clone(identity),
            // No handler is called for anybody else.
            Access::Unauthenticated | Access::Denied => Arc::from("nobody"),
        }
    }

    /// A name for a new subscription, unique among all connections since the daemon started.
    #[must_use]
    pub fn new_subscription(&self) -> String {
        let number = self.next_subscription.fetch_add(1, Ordering::Relaxed);
        format!("{}.{number}", self.link.id)
    }

    /// Ends a subscription of this connection; `false` if it has none of this name.
    pub fn unsubscribe(&self, subscription: &str) -> bool {
        let Some(subscription) = self.subscriptions().remove(subscription) else {
            return false;
        };
        subscription.ended.notify_one();
        true
    }

    /// Closes the connection once what was answered has left.
    pub(super) fn cut(&self) {
        self.link.outgoing.cut();
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.link.gate
    }

    /// Why this caller gets nothing, if so. After a few refusals the connection is closed.
    pub(super) fn refusal(&self) -> Option<ErrorObject> {
        let error = match &self.access {
            Access::Granted(_) => return None,
            Access::Unauthenticated => ErrorObject::new(
                ErrorCode::Unauthenticated,
                "a valid `Authorization: Bearer <token>` is needed; the token is in admin.token in the data folder",
            ),
            Access::Denied => ErrorObject::new(
                ErrorCode::PermissionDenied,
                "only the daemon's own user and root may use this socket",
            ),
        };
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        if refusals >= MAX_REFUSALS && self.transport == Transport::WebSocket {
            self.cut();
        }
        Some(error)
    }

    /// Takes one of the connection's places for waits.
    pub(super) fn start_wait(self: &Arc<Self>) -> Result<WaitPlace, ErrorObject> {
        let place = WaitPlace(Arc::clone(self));
        if self.waits.fetch_add(1, Ordering::Relaxed) < self.max_waits {
            return Ok(place);
        }
        Err(overloaded(format!(
            "this connection has {} waits already",
            self.max_waits
        )))
    }

    /// Takes one of the connection's places for subscriptions, before any work is done for it.
    pub(super) fn start_subscription(&self) -> Result<OwnedSemaphorePermit, ErrorObject> {
        let place = Arc::clone(&self.subscription_places).try_acquire_owned();
        place.map_err(|_| {
            overloaded(format!(
                "this connection has {} subscriptions already",
                self.max_subscriptions
            ))
        })
    }

    /// Adds a subscription; what it returns resolves when somebody unsubscribes.
    pub(super) fn subscribe(&self, name: &str, place: OwnedSemaphorePermit) -> Arc<Notify> {
        let ended = Arc::new(Notify::new());
        let subscription = Subscription {
            ended: Arc::clone(&ended),
            _place: place,
        };
        self.subscriptions().insert(name.to_owned(), subscription);
        ended
    }

    fn subscriptions(&self) -> MutexGuard<'_, HashMap<String, Subscription>> {
        // Each change is a single call, so a poisoned map is a whole one.
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for a wait, given back when dropped.
#[derive(Debug)]
pub(super) struct WaitPlace(Arc<Connection>);

impl Drop for WaitPlace {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::Relaxed);
    }
}
