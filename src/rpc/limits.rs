//! The numbers that bound what one peer, or all of them, can cost the daemon. Every limit of the
//! transport is here; none is left to a library's default.

use std::time::Duration;

/// Limits of the transport. The defaults suit one machine with a few hundred clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sockets open at the same time, of each listener: strangers can take all of TCP, but none of
    /// the Unix socket.
    pub max_connections: u32,
    /// One request, a whole batch included.
    pub max_request_bytes: u32,
    /// One answer; a larger one is `answerTooLarge`.
    pub max_answer_bytes: usize,
    /// Entries of one batch.
    pub max_batch_length: u32,
    /// Calls of one connection that are carried out at the same time; further ones wait their turn.
    pub max_calls_in_flight: usize,
    /// Waits and long polls of one connection; a further one is `overloaded`.
    pub max_waits: usize,
    /// Subscriptions of one connection; a further one is `overloaded`.
    pub max_subscriptions: u32,
    /// Messages that may be queued for one connection before those who send must wait.
    pub max_queued_messages: u32,
    /// Bytes of answers that a connection has not taken yet, above which none of its calls starts.
    pub max_unsent_bytes: u64,
    /// Bytes of requests that are held for a connection, above which it is not read from.
    pub max_held_bytes: usize,
    /// From the first moment of a request, or of idleness, to the end of its HTTP head.
    pub header_timeout_ms: u64,
    /// From the end of the HTTP head to the end of the body.
    pub body_timeout_ms: u64,
    /// How long a peer may take nothing while there is something to send to it.
    pub write_timeout_ms: u64,
    /// How often a WebSocket is pinged; one that is silent for twice as long is closed.
    pub ping_interval_ms: u64,
    /// How long a WebSocket without a valid token stays open.
    pub unauthenticated_timeout_ms: u64,
    /// How long calls in flight may take to end once the server stops.
    pub stop_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_request_bytes: 4 << 20,
            max_answer_bytes: 16 << 20,
            max_batch_length: 256,
            max_calls_in_flight: 256,
            max_waits: 64,
            max_subscriptions: 256,
            max_queued_messages: 128,
            max_unsent_bytes: 1 << 20,
            max_held_bytes: 8 << 20,
            header_timeout_ms: 5_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 10_000,
            ping_interval_ms: 30_000,
            unauthenticated_timeout_ms: 5_000,
            stop_timeout_ms: 1_000,
        }
    }
}

impl Limits {
    pub(super) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    pub(super) fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}
