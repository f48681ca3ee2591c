//! T6: how many alerts a second reach 1,000 subscribers, each on a connection of its own and with a
//! glob of its own that matches every alert of the load.
//!
//! The alerts are those of whole lives. Who registers them is told of their completion like any
//! other subscriber, and so keeps the pace of the deliveries.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Map, json};
use tokio::task::JoinSet;

use super::lives::lives;
use crate::closed_loop::{Clients, Load};
use crate::daemon::{DURABILITY, Daemon};
use crate::report::{self, Report, Target, Usage};
use crate::rounds::{Figures, median};
use crate::scripts::{ALERT_HEAD, Lives, subscribe};
use crate::websocket::WebSocket;
use crate::yardstick::broadcast::{self, Broadcast};

const SUBSCRIBERS: usize = 1_000;
const LOAD: Load = Load {
    connections: 1,
    in_flight: 64,
};
const LIVES: usize = 1_000;
const WARM_UP_LIVES: usize = 100;
/// Registered, started, completed.
const ALERTS_OF_LIFE: usize = 3;

/// Those who only read.
pub(super) struct Subscribers {
    sockets: Vec<WebSocket>,
}

/// What all of them got in a round.
struct Delivered {
    messages: usize,
    bytes: usize,
    elapsed: Duration,
}

impl Subscribers {
    /// Subscribers of the daemon, each with a glob that no other has.
    pub(super) async fn of_daemon(daemon: &Daemon, count: usize) -> anyhow::Result<Self> {
        let mut sockets = Vec::with_capacity(count);
        for number in 0..count {
            let mut socket = daemon.connect().await?;
            subscribe(
                &mut socket,
                &format!("diagnostic.{{task,other-{number}}}.*"),
            )
            .await?;
            sockets.push(socket);
        }
        Ok(Self { sockets })
    }

    async fn of_broadcast(server: &Broadcast, count: usize) -> anyhow::Result<Self> {
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            sockets.push(server.subscribe().await?);
        }
        Ok(Self { sockets })
    }

    /// Lets every subscriber read so many messages that begin with `head`.
    fn read(&mut self, each: usize, head: &'static [u8]) -> Reading {
        let mut reading = JoinSet::new();
        for socket in self.sockets.drain(..) {
            reading.spawn(read(socket, each, head));
        }
        Reading(reading)
    }

    /// The same for the alerts of whole lives.
    pub(super) fn read_lives(&mut self, lives: usize) -> Reading {
        self.read(lives * ALERTS_OF_LIFE, ALERT_HEAD)
    }
}

/// Subscribers that are reading.
pub(super) struct Reading(JoinSet<anyhow::Result<(WebSocket, usize)>>);

impl Reading {
    /// Waits for all; the bytes that they got together.
    pub(super) async fn finish(mut self, subscribers: &mut Subscribers) -> anyhow::Result<usize> {
        let mut bytes = 0;
        while let Some(ended) = self.0.join_next().await {
            let (socket, some) = ended.context("a subscriber's task")??;
            subscribers.sockets.push(socket);
            bytes += some;
        }
        Ok(bytes)
    }
}

async fn read(
    mut socket: WebSocket,
    each: usize,
    head: &'static [u8],
) -> anyhow::Result<(WebSocket, usize)> {
    let (mut messages, mut bytes) = (0, 0);
    while messages < each {
        while let Some(message) = socket.incoming.next(&mut socket.outgoing)? {
            ensure!(message.starts_with(head), "something else was delivered");
            messages += 1;
            bytes += message.len();
        }
        if messages < each {
            socket.flush().await?;
            socket.receive().await?;
        }
    }
    ensure!(messages == each, "{messages} instead of {each} messages");
    Ok((socket, bytes))
}

pub(super) async fn run(rounds: usize) -> anyhow::Result<Report> {
    let server = Broadcast::start()?;
    let mut listeners = Subscribers::of_broadcast(&server, SUBSCRIBERS).await?;
    let mut speaker = server.connect().await?;
    let daemon = Daemon::start()?;
    let mut subscribers = Subscribers::of_daemon(&daemon, SUBSCRIBERS).await?;
    let mut registrar = lives(&daemon, LOAD).await?;

    let warm_up = of_daemon(&mut registrar, &mut subscribers, WARM_UP_LIVES).await?;
    let message_bytes = warm_up.bytes / warm_up.messages;
    let messages = LIVES * ALERTS_OF_LIFE;
    of_broadcast(&mut speaker, &mut listeners, messages / 10, message_bytes).await?;

    let (mut yardsticks, mut measured, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut yardstick_cpu, mut cpu) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let before = server.process.cpu_time()?;
        let sent = of_broadcast(&mut speaker, &mut listeners, messages, message_bytes).await?;
        yardstick_cpu += server.process.cpu_time()? - before;
        let before = daemon.process.cpu_time()?;
        let alerts = of_daemon(&mut registrar, &mut subscribers, LIVES).await?;
        cpu += daemon.process.cpu_time()? - before;
        ratios.push(alerts.figures().per_s / sent.figures().per_s);
        yardsticks.push(sent.figures());
        measured.push(alerts.figures());
    }
    let broadcast = report::yardstick(&Figures::middle(&yardsticks), Some(yardstick_cpu));
    Ok(Report {
        parameters: json!({
            "subscribers": SUBSCRIBERS,
            "alerts_each": messages,
            "alert_bytes": message_bytes,
            "lives_in_flight": LOAD.in_flight,
        }),
        durability: DURABILITY,
        figures: Figures::middle(&measured),
        usage: Usage {
            cpu,
            peak_memory_bytes: daemon.process.peak_memory_bytes()?,
        },
        yardsticks: Map::from_iter([("broadcast".to_owned(), broadcast)]),
        ratio_of: "per_s / broadcast per_s",
        ratio: median(ratios.clone()),
        ratios,
        target: Target::AtLeast(0.8),
    })
}

impl Delivered {
    /// A single delivery's time cannot be told: the client that would take it is the load.
    fn figures(&self) -> Figures {
        Figures {
            n: self.messages,
            per_s: self.messages as f64 / self.elapsed.as_secs_f64(),
            p50_ms: f64::NAN,
            p99_ms: f64::NAN,
        }
    }
}

async fn of_daemon(
    registrar: &mut Clients<Lives>,
    subscribers: &mut Subscribers,
    lives: usize,
) -> anyhow::Result<Delivered> {
    let start = Instant::now();
    let reading = subscribers.read_lives(lives);
    registrar.run(lives).await?;
    let bytes = reading.finish(subscribers).await?;
    Ok(Delivered {
        messages: lives * ALERTS_OF_LIFE * SUBSCRIBERS,
        bytes,
        elapsed: start.elapsed(),
    })
}

async fn of_broadcast(
    speaker: &mut WebSocket,
    listeners: &mut Subscribers,
    messages: usize,
    message_bytes: usize,
) -> anyhow::Result<Delivered> {
    let start = Instant::now();
    let reading = listeners.read(messages, b"x");
    broadcast::send(speaker, messages, message_bytes).await?;
    let bytes = reading.finish(listeners).await?;
    Ok(Delivered {
        messages: messages * SUBSCRIBERS,
        bytes,
        elapsed: start.elapsed(),
    })
}
