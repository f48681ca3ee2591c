//! Notifications of our own shape. jsonrpsee wraps what a subscription sends into
//! `{subscription, result}`; the protocol wants the literal `{"method":"alert","params":{…}}`. So
//! a subscribing method gets the connection's raw sink: its answer goes in first, then whatever
//! its pump sends, in that order.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::core::server::{MethodCallback, Methods, ResponsePayload};
use jsonrpsee::types::{Id, Params};
use jsonrpsee::{Extensions, MethodResponse, MethodSink};
use opstead_schema::ErrorObject;
use serde_json::value::RawValue;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::connection::Connection;
use super::method::{Answer, Answerer, Call, Later, MethodTable, Subscriber};
use super::middleware::error_response;

/// The way to one connection, for a subscription's pump.
#[derive(Debug, Clone)]
pub struct PushSink {
    sink: MethodSink,
    connection: Arc<Connection>,
}

/// The client is gone; nothing can be pushed to it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct ConnectionClosed;

impl PushSink {
    /// Sends a whole JSON-RPC message as it is. Waits while the connection's queue is full, so a
    /// slow client slows only its own pump.
    pub async fn send(&self, message: Box<RawValue>) -> Result<(), ConnectionClosed> {
        self.connection.gate().made(wire_bytes(message.get().len()));
        self.sink.send(message).await.map_err(|_| ConnectionClosed)
    }

    /// Closes the connection once what was answered has left.
    pub fn close(&self) {
        self.connection.cut();
    }

    /// Resolves when the client is gone.
    pub async fn closed(&self) {
        self.sink.closed().await;
    }
}

/// A subscription that was accepted.
pub struct Opened {
    /// Its name, by which [`Connection::unsubscribe`] ends it.
    pub subscription: String,
    /// What the call is answered, before anything is pushed.
    pub answer: Answer,
    /// Pushes until there is nothing more; dropped at once when the client unsubscribes or leaves.
    pub pump: BoxFuture<'static, ()>,
}

/// Makes the library's callbacks of the subscribing methods of the table.
pub(super) fn callbacks(table: &MethodTable) -> Result<Methods, RegisterMethodError> {
    let mut methods = Methods::new();
    for (name, subscriber) in table.subscriptions() {
        let subscriber = Arc::clone(subscriber);
        let callback =
            MethodCallback::Subscription(Arc::new(move |id, params, sink, state, extensions| {
                let id = id.into_owned();
                match open(name, &subscriber, &params, sink, &extensions) {
                    // The library's own count is held for as long as the subscription lives.
                    Ok(opening) => opening.run(id, state.subscription_permit).boxed(),
                    Err(error) => std::future::ready(error_response(id, error)).boxed(),
                }
            }));
        methods.verify_and_insert(name, callback)?;
    }
    Ok(methods)
}

/// A subscription whose handler has been called and is to be awaited.
struct Opening {
    push: PushSink,
    place: OwnedSemaphorePermit,
    later: Later<Opened>,
}

fn open(
    name: &'static str,
    subscriber: &Subscriber,
    params: &Params<'_>,
    sink: MethodSink,
    extensions: &Extensions,
) -> Result<Opening, ErrorObject> {
    let connection = extensions
        .get::<Arc<Connection>>()
        .expect("the middleware put it there");
    let place = connection.start_subscription()?;
    let push = PushSink {
        sink,
        connection: Arc::clone(connection),
    };
    let call = Call {
        method: name,
        params: params.as_str(),
        connection,
        answerer: Answerer::new(usize::MAX, None),
    };
    let later = subscriber(call, push.clone())?;
    Ok(Opening { push, place, later })
}

impl Opening {
    async fn run(self, id: Id<'static>, permit: impl Send + 'static) -> MethodResponse {
        let Self { push, place, later } = self;
        let opened = match later.await {
            Ok(opened) => opened,
            Err(error) => return error_response(id, error),
        };
        let ended = push.connection.subscribe(&opened.subscription, place);
        let response = MethodResponse::subscription_response(
            id,
            ResponsePayload::success(&*opened.answer.0),
            usize::MAX,
        );
        if push.send(response.to_json()).await.is_ok() {
            tokio::spawn(pump(push, opened.subscription, opened.pump, ended, permit));
        } else {
            push.connection.unsubscribe(&opened.subscription);
        }
        response
    }
}

async fn pump(
    push: PushSink,
    subscription: String,
    pump: BoxFuture<'static, ()>,
    ended: Arc<Notify>,
    _permit: impl Send + 'static,
) {
    let outcome = tokio::select! {
        // In this order: a pump that may go on could send after the answer that it has ended.
        biased;
        () = ended.notified() => Ok(()),
        () = push.closed() => Ok(()),
        outcome = std::panic::AssertUnwindSafe(pump).catch_unwind() => outcome,
    };
    push.connection.unsubscribe(&subscription);
    if outcome.is_err() {
        // A subscriber must not go on believing that it would be told: let it come back.
        tracing::error!(subscription, "the pump of a subscription panicked");
        push.connection.cut();
    }
}

/// The size of a text frame with so much in it.
pub(super) fn wire_bytes(payload: usize) -> u64 {
    let head = match payload {
        0..126 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    };
    (payload + head) as u64
}
