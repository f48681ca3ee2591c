//! What every call passes on its way to its handler, in all three shapes in which the library hands
//! calls over (call, batch, notification): access, the order of the connection, the shape of the
//! parameters, the bounds of waits, the fence around panics, the size of the answer.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use jsonrpsee::MethodResponse;
use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, Request, RpcServiceT};
use jsonrpsee::core::server::{BatchResponseBuilder, ResponsePayload};
use jsonrpsee::types::{ErrorObject as WireError, Id};
use opstead_schema::{ErrorCode, ErrorObject};
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::connection::{Connection, Transport};
use super::method::{
    Action, Answer, Answerer, Call, Later, Method, MethodTable, Reply, internal_error,
};
use super::push::wire_bytes;

/// Marks an HTTP response that must have no body: nothing in the request wanted an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoAnswer;

/// What a connection's calls need, shared by all of them.
pub(super) struct Session {
    pub(super) table: Arc<MethodTable>,
    pub(super) connection: Arc<Connection>,
    pub(super) max_answer_bytes: usize,
    /// Turns to `true` when the server stops.
    pub(super) stopping: watch::Receiver<bool>,
}

/// See the module. `S` is the library's own service, which is asked for subscriptions only.
#[derive(Clone)]
pub(super) struct Middleware<S> {
    pub(super) inner: S,
    pub(super) session: Arc<Session>,
}

impl<S> RpcServiceT for Middleware<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let session = Arc::clone(&self.session);
        // The library's service is several pointers; only what pushes needs a copy of it.
        let inner = session.pushes(&request).then(|| self.inner.clone());
        async move {
            let response = match inner {
                Some(inner) => fenced(&request.id.clone(), session.open(inner, request)).await,
                None => fenced(&request.id.clone(), session.answer(request)).await,
            };
            if !response.is_subscription() {
                session.announce(&response);
            }
            response
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let session = Arc::clone(&self.session);
        async move {
            let response = session.answer_batch(batch).await;
            session.announce(&response);
            response
        }
    }

    fn notification<'a>(
        &self,
        _: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        // It does nothing, but whoever has no access has used up one of their attempts.
        let _ = self.session.connection.refusal();
        std::future::ready(no_answer())
    }
}

impl Session {
    /// Whether the call is to be handed to the library with its sink.
    fn pushes(&self, request: &Request<'_>) -> bool {
        self.connection.transport() == Transport::WebSocket
            && self
                .table
                .get(&request.method)
                .is_some_and(Method::subscribes)
    }

    /// Tells the gate what is about to leave.
    fn announce(&self, response: &MethodResponse) {
        if self.connection.transport() == Transport::WebSocket && !response.is_notification() {
            self.connection
                .gate()
                .made(wire_bytes(response.as_ref().len()));
        }
    }

    /// Opens a subscription through the library, which alone has the connection's sink.
    async fn open<S>(&self, inner: S, mut request: Request<'_>) -> MethodResponse
    where
        S: RpcServiceT<MethodResponse = MethodResponse>,
    {
        let _passage = self.connection.gate().enter(params_bytes(&request)).await;
        match self.admit(&request) {
            Ok(()) => {
                request.extensions.insert(Arc::clone(&self.connection));
                inner.call(request).await
            }
            Err(error) => error_response(request.id, error),
        }
    }

    /// Carries one call out.
    async fn answer(&self, request: Request<'_>) -> MethodResponse {
        let passage = self.connection.gate().enter(params_bytes(&request)).await;
        let method = self.table.get(&request.method);
        let answerer = Answerer::new(self.max_answer_bytes, method.and_then(|line| line.paged));
        let reply = self.admit(&request).and_then(|()| {
            let call = Call {
                method: &request.method,
                params: request.params.as_ref().map(|params| params.get()),
                connection: &self.connection,
                answerer,
            };
            if self.connection.transport() == Transport::Http
                && method.is_some_and(|line| line.needs_web_socket)
            {
                return Err(needs_web_socket(call.method));
            }
            match method.map(|line| &line.action) {
                Some(Action::Answer(handler)) => handler(call),
                // Alone it is handed to the library.
                Some(Action::Subscribe(_)) => Err(subscription_in_batch(call.method)),
                None => (self.table.other())(call),
            }
        });
        let answer = match reply {
            Err(error) => Err(error),
            Ok(Reply::Now(answer)) => Ok(answer),
            Ok(Reply::Soon(later)) => later.await,
            Ok(Reply::Wait(later)) => {
                drop(passage);
                self.wait(later).await
            }
        };
        match answer.and_then(|answer| answerer.check(answer)) {
            Ok(answer) => answer_response(request.id, &answer),
            Err(error) => error_response(request.id, error),
        }
    }

    /// What is to be said of a call before its method is looked at.
    fn admit(&self, request: &Request<'_>) -> Result<(), ErrorObject> {
        if let Some(error) = self.connection.refusal() {
            return Err(error);
        }
        match request
            .params
            .as_ref()
            .and_then(|params| first_byte(params))
        {
            None | Some(b'{' | b'[') => Ok(()),
            Some(_) => Err(ErrorObject::invalid_params(
                "params must be an object or an array",
                vec![],
            )),
        }
    }

    async fn wait(&self, later: Later<Answer>) -> Result<Answer, ErrorObject> {
        let _place = self.connection.start_wait()?;
        let mut stopping = self.stopping.clone();
        let stopped = pin!(stopping.wait_for(|stopping| *stopping));
        match select(later, stopped).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(ErrorObject::new(
                ErrorCode::ShuttingDown,
                "the daemon is ending",
            )),
        }
    }

    /// The calls of a batch take effect in their order, like calls that were sent one after
    /// another; none of them waits for another's answer.
    async fn answer_batch(&self, batch: Batch<'_>) -> MethodResponse {
        let mut calls: Vec<Pin<Box<dyn Future<Output = MethodResponse> + Send + '_>>> = Vec::new();
        let mut ids = Vec::new();
        let mut notified = false;
        for entry in batch {
            match entry {
                Ok(BatchEntry::Call(request)) => {
                    let id = request.id.clone();
                    ids.push(id.clone());
                    calls.push(Box::pin(
                        async move { fenced(&id, self.answer(request)).await },
                    ));
                }
                Ok(BatchEntry::Notification(_)) => {
                    let _ = self.connection.refusal();
                    notified = true;
                }
                Err(error) => {
                    let (error, id) = error.into_parts();
                    ids.push(id.clone());
                    let response = MethodResponse::error(id, error);
                    calls.push(Box::pin(std::future::ready(response)));
                }
            }
        }
        if calls.is_empty() && notified {
            return no_answer();
        }
        self.gather(&ids, join(calls).await)
    }

    /// One answer of many, within the limit: those that no longer fit become errors.
    fn gather(&self, ids: &[Id<'_>], responses: Vec<MethodResponse>) -> MethodResponse {
        let too_large = Answerer::new(self.max_answer_bytes, None).too_large();
        // The errors themselves are small; they may go over the limit by as much.
        let mut all = BatchResponseBuilder::new_with_limit(usize::MAX);
        let mut bytes = 0;
        for (id, response) in ids.iter().zip(responses) {
            bytes += response.as_ref().len();
            let response = if bytes > self.max_answer_bytes {
                bytes -= response.as_ref().len();
                error_response(id.clone(), too_large.clone())
            } else {
                response
            };
            if let Err(error) = all.append(response) {
                return error;
            }
        }
        MethodResponse::from_batch(all.finish())
    }
}

impl Method {
    fn subscribes(&self) -> bool {
        matches!(self.action, Action::Subscribe(_))
    }
}

/// Drives all futures; the order of the first polls is the order of the list.
async fn join<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut outcomes: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut running: Vec<_> = futures.into_iter().enumerate().collect();
    std::future::poll_fn(|context| {
        running.retain_mut(|(place, future)| match future.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                outcomes[*place] = Some(outcome);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

/// A panic in a handler becomes an answer; without the fence its caller would wait for ever.
async fn fenced(id: &Id<'_>, call: impl Future<Output = MethodResponse>) -> MethodResponse {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!(panic = panic_message(&*panic), "a handler panicked");
            error_response(id.clone(), internal_error())
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn answer_response(id: Id<'_>, answer: &Answer) -> MethodResponse {
    MethodResponse::response(id, ResponsePayload::success(&*answer.0), usize::MAX)
}

pub(super) fn error_response(id: Id<'_>, error: ErrorObject) -> MethodResponse {
    MethodResponse::error(id, WireError::owned(error.code, error.message, error.data))
}

fn no_answer() -> MethodResponse {
    let mut response = MethodResponse::notification();
    response.extensions_mut().insert(NoAnswer);
    response
}

fn needs_web_socket(method: &str) -> ErrorObject {
    ErrorObject::new(
        ErrorCode::NeedsWebSocket,
        format!("{method} needs a WebSocket, over which alerts are pushed"),
    )
}

fn subscription_in_batch(method: &str) -> ErrorObject {
    ErrorObject {
        code: opstead_schema::INVALID_REQUEST,
        message: format!("{method} cannot be part of a batch"),
        data: None,
    }
}

fn params_bytes(request: &Request<'_>) -> usize {
    request
        .params
        .as_ref()
        .map_or(0, |params| params.get().len())
}

fn first_byte(params: &RawValue) -> Option<u8> {
    params.get().bytes().next()
}
