//! The server's end: nothing hangs, and who waits is told.

use std::time::Duration;

use opstead::rpc::{Config, Limits, Listeners, MethodTable, RpcServer, Token};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fixture::{Fixture, TOKEN};
use crate::support::{Ws, request};

/// Stopping ends in spite of waits, subscriptions, calls that hang and half requests; a wait is
/// answered `shuttingDown`, a call in flight may still end.
#[tokio::test]
async fn stopping_tells_those_who_wait_and_ends() {
    let mut fixture = Fixture::with(Limits {
        stop_timeout_ms: 2_000,
        ..Limits::default()
    });
    let mut half = TcpStream::connect(fixture.address).await.unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{")
        .await
        .unwrap();
    let mut waiting = fixture.connect().await;
    waiting.send(&request(1, "wait", json!([]))).await;
    waiting.call("push.subscribe", json!([0])).await;
    let mut hanging = fixture.connect().await;
    hanging.send(&request(2, "hold", json!([]))).await;
    hanging.call("echo", json!([])).await;

    let stopping = fixture.stop();
    let answer = waiting.receive().await.unwrap();
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(1), &json!(1010)),
        "{answer}"
    );
    assert_eq!(answer["error"]["data"]["reason"], "shuttingDown");
    assert_eq!(waiting.receive().await, None);
    assert_eq!(hanging.receive().await, None);
    stopping.join().unwrap();
    assert!(TcpStream::connect(fixture.address).await.is_err());
}

/// Another server may have the same socket as soon as the listeners are closed, and keeps it;
/// calls in flight are answered after that, too.
#[tokio::test]
async fn closed_listeners_leave_their_addresses_to_others() {
    let mut fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    ws.send(&request(1, "hold", json!([]))).await;
    ws.call("echo", json!([])).await;
    let mut server = fixture.server.take().unwrap();
    server.close_listeners();
    assert!(!fixture.socket.exists());
    let mut listeners = Listeners::default();
    listeners.tcp(fixture.address).unwrap();
    listeners.unix(&fixture.socket).unwrap();
    let config = Config::new(Token::from(TOKEN));
    let next = RpcServer::start(listeners, config, MethodTable::default()).unwrap();
    fixture.release.add_permits(1);
    assert_eq!(ws.receive().await.unwrap()["result"], "released");
    server.stop();
    Ws::connect_unix(&fixture.socket).await;
    next.stop();
}

/// A read that does not come back, of a disk that hangs say, does not keep the server.
#[tokio::test]
async fn a_blocked_thread_does_not_delay_the_end() {
    let mut fixture = Fixture::with(Limits {
        stop_timeout_ms: 50,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    ws.send(&request(1, "block", json!([]))).await;
    fixture.seen.over.notified().await;
    let stopping = fixture.stop();
    let stopped = tokio::task::spawn_blocking(move || stopping.join().unwrap());
    let in_time = tokio::time::timeout(Duration::from_secs(60), stopped).await;
    fixture.release.add_permits(1);
    assert!(in_time.is_ok(), "it waited for the blocked thread");
}

/// A call in flight that ends in time is answered.
#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_end() {
    let mut fixture = Fixture::with(Limits {
        stop_timeout_ms: 60_000,
        ..Limits::default()
    });
    let mut ws = fixture.connect().await;
    ws.send(&request(7, "hold", json!([]))).await;
    ws.call("echo", json!([])).await;
    let stopping = fixture.stop();
    while TcpStream::connect(fixture.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    fixture.release.add_permits(1);
    assert_eq!(ws.receive().await.unwrap()["result"], "released");
    stopping.join().unwrap();
}
