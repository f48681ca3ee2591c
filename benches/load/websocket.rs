//! One WebSocket of the client, as cheap as it can be: whole frames out, whole frames in, one
//! system call for as many as there are. It knows no JSON and checks no more of the protocol than
//! the two servers that it meets make necessary.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room that is made for one read.
const READ_BYTES: usize = 32 << 10;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// A connection after its handshake. The fields are apart so that a message can be looked at while
/// the next request is written.
pub(crate) struct WebSocket {
    stream: TcpStream,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
}

/// What has been read and not yet looked at.
#[derive(Default)]
pub(crate) struct Incoming {
    buffer: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
}

/// Frames that wait for `WebSocket::flush`.
#[derive(Default)]
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
}

impl WebSocket {
    pub(crate) async fn connect(address: SocketAddr, token: Option<&str>) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let authorization = token
            .map(|token| format!("Authorization: Bearer {token}\r\n"))
            .unwrap_or_default();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZCBsb2FkIGxvYWQhIQ==\r\n\
             {authorization}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let head = loop {
            if let Some(end) = memmem::find(&buffer, b"\r\n\r\n") {
                break end + 4;
            }
            let read = stream.read_buf(&mut buffer).await?;
            ensure!(read > 0, "the server hung up in the handshake");
        };
        if !buffer.starts_with(b"HTTP/1.1 101") {
            bail!(
                "the server refused: {}",
                String::from_utf8_lossy(&buffer).trim()
            );
        }
        Ok(Self {
            stream,
            incoming: Incoming {
                buffer,
                start: head,
            },
            outgoing: Outgoing::default(),
        })
    }

    /// Sends all frames that were written.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.outgoing.buffer.is_empty() {
            self.stream.write_all(&self.outgoing.buffer).await?;
            self.outgoing.buffer.clear();
        }
        Ok(())
    }

    /// Waits until more has come; `incoming` then has what there is.
    pub(crate) async fn receive(&mut self) -> anyhow::Result<()> {
        let incoming = &mut self.incoming;
        incoming.buffer.drain(..incoming.start);
        incoming.start = 0;
        incoming.buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut incoming.buffer).await?;
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }

    /// The next message, for what is not worth a pipeline.
    pub(crate) async fn next_message(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(message) = self.incoming.next(&mut self.outgoing)? {
                return Ok(message.to_vec());
            }
            self.flush().await?;
            self.receive().await?;
        }
    }
}

impl Outgoing {
    pub(crate) fn text(&mut self, payload: &[u8]) {
        self.frame(TEXT, payload);
    }

    /// Clients must mask; a mask of zeros leaves the bytes as they are, and the server cannot tell.
    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        self.buffer.push(FINAL | opcode);
        match payload.len() {
            length @ 0..126 => self.buffer.push(MASKED | length as u8),
            length @ 126..=0xFFFF => {
                self.buffer.push(MASKED | 126);
                self.buffer
                    .extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                self.buffer.push(MASKED | 127);
                self.buffer
                    .extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(payload);
    }
}

impl Incoming {
    /// The next whole message that has been read already; pings are answered on the way.
    pub(crate) fn next(&mut self, outgoing: &mut Outgoing) -> anyhow::Result<Option<&[u8]>> {
        while let Some(frame) = Frame::parse(&self.buffer[self.start..]) {
            let payload = self.start + frame.head..self.start + frame.head + frame.payload;
            self.start = payload.end;
            match frame.opcode {
                TEXT => return Ok(Some(&self.buffer[payload])),
                PING => outgoing.frame(PONG, &self.buffer[payload]),
                PONG => {}
                CLOSE => bail!("the server closed: {}", close_reason(&self.buffer[payload])),
                opcode => bail!("an unexpected frame of opcode {opcode}"),
            }
        }
        Ok(None)
    }
}

/// A whole frame at the beginning of some bytes.
struct Frame {
    opcode: u8,
    /// Bytes before the payload.
    head: usize,
    payload: usize,
}

impl Frame {
    /// Nothing while a part is missing. Servers do not mask, and these two do not fragment.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (head, payload) = match second & 0x7F {
            126 => (
                4,
                usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)),
            ),
            127 => (10, u64::from_be_bytes(*bytes[2..].first_chunk()?) as usize),
            length => (2, usize::from(length)),
        };
        (bytes.len() >= head + payload).then_some(Self {
            opcode: first & 0x0F,
            head,
            payload,
        })
    }
}

/// What a close frame says: a code in two bytes and words, both optional.
fn close_reason(payload: &[u8]) -> String {
    match payload.split_first_chunk() {
        Some((code, words)) => format!(
            "{} {}",
            u16::from_be_bytes(*code),
            String::from_utf8_lossy(words)
        ),
        None => "without a word".to_owned(),
    }
}

/// The frame that a server sends for a text, for servers made by hand.
pub(crate) fn server_frame(payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let length = u16::try_from(payload.len()).context("a message over 64 KiB")?;
    let mut frame = vec![FINAL | TEXT];
    if length < 126 {
        frame.push(length as u8);
    } else {
        frame.push(126);
        frame.extend_from_slice(&length.to_be_bytes());
    }
    frame.extend_from_slice(payload);
    Ok(frame)
}
