//! One accepted socket, as the HTTP library sees it. What is written is gathered and leaves in one
//! system call for all that is ready at the moment; while the peer takes nothing, nothing is read
//! from it either, and after the write time-out it is given up.
//!
//! jsonrpsee flushes after each message, so without the gathering every answer would be a system
//! call of its own; and it reads and starts calls whether or not their answers find a taker.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::gate::Gate;

/// Above so much, those who write must wait.
const HIGH_WATER_BYTES: usize = 64 << 10;
/// An idle connection keeps no larger buffer than this.
const RETAINED_BYTES: usize = 8 << 10;

/// The connected stream of either listener.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Unix(stream) => stream.poll_read_ready(context),
        }
    }

    fn try_read(&self, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }

    /// Tells the peer that nothing more comes. That it is gone already is no error.
    fn end(&self) {
        let _ = match self {
            Self::Tcp(stream) => rustix::net::shutdown(stream, Shutdown::Write),
            Self::Unix(stream) => rustix::net::shutdown(stream, Shutdown::Write),
        };
    }
}

/// What is on its way out, shared by the socket, the task that writes and whoever wants to close.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// The peer takes nothing at the moment.
    blocked: bool,
    /// Nothing more will be written; what is in the buffer still leaves.
    finished: bool,
    /// Nothing more is read: the connection comes to its end in an orderly way.
    cut: bool,
    /// Nothing can be written any more, and why.
    failed: Option<io::ErrorKind>,
    /// The task that writes is through.
    ended: bool,
    /// Wait for: something to write; room in the buffer or the end; permission to read.
    flusher: Option<Waker>,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl Outgoing {
    /// Lets the connection come to its end: what was answered still leaves, nothing more is read.
    pub(super) fn cut(&self) {
        let mut state = self.lock();
        state.cut = true;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    fn finish(&self) {
        let mut state = self.lock();
        state.finished = true;
        let flusher = state.flusher.take();
        drop(state);
        wake(flusher);
    }

    fn set_blocked(&self, blocked: bool) {
        let mut state = self.lock();
        state.blocked = blocked;
        let reader = if blocked { None } else { state.reader.take() };
        drop(state);
        wake(reader);
    }

    fn end(&self, failed: Option<io::ErrorKind>) {
        let mut state = self.lock();
        state.ended = true;
        state.failed = failed;
        state.buffer = Vec::new();
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        wake(reader);
        wake(writer);
    }

    /// Exchanges what was gathered for the empty `batch`; `false` when nothing more will come.
    fn poll_batch(&self, context: &Context<'_>, batch: &mut Vec<u8>) -> Poll<bool> {
        let mut state = self.lock();
        if state.buffer.is_empty() {
            if state.finished {
                return Poll::Ready(false);
            }
            state.flusher = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut state.buffer, batch);
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The socket, for the HTTP library. Dropping it lets what was written leave, then closes.
#[derive(Debug)]
pub(super) struct Socket<S: Send + Sync + 'static> {
    stream: Arc<(Stream, S)>,
    outgoing: Arc<Outgoing>,
    gate: Arc<Gate>,
}

impl<S: Send + Sync + 'static> Socket<S> {
    /// Takes a stream over and spawns the task that writes to it. `slot` is dropped when the
    /// stream is closed.
    pub(super) fn spawn(
        stream: Stream,
        slot: S,
        outgoing: Arc<Outgoing>,
        gate: Arc<Gate>,
        write_timeout: Duration,
    ) -> Self {
        let stream = Arc::new((stream, slot));
        let flushed = Arc::clone(&stream);
        let (flushing, flushed_gate) = (Arc::clone(&outgoing), Arc::clone(&gate));
        tokio::spawn(async move {
            let outcome = flush(&flushed.0, &flushing, &flushed_gate, write_timeout).await;
            flushed.0.end();
            flushing.end(outcome.err().map(|error| error.kind()));
        });
        Self {
            stream,
            outgoing,
            gate,
        }
    }
}

impl<S: Send + Sync + 'static> Drop for Socket<S> {
    fn drop(&mut self) {
        self.outgoing.finish();
    }
}

/// Writes what is gathered until nothing more comes.
async fn flush(
    stream: &Stream,
    outgoing: &Outgoing,
    gate: &Gate,
    write_timeout: Duration,
) -> io::Result<()> {
    let mut batch = Vec::new();
    while std::future::poll_fn(|context| outgoing.poll_batch(context, &mut batch)).await {
        write_all(stream, outgoing, &batch, write_timeout).await?;
        gate.taken(batch.len() as u64);
        if batch.capacity() > RETAINED_BYTES {
            batch = Vec::new();
        } else {
            batch.clear();
        }
    }
    Ok(())
}

async fn write_all(
    stream: &Stream,
    outgoing: &Outgoing,
    bytes: &[u8],
    write_timeout: Duration,
) -> io::Result<()> {
    let mut written = 0;
    let mut blocked_until = None;
    while written < bytes.len() {
        match stream.try_write(&bytes[written..]) {
            Ok(count) => {
                written += count;
                blocked_until = None;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                outgoing.set_blocked(true);
                let deadline = *blocked_until.get_or_insert_with(|| Instant::now() + write_timeout);
                tokio::time::timeout_at(deadline, stream.writable())
                    .await
                    .map_err(|_| io::ErrorKind::TimedOut)??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    outgoing.set_blocked(false);
    Ok(())
}

impl<S: Send + Sync + 'static> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        {
            let mut state = self.outgoing.lock();
            if let Some(kind) = state.failed {
                return Poll::Ready(Err(kind.into()));
            }
            if state.cut {
                return Poll::Ready(Ok(()));
            }
            // Also where nothing is blocked: the end must wake a reader that waits for the peer.
            state.reader = Some(context.waker().clone());
            if state.blocked {
                return Poll::Pending;
            }
        }
        ready!(self.gate.poll_room(context));
        loop {
            ready!(self.stream.0.poll_read_ready(context))?;
            match self.stream.0.try_read(buffer) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<S: Send + Sync + 'static> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.outgoing.lock();
        if state.ended || state.finished {
            return Poll::Ready(Err(state
                .failed
                .unwrap_or(io::ErrorKind::BrokenPipe)
                .into()));
        }
        let room = HIGH_WATER_BYTES.saturating_sub(state.buffer.len());
        if room == 0 {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room);
        state.buffer.extend_from_slice(&bytes[..count]);
        let flusher = state.flusher.take();
        drop(state);
        wake(flusher);
        Poll::Ready(Ok(count))
    }

    /// Says only that the bytes are on their way: the task that writes runs next.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.outgoing.lock().failed {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.finish();
        let mut state = self.outgoing.lock();
        if state.ended {
            return Poll::Ready(state.failed.map_or(Ok(()), |kind| Err(kind.into())));
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }
}
