//! The load itself: connections that each keep so many requests in flight, and ask the next one
//! when one has ended. What a request is, and when it has ended, is its script's business.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use crate::websocket::WebSocket;

/// What one connection asks.
pub(crate) trait Script: Send + 'static {
    /// Appends the message that asks request `id`. Ids only grow.
    fn ask(&mut self, id: u64, message: &mut Vec<u8>);

    /// The request that ends with this message, if one does; an error if the server refused.
    fn ended(&mut self, message: &[u8]) -> anyhow::Result<Option<u64>>;
}

/// A connection with its script; it serves many rounds.
pub(crate) struct Client<S> {
    socket: WebSocket,
    script: S,
    next_id: u64,
}

/// How much of it at a time.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// Of each connection.
    pub(crate) in_flight: usize,
}

/// What a round took.
pub(crate) struct Round {
    pub(crate) elapsed: Duration,
    /// From the request to its end, in ascending order; one for each request.
    pub(crate) latencies: Vec<Duration>,
}

/// All connections of one load.
pub(crate) struct Clients<S> {
    clients: Vec<Client<S>>,
    in_flight: usize,
}

impl<S: Script> Clients<S> {
    /// Connects; `script` is given the number of the connection.
    pub(crate) async fn connect(
        address: SocketAddr,
        token: Option<&str>,
        load: Load,
        mut script: impl AsyncFnMut(usize, &mut WebSocket) -> anyhow::Result<S>,
    ) -> anyhow::Result<Self> {
        let mut clients = Vec::with_capacity(load.connections);
        for number in 0..load.connections {
            let mut socket = WebSocket::connect(address, token).await?;
            let script = script(number, &mut socket).await?;
            clients.push(Client {
                socket,
                script,
                next_id: 1,
            });
        }
        Ok(Self {
            clients,
            in_flight: load.in_flight,
        })
    }

    /// Asks `requests` requests and waits for the end of each.
    pub(crate) async fn run(&mut self, requests: usize) -> anyhow::Result<Round> {
        let tickets = Arc::new(AtomicUsize::new(requests));
        let mut running = JoinSet::new();
        let start = Instant::now();
        for client in self.clients.drain(..) {
            running.spawn(drive(client, self.in_flight, Arc::clone(&tickets)));
        }
        let mut latencies = Vec::with_capacity(requests);
        while let Some(ended) = running.join_next().await {
            let (client, some) = ended.context("a connection's task")??;
            self.clients.push(client);
            latencies.extend(some);
        }
        let elapsed = start.elapsed();
        latencies.sort_unstable();
        Ok(Round { elapsed, latencies })
    }
}

/// Takes tickets until there are none, then waits for what is still open.
async fn drive<S: Script>(
    mut client: Client<S>,
    in_flight: usize,
    tickets: Arc<AtomicUsize>,
) -> anyhow::Result<(Client<S>, Vec<Duration>)> {
    let (base, slots) = (client.next_id, in_flight as u64);
    // A request's slot is its id modulo the slots; the next one of a slot comes when it is free.
    let mut asked = vec![Instant::now(); in_flight];
    let mut latencies = Vec::new();
    let mut message = Vec::new();
    let mut open = 0;
    for slot in 0..slots {
        if take(&tickets) {
            client.ask(base + slot, &mut message);
            open += 1;
        }
    }
    client.next_id += open;
    asked.fill(Instant::now());
    client.socket.flush().await?;
    while open > 0 {
        client.socket.receive().await?;
        let now = Instant::now();
        while let Some(incoming) = client.socket.incoming.next(&mut client.socket.outgoing)? {
            let Some(id) = client.script.ended(incoming)? else {
                continue;
            };
            let slot = ((id - base) % slots) as usize;
            latencies.push(now - asked[slot]);
            open -= 1;
            if take(&tickets) {
                let id = id + slots;
                asked[slot] = now;
                client.next_id = client.next_id.max(id + 1);
                message.clear();
                client.script.ask(id, &mut message);
                client.socket.outgoing.text(&message);
                open += 1;
            }
        }
        client.socket.flush().await?;
    }
    Ok((client, latencies))
}

impl<S: Script> Client<S> {
    fn ask(&mut self, id: u64, message: &mut Vec<u8>) {
        message.clear();
        self.script.ask(id, message);
        self.socket.outgoing.text(message);
    }
}

fn take(tickets: &AtomicUsize) -> bool {
    let taken = tickets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}
