//! Calls: answered, refused, cut off; and what a client connects with.

use std::time::Duration;

use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{ErrorCode, empty_object};
use opstead_client::{Client, ClientConfig, Error, Target, Token};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::TokioAsyncReadCompatExt;

use crate::fake::{Daemon, GUARD, config, operation};

fn registration(existing: bool) -> Value {
    json!({
        "id": "mine", "response": "accepted", "reasons": [], "state": "waiting",
        "alertName": "storage.Image.a", "existing": existing, "cursor": 5, "logId": "log-1",
    })
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order_and_come_as_they_are() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let serve = async {
        let first = connection.request("a.first").await;
        let second = connection.request("a.second").await;
        assert_eq!((&first.id, &second.id), (&json!(0), &json!(1)));
        assert_eq!(second.params, json!({"x": 1}));
        connection.answer(&second, json!("second")).await;
        connection.answer(&first, Value::Null).await;
    };
    let object = empty_object();
    let params = json!({"x": 1});
    let (first, second, ()) = tokio::join!(
        client.call_raw("a.first", &object),
        client.call::<String>("a.second", &params),
        serve
    );
    assert_eq!(first.unwrap().get(), "null");
    assert_eq!(second.unwrap(), "second");
}

#[tokio::test]
async fn a_refusal_carries_code_message_and_data() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let serve = async {
        let request = connection.request("operations.get").await;
        assert_eq!(request.params, json!({"id": "x"}));
        connection
            .refuse(
                &request,
                1002,
                json!({"reason": "operationNotFound", "retryable": false}),
            )
            .await;
        let request = connection.request("system.status").await;
        connection.answer(&request, json!({"nonsense": true})).await;
    };
    let (answers, ()) = tokio::join!(
        async { (client.operation("x").await, client.status().await) },
        serve
    );
    let error = answers.0.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OperationNotFound));
    assert!(
        matches!(error, Error::Refused(refusal) if refusal.message == "refused" && refusal.data.is_some())
    );
    assert!(matches!(answers.1.unwrap_err(), Error::Protocol(_)));
}

/// Protocol §3: a manager that lost the connection before the reply sends the same request again.
#[tokio::test]
async fn a_call_cut_off_before_its_answer_is_disconnected_and_can_be_repeated() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let request = RegisterParams::new("storage.createImage", empty_object()).with_id("mine");
    let (answer, ()) = tokio::join!(client.register(&request), async {
        connection.request("operations.register").await;
        drop(connection);
    });
    assert!(matches!(answer.unwrap_err(), Error::Disconnected));
    // Until there is a connection again, calls fail at once.
    assert!(!client.is_connected());
    assert!(matches!(
        client.status().await.unwrap_err(),
        Error::Disconnected
    ));

    let (reconnected, mut connection) =
        tokio::join!(client.wait_for_reconnect(GUARD), daemon.accept());
    reconnected.unwrap();
    let (answer, ()) = tokio::join!(client.register(&request), async {
        let request = connection.request("operations.register").await;
        assert_eq!(request.params["id"], "mine");
        connection.answer(&request, registration(true)).await;
    });
    assert!(answer.unwrap().existing);
}

#[tokio::test]
async fn reconnecting_goes_on_through_refusals_and_can_time_out() {
    let daemon = Daemon::start().await;
    let (client, connection) = daemon.client(config()).await;
    drop(connection);
    daemon.reject(503).await;
    let waited = client.wait_for_reconnect(Duration::from_millis(1)).await;
    assert!(matches!(waited.unwrap_err(), Error::TimedOut));
    daemon.reject(401).await;
    let (reconnected, _connection) =
        tokio::join!(client.wait_for_reconnect(GUARD), daemon.accept());
    reconnected.unwrap();
}

#[tokio::test]
async fn a_call_without_an_answer_times_out_and_disturbs_no_other() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let late = client
        .call_within::<Value>("a.late", &json!({}), Duration::from_millis(1))
        .await;
    assert!(matches!(late.unwrap_err(), Error::TimedOut));
    let params = json!({});
    let (answer, ()) = tokio::join!(client.call::<u32>("a.next", &params), async {
        let late = connection.request("a.late").await;
        let next = connection.request("a.next").await;
        connection.answer(&late, json!(1)).await;
        connection.answer(&next, json!(2)).await;
    });
    assert_eq!(answer.unwrap(), 2);
}

/// The daemon cannot tell whose request was too large to be read; the longest one surely was.
#[tokio::test]
async fn a_request_that_is_too_large_is_refused_beside_others_in_flight() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (long, short) = (json!({"x": "long"}), json!({}));
    let (longest, short, ()) = tokio::join!(
        client.call::<u32>("a.call", &long),
        client.call::<u32>("a.call", &short),
        async {
            connection.request("a.call").await;
            let short = connection.request("a.call").await;
            let error = json!({"code": -32007, "message": "Request is too big"});
            connection
                .send(json!({"jsonrpc": "2.0", "id": null, "error": error}))
                .await;
            connection.answer(&short, json!(2)).await;
        }
    );
    let error = longest.unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.code == -32007),
        "{error}"
    );
    assert_eq!(short.unwrap(), 2);
}

#[tokio::test]
async fn a_wrong_token_is_a_refusal() {
    let daemon = Daemon::start().await;
    for (status_code, code) in [
        (401, ErrorCode::Unauthenticated),
        (403, ErrorCode::PermissionDenied),
    ] {
        let (client, ()) = tokio::join!(
            Client::connect(daemon.target(), config()),
            daemon.reject(status_code)
        );
        assert_eq!(client.err().unwrap().code(), Some(code));
    }
    // The daemon may also take the handshake and refuse the calls.
    let refuse = async {
        let mut connection = daemon.accept_silently().await;
        let request = connection.request("system.status").await;
        let data = json!({"reason": "unauthenticated", "retryable": false});
        connection.refuse(&request, 1011, data).await;
    };
    let (client, ()) = tokio::join!(Client::connect(daemon.target(), config()), refuse);
    let error = client.err().unwrap();
    assert_eq!(error.code(), Some(ErrorCode::Unauthenticated), "{error}");
}

/// A daemon that loses each connection as soon as it is made is not overrun: the delays grow.
#[tokio::test]
async fn connections_that_do_not_last_are_made_anew_more_and_more_slowly() {
    let daemon = Daemon::start().await;
    let config = ClientConfig {
        backoff: Duration::from_millis(10),
        backoff_most: Duration::from_secs(10),
        ..config()
    };
    let (_client, connection) = daemon.client(config).await;
    drop(connection);
    let began = std::time::Instant::now();
    for _ in 0..5 {
        drop(daemon.accept().await);
    }
    // At least half of 10, 20, 40, 80 and 160.
    assert!(began.elapsed() >= Duration::from_millis(155));
}

#[tokio::test]
async fn the_token_of_a_file_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let daemon = Daemon::start().await;
    let config = ClientConfig {
        token: Token::File(path),
        ..config()
    };
    let (client, head) = tokio::join!(Client::connect(daemon.target(), config), async {
        let mut stream = daemon.accept_raw().await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8(head).unwrap()
    });
    assert!(client.is_err());
    assert!(
        head.contains("\r\nAuthorization: Bearer s3cret\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("\r\nHost: {}\r\n", daemon.address)),
        "{head}"
    );
}

#[tokio::test]
async fn nobody_there_is_told_with_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Unix(folder.path().join("opstead.sock"));
    let error = Client::connect(target, config()).await.err().unwrap();
    assert!(
        matches!(&error, Error::Connect { target, .. } if target.contains("opstead.sock")),
        "{error}"
    );
}

#[tokio::test]
async fn a_unix_socket_is_as_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("opstead.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut handshake = soketto::handshake::Server::new(stream.compat());
        let key = handshake.receive_request().await.unwrap().key();
        let accept = soketto::handshake::server::Response::Accept {
            key,
            protocol: None,
        };
        handshake.send_response(&accept).await.unwrap();
        let (mut sender, mut receiver) = handshake.into_builder().finish();
        for result in ["{}", "[]"] {
            receiver.receive_data(&mut Vec::new()).await.unwrap();
            let answer = format!(r#"{{"jsonrpc":"2.0","id":0,"result":{result}}}"#);
            sender.send_text(answer).await.unwrap();
            sender.flush().await.unwrap();
        }
        (sender, receiver)
    };
    let target = path.to_str().unwrap().parse().unwrap();
    let (tasks, _connection) = tokio::join!(
        async {
            Client::connect(target, config())
                .await?
                .get_running_tasks("*")
                .await
        },
        serve
    );
    assert!(tasks.unwrap().is_empty());
}

#[tokio::test]
async fn waiting_for_an_operation_survives_a_lost_connection() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (answer, ()) = tokio::join!(client.wait_for_operation("mine", GUARD), async {
        let request = connection.request("operations.wait").await;
        assert_eq!(request.params["ids"], json!(["mine"]));
        connection
            .answer(
                &request,
                json!({"operations": [operation("mine", false)], "timedOut": true, "cursor": 9}),
            )
            .await;
        let request = connection.request("operations.wait").await;
        connection
            .refuse(
                &request,
                1010,
                json!({"reason": "shuttingDown", "retryable": true}),
            )
            .await;
        connection.request("operations.wait").await;
        drop(connection);
        let mut connection = daemon.accept().await;
        let request = connection.request("operations.wait").await;
        connection
            .answer(
                &request,
                json!({"operations": [operation("mine", true)], "timedOut": false, "cursor": 9}),
            )
            .await;
    });
    assert!(answer.unwrap().done);
}

#[tokio::test]
async fn waiting_for_an_operation_times_out() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let serve = async {
        while let Some(request) = connection.try_request().await {
            connection.answer(&request, json!({"operations": [operation("mine", false)], "timedOut": true, "cursor": 9})).await;
        }
    };
    tokio::select! {
        answer = client.wait_for_operation("mine", Duration::from_millis(5)) => {
            assert!(matches!(answer.unwrap_err(), Error::TimedOut));
        }
        () = serve => panic!("the client has gone"),
    }
}

#[tokio::test]
async fn a_client_that_is_dropped_leaves() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let clone = client.clone();
    drop(client);
    assert!(clone.is_connected());
    drop(clone);
    assert!(connection.try_request().await.is_none());
}
