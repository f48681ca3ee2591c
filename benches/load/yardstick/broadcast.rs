//! `broadcast`: a WebSocket server made by hand that sends the same bytes to many sockets. Messages
//! come in blocks, as alerts do; a block goes into a bounded queue for each socket and leaves in one
//! system call: what any fan-out has to do at least, and nothing else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use bytes::Bytes;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::Yardstick;
use crate::process::ServerProcess;
use crate::websocket::{WebSocket, server_frame};

/// Messages of a block; about what the daemon makes durable at once in this measure.
const BLOCK: usize = 64;
/// Blocks that wait for one socket before the sender must wait.
const QUEUE: usize = 4;

type Queues = Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>;

/// The server's process, and how to reach it.
pub(crate) struct Broadcast {
    pub(crate) process: ServerProcess,
    address: SocketAddr,
}

impl Broadcast {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (process, address) = Yardstick::Broadcast.start()?;
        Ok(Self { process, address })
    }

    /// A socket that gets everything that is sent.
    pub(crate) async fn subscribe(&self) -> anyhow::Result<WebSocket> {
        let mut socket = self.connect().await?;
        socket.outgoing.text(b"subscribe");
        socket.flush().await?;
        socket.next_message().await?;
        Ok(socket)
    }

    /// A socket that gets nothing and can say what to send.
    pub(crate) async fn connect(&self) -> anyhow::Result<WebSocket> {
        WebSocket::connect(self.address, None).await
    }
}

/// Has so many messages of one length sent to every subscriber.
pub(crate) async fn send(
    socket: &mut WebSocket,
    count: usize,
    message_bytes: usize,
) -> anyhow::Result<()> {
    let order = format!("{count} {message_bytes}");
    socket.outgoing.text(order.as_bytes());
    socket.flush().await
}

pub(super) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let queues = Queues::default();
        while let Ok((stream, _)) = listener.accept().await {
            let queues = Arc::clone(&queues);
            tokio::spawn(async move {
                // A client that leaves is none of the others' business.
                let _ = serve(stream, queues).await;
            });
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream, queues: Queues) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = Vec::new();
    while memmem::find(&buffer, b"\r\n\r\n").is_none() {
        ensure!(reader.read_buf(&mut buffer).await? > 0, "no handshake");
    }
    // The client is this program's own and takes the key for granted.
    writer
        .write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        )
        .await?;
    let order = order(&mut reader).await?;
    if order == "subscribe" {
        let (sender, receiver) = mpsc::channel(QUEUE);
        lock(&queues).push(sender);
        writer.write_all(&server_frame(b"subscribed")?).await?;
        return forward(writer, receiver).await;
    }
    let mut order = order;
    loop {
        broadcast(&order, &queues).await?;
        order = self::order(&mut reader).await?;
    }
}

/// One text of a client: a short frame with a mask of zeros.
async fn order(reader: &mut OwnedReadHalf) -> anyhow::Result<String> {
    let mut head = [0; 6];
    reader.read_exact(&mut head).await?;
    let mut text = vec![0; usize::from(head[1] & 0x7F)];
    reader.read_exact(&mut text).await?;
    Ok(String::from_utf8(text)?)
}

async fn broadcast(order: &str, queues: &Queues) -> anyhow::Result<()> {
    let (count, bytes) = order.split_once(' ').context("a count and a length")?;
    let (count, bytes): (usize, usize) = (count.parse()?, bytes.parse()?);
    let frame = server_frame(&vec![b'x'; bytes])?;
    let block = Bytes::from(frame.repeat(BLOCK));
    let senders = lock(queues).clone();
    let mut left = count;
    while left > 0 {
        let messages = left.min(BLOCK);
        for sender in &senders {
            sender.send(block.slice(..messages * frame.len())).await?;
        }
        left -= messages;
    }
    Ok(())
}

async fn forward(
    mut writer: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Bytes>,
) -> anyhow::Result<()> {
    while let Some(block) = queue.recv().await {
        writer.write_all(&block).await?;
    }
    Ok(())
}

fn lock(queues: &Queues) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Bytes>>> {
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}
