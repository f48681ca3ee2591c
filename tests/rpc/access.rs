//! Who may call: token, uid of the peer, Host and Origin.

use std::os::unix::fs::PermissionsExt;

use opstead::rpc::{BindError, Config, Limits, Listeners, MethodTable, RpcServer, Token};
use serde_json::json;

use crate::fixture::{Fixture, bearer};
use crate::support::{Rejected, Ws, post, request};

/// TCP wants `Authorization: Bearer <token>`; who calls is known to the methods.
#[tokio::test]
async fn the_right_token_opens_both_transports() {
    let fixture = Fixture::new();
    let mut ws = fixture.connect().await;
    assert_eq!(ws.call("who", json!([])).await["result"], "token:admin");
    let answer = post(
        fixture.address,
        &[bearer()],
        &request(7, "who", json!([])).to_string(),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({"jsonrpc": "2.0", "id": 7, "result": "token:admin"})
    );
}

#[tokio::test]
async fn a_missing_or_wrong_token_is_told_to_each_call_until_the_connection_is_closed() {
    let fixture = Fixture::with(Limits {
        unauthenticated_timeout_ms: 60_000,
        ..Limits::default()
    });
    for headers in [
        vec![],
        vec![("authorization", "Bearer a token that is wrong by far")],
    ] {
        let mut ws = Ws::connect_with(fixture.address, &headers).await.unwrap();
        for _ in 0..4 {
            let answer = ws.call("echo", json!([])).await;
            assert_eq!(answer["error"]["code"], 1011, "{answer}");
            assert_eq!(answer["error"]["data"]["reason"], "unauthenticated");
            assert_eq!(answer["error"]["data"]["retryable"], false);
        }
        ws.send(&request(99, "push.subscribe", json!([1]))).await;
        assert_eq!(ws.receive().await.unwrap()["error"]["code"], 1011);
        assert_eq!(
            ws.receive().await,
            None,
            "after the fifth refusal it is closed"
        );

        let body = request(8, "who", json!([])).to_string();
        let answer = post(fixture.address, &headers, &body).await;
        assert_eq!(
            (answer.json()["id"].clone(), answer.status),
            (json!(8), 200)
        );
        assert_eq!(answer.json()["error"]["code"], 1011);
        let batch = post(fixture.address, &headers, &format!("[{body}]")).await;
        assert_eq!(batch.json()[0]["error"]["code"], 1011);
    }
}

#[tokio::test]
async fn a_silent_websocket_without_a_token_is_closed() {
    let limits = Limits {
        unauthenticated_timeout_ms: 50,
        ..Limits::default()
    };
    let fixture = Fixture::with(limits);
    let mut stranger = Ws::connect_with(fixture.address, &[]).await.unwrap();
    let mut friend = fixture.connect().await;
    assert_eq!(stranger.receive().await, None);
    assert_eq!(friend.call("echo", json!([1])).await["result"], json!([1]));
}

/// A foreign `Origin` or `Host` is refused, token or not, also on the upgrade.
#[tokio::test]
async fn foreign_pages_are_refused() {
    let fixture = Fixture::new();
    let body = request(1, "echo", json!([])).to_string();
    let foreign = [
        ("host", "evil.example"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ];
    for header in foreign {
        let answer = post(fixture.address, &[bearer(), header], &body).await;
        assert_eq!(answer.status, 403, "{header:?}");
        assert_eq!(answer.body.lines().count(), 1);
        let upgrade = Ws::connect_with(fixture.address, &[bearer(), header]).await;
        assert_eq!(upgrade.err(), Some(Rejected(403)), "{header:?}");
    }
    let own = [
        ("host", "localhost"),
        ("host", "opstead.example:6770"),
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "https://console.example"),
    ];
    for header in own {
        let answer = post(fixture.address, &[bearer(), header], &body).await;
        assert_eq!(answer.status, 200, "{header:?}");
        assert!(
            Ws::connect_with(fixture.address, &[bearer(), header])
                .await
                .is_ok(),
            "{header:?}"
        );
    }
}

/// On the Unix socket the peer's own uid, or root, is enough.
#[tokio::test]
async fn the_unix_socket_knows_its_peer() {
    let mut fixture = Fixture::new();
    let mode = std::fs::metadata(&fixture.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut ws = Ws::connect_unix(&fixture.socket).await;
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(
        ws.call("who", json!([])).await["result"],
        format!("uid:{uid}")
    );
    fixture.stop().join().unwrap();
    assert!(!fixture.socket.exists());
}

#[test]
fn a_left_socket_is_replaced_and_a_used_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let bind = |name: &str| {
        let mut listeners = Listeners::default();
        let bound = listeners.unix(&directory.path().join(name));
        bound.map(|()| listeners)
    };
    drop(std::os::unix::net::UnixListener::bind(directory.path().join("left")).unwrap());
    let config = Config::new(Token::from("x"));
    let server = RpcServer::start(bind("left").unwrap(), config, MethodTable::default()).unwrap();
    let error = bind("left").unwrap_err();
    assert!(matches!(error, BindError::Unix { .. }), "{error}");
    assert!(server.socket().unwrap().exists());

    let long = "x".repeat(200);
    for refused in [
        bind(&long).unwrap_err(),
        Listeners::check_unix(&directory.path().join(&long)).unwrap_err(),
    ] {
        let BindError::Unix { source, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!(source.kind(), std::io::ErrorKind::InvalidInput, "{source}");
    }

    std::fs::write(directory.path().join("file"), "precious").unwrap();
    assert!(bind("file").is_err());
    assert_eq!(
        std::fs::read(directory.path().join("file")).unwrap(),
        b"precious"
    );

    let unused = bind("unused").unwrap();
    assert!(directory.path().join("unused").exists());
    drop(unused);
    assert!(!directory.path().join("unused").exists());
}
