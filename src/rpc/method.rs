//! The table of methods and the shape of a handler.
//!
//! A handler is called synchronously, in the order in which its connection sent the calls. It
//! reads the parameters and hands its command over *before* it returns; what it returns then at
//! most awaits the reply. So the order of calls is the order of commands, and a client that leaves
//! takes nothing back: dropping the future forgets the reply, not the command.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use opstead_schema::{ErrorCode, ErrorObject};
use serde::Serialize;
use serde_json::value::RawValue;

use super::connection::Connection;
use super::push::{Opened, PushSink};

/// A future that is still to be awaited.
pub type Later<T> = Pin<Box<dyn Future<Output = Result<T, ErrorObject>> + Send>>;

type Handler = Box<dyn Fn(Call<'_>) -> Result<Reply, ErrorObject> + Send + Sync>;
pub(super) type Subscriber =
    Arc<dyn Fn(Call<'_>, PushSink) -> Result<Later<Opened>, ErrorObject> + Send + Sync>;

/// One call, for its handler.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The name it was called by.
    pub method: &'a str,
    /// The JSON text of the parameters: an object or an array, or nothing.
    pub params: Option<&'a str>,
    /// Who called.
    pub connection: &'a Arc<Connection>,
    /// Writes the answer, within the limit.
    pub answerer: Answerer,
}

/// What a handler gives back.
pub enum Reply {
    /// The answer.
    Now(Answer),
    /// The answer will come by itself, soon. The call counts as in flight.
    Soon(Later<Answer>),
    /// The answer comes when something happens or a time is over: a wait or a long poll. It does
    /// not count as in flight, has a bound of its own, and is given up when the daemon stops; it
    /// may be dropped before it was polled, so it must not have changed anything.
    Wait(Later<Answer>),
}

impl Reply {
    /// An answer that will come by itself, soon.
    pub fn soon(
        future: impl Future<Output = Result<Answer, ErrorObject>> + Send + 'static,
    ) -> Result<Self, ErrorObject> {
        Ok(Self::Soon(Box::pin(future)))
    }

    /// An answer that waits for something to happen.
    pub fn wait(
        future: impl Future<Output = Result<Answer, ErrorObject>> + Send + 'static,
    ) -> Result<Self, ErrorObject> {
        Ok(Self::Wait(Box::pin(future)))
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Now(answer)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => formatter.debug_tuple("Now").field(answer).finish(),
            Self::Soon(_) => formatter.write_str("Soon"),
            Self::Wait(_) => formatter.write_str("Wait"),
        }
    }
}

/// Text that was written as JSON a moment ago, taken without being read again.
#[expect(
    unsafe_code,
    reason = "each alert and each answer would be parsed a second time"
)]
pub(super) fn written(json: String) -> Box<RawValue> {
    // SAFETY: those who call this pass what serde_json wrote, or such values put into an object
    // with constant keys; so it is one JSON value with nothing around it. Tests check it.
    unsafe { RawValue::from_string_unchecked(json) }
}

/// The JSON of a result.
#[derive(Debug, Clone)]
pub struct Answer(pub(super) Box<RawValue>);

impl Answer {
    /// JSON that is already there. Its size is checked before it is sent.
    #[must_use]
    pub fn raw(json: Box<RawValue>) -> Self {
        Self(json)
    }

    /// The JSON of something small: nothing that holds a list.
    pub fn small(value: &(impl Serialize + ?Sized)) -> Result<Self, ErrorObject> {
        serde_json::value::to_raw_value(value)
            .map(Self)
            .map_err(|error| internal(&error))
    }
}

/// Writes answers of any size: one that is over the limit stops there, as `answerTooLarge`.
#[derive(Debug, Clone, Copy)]
pub struct Answerer {
    max_bytes: usize,
    paged: Option<&'static str>,
}

impl Answerer {
    pub(super) fn new(max_bytes: usize, paged: Option<&'static str>) -> Self {
        Self { max_bytes, paged }
    }

    /// The JSON of `value`.
    pub fn json(&self, value: &(impl Serialize + ?Sized)) -> Result<Answer, ErrorObject> {
        let mut text = Bounded {
            bytes: Vec::with_capacity(256),
            max_bytes: self.max_bytes,
        };
        match serde_json::to_writer(&mut text, value) {
            Ok(()) => {}
            Err(error) if error.is_io() => return Err(self.too_large()),
            Err(error) => return Err(internal(&error)),
        }
        String::from_utf8(text.bytes)
            .map_err(|error| internal(&error))
            .map(|text| Answer(written(text)))
    }

    pub(super) fn check(&self, answer: Answer) -> Result<Answer, ErrorObject> {
        if answer.0.get().len() > self.max_bytes {
            Err(self.too_large())
        } else {
            Ok(answer)
        }
    }

    pub(super) fn too_large(&self) -> ErrorObject {
        let message = match self.paged {
            Some(paged) => format!("the answer is over {} bytes; use {paged}", self.max_bytes),
            None => format!("the answer is over {} bytes", self.max_bytes),
        };
        ErrorObject::with(ErrorCode::AnswerTooLarge, message, |details| {
            details.use_method = self.paged.map(str::to_owned);
        })
    }
}

/// Takes so many bytes and then fails.
struct Bounded {
    bytes: Vec<u8>,
    max_bytes: usize,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.max_bytes {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An answer that cannot be written is a defect, whose details are for the log only.
pub(super) fn internal(error: &dyn fmt::Display) -> ErrorObject {
    tracing::error!(%error, "an answer could not be written");
    internal_error()
}

/// What the caller is told about a defect.
pub(super) fn internal_error() -> ErrorObject {
    ErrorObject {
        code: opstead_schema::INTERNAL_ERROR,
        message: "internal error; see the daemon's log".to_owned(),
        data: None,
    }
}

/// The answer to a name that nobody knows.
#[must_use]
pub fn method_not_found(method: &str) -> ErrorObject {
    let shown: String = method.chars().take(200).collect();
    ErrorObject {
        code: opstead_schema::METHOD_NOT_FOUND,
        message: format!("there is no method {shown:?}"),
        data: None,
    }
}

/// What carries a method out.
pub(super) enum Action {
    Answer(Handler),
    Subscribe(Subscriber),
}

/// One line of the table.
pub(super) struct Method {
    pub(super) action: Action,
    /// What to use instead when the answer is too large.
    pub(super) paged: Option<&'static str>,
    /// Makes no sense over HTTP, where nothing can be pushed.
    pub(super) needs_web_socket: bool,
}

impl Method {
    fn new(action: Action) -> Self {
        Self {
            needs_web_socket: matches!(action, Action::Subscribe(_)),
            action,
            paged: None,
        }
    }
}

/// Every method that the server knows by name, and what happens with other names.
pub struct MethodTable {
    methods: HashMap<&'static str, Method>,
    fallback: Handler,
}

impl Default for MethodTable {
    fn default() -> Self {
        Self {
            methods: HashMap::new(),
            fallback: Box::new(|call| Err(method_not_found(call.method))),
        }
    }
}

impl MethodTable {
    /// Adds a method.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn method<H>(&mut self, name: &'static str, handler: H)
    where
        H: Fn(Call<'_>) -> Result<Reply, ErrorObject> + Send + Sync + 'static,
    {
        self.insert(name, Method::new(Action::Answer(Box::new(handler))));
    }

    /// Adds a method that answers over a WebSocket only.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn web_socket_method<H>(&mut self, name: &'static str, handler: H)
    where
        H: Fn(Call<'_>) -> Result<Reply, ErrorObject> + Send + Sync + 'static,
    {
        let method = Method {
            needs_web_socket: true,
            ..Method::new(Action::Answer(Box::new(handler)))
        };
        self.insert(name, method);
    }

    /// Adds a method whose answer can grow over the limit; `paged` is then named in its place.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn unpaged_method<H>(&mut self, name: &'static str, paged: &'static str, handler: H)
    where
        H: Fn(Call<'_>) -> Result<Reply, ErrorObject> + Send + Sync + 'static,
    {
        let method = Method {
            paged: Some(paged),
            ..Method::new(Action::Answer(Box::new(handler)))
        };
        self.insert(name, method);
    }

    /// Adds a method that answers and then pushes, so that it needs a WebSocket.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn subscription<H>(&mut self, name: &'static str, handler: H)
    where
        H: Fn(Call<'_>, PushSink) -> Result<Later<Opened>, ErrorObject> + Send + Sync + 'static,
    {
        self.insert(name, Method::new(Action::Subscribe(Arc::new(handler))));
    }

    /// Says what happens with names that are not in the table. It answers [`method_not_found`] if
    /// it does not know the name either.
    pub fn fallback<H>(&mut self, handler: H)
    where
        H: Fn(Call<'_>) -> Result<Reply, ErrorObject> + Send + Sync + 'static,
    {
        self.fallback = Box::new(handler);
    }

    /// The names in the table, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.methods.keys().copied()
    }

    /// Whether the method of this name is in the table and needs a WebSocket.
    #[must_use]
    pub fn needs_web_socket(&self, name: &str) -> bool {
        self.get(name).is_some_and(|method| method.needs_web_socket)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Method> {
        self.methods.get(name)
    }

    pub(super) fn other(&self) -> &Handler {
        &self.fallback
    }

    pub(super) fn subscriptions(&self) -> impl Iterator<Item = (&'static str, &Subscriber)> {
        self.methods
            .iter()
            .filter_map(|(name, method)| match &method.action {
                Action::Subscribe(subscriber) => Some((*name, subscriber)),
                Action::Answer(_) => None,
            })
    }

    fn insert(&mut self, name: &'static str, method: Method) {
        let taken = self.methods.insert(name, method);
        assert!(taken.is_none(), "the method {name} is registered twice");
    }
}

impl fmt::Debug for MethodTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.methods.keys()).finish()
    }
}
