//! What it costs to be treated badly: floods, half requests, clients that leave.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opstead::rpc::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Fixture, bearer};
use crate::support::{Ws, post, request};

/// A client that asks and never reads is not read from any more, is dropped, and has cost little.
#[tokio::test]
async fn a_flood_without_reading_is_bounded_and_ended() {
    const BYTES: usize = 64 << 10;
    let fixture = Fixture::with(Limits {
        write_timeout_ms: 200,
        ..Limits::default()
    });
    let Ws {
        mut sender,
        receiver,
        ..
    } = fixture.connect().await;
    let text = request(1, "big", json!([BYTES])).to_string();
    while sender.send_text(&text).await.is_ok() {}
    let made = fixture.seen.made.load(Ordering::SeqCst) * BYTES;
    // The kernel's own buffers on both sides are most of it.
    assert!(made < 32 << 20, "{made}");
    drop(receiver);
    assert_eq!(
        fixture.connect().await.call("echo", json!([1])).await["result"],
        json!([1])
    );
}

/// Who reads again in time gets every answer.
#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    const COUNT: usize = 150;
    let fixture = Fixture::new();
    let Ws {
        mut sender,
        mut receiver,
        ..
    } = fixture.connect().await;
    let sending = tokio::spawn(async move {
        for id in 0..COUNT as u64 {
            let text = request(id, "big", json!([64 << 10])).to_string();
            sender.send_text(&text).await.unwrap();
        }
        sender
    });
    let mut ids: Vec<u64> = Vec::new();
    while ids.len() < COUNT {
        ids.push(receiver.receive().await.unwrap()["id"].as_u64().unwrap());
        tokio::task::yield_now().await;
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), COUNT);
    sending.await.unwrap();
}

/// Half-sent requests hold their places only for a time.
#[tokio::test]
async fn half_sent_requests_do_not_lock_others_out() {
    let fixture = Fixture::with(Limits {
        max_connections: 4,
        header_timeout_ms: 200,
        body_timeout_ms: 200,
        ..Limits::default()
    });
    let mut half = Vec::new();
    for text in [
        "",
        "POST / HTTP/1.1\r\nhost: localhost\r\n",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"jsonrpc\"",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        half.push(stream);
    }
    let body = request(1, "echo", json!([1])).to_string();
    assert_eq!(
        post(fixture.address, &[bearer()], &body).await.json()["result"],
        json!([1])
    );
    for mut stream in half {
        // Closed, or reset because of what was never read.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// Whoever takes all places over TCP takes none on the Unix socket.
#[tokio::test]
async fn strangers_do_not_lock_the_unix_socket() {
    let fixture = Fixture::with(Limits {
        max_connections: 1,
        ..Limits::default()
    });
    let _taken = fixture.connect().await;
    let silent = TcpStream::connect(fixture.address).await.unwrap();
    let connected = Ws::connect_unix(&fixture.socket);
    let mut ws = tokio::time::timeout(Duration::from_secs(60), connected)
        .await
        .expect("there is a place");
    assert_eq!(ws.call("echo", json!([1])).await["result"], json!([1]));
    drop(silent);
}

/// The places of clients that left are free again.
#[tokio::test]
async fn places_are_given_back() {
    let fixture = Fixture::with(Limits {
        max_connections: 2,
        ..Limits::default()
    });
    for _ in 0..10 {
        let mut ws = fixture.connect().await;
        assert_eq!(ws.call("echo", json!([1])).await["result"], json!([1]));
        let body = request(1, "echo", json!([2])).to_string();
        assert_eq!(
            post(fixture.address, &[bearer()], &body).await.json()["result"],
            json!([2])
        );
    }
}

/// A wait whose client left is over.
#[tokio::test]
async fn a_wait_ends_with_its_client() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    ws.send(&request(1, "wait", json!([]))).await;
    ws.call("echo", json!([])).await;
    assert_eq!(fixture.seen.running.load(Ordering::SeqCst), 1);
    drop(ws);
    fixture.seen.over.notified().await;
    assert_eq!(fixture.seen.running.load(Ordering::SeqCst), 0);
}
