//! Subscriptions: resumed without loss or repeat, given up when read too slowly, honest when the
//! log does not reach back far enough.

use std::time::Duration;

use opstead_client::schema::ErrorCode;
use opstead_client::{ClientConfig, Error, Filter, SubscribeOptions, Subscription};
use serde_json::{Value, json};

use crate::fake::{Connection, Daemon, GUARD, LOG, config};

async fn subscribed(
    client: &opstead_client::Client,
    connection: &mut Connection,
    options: SubscribeOptions,
) -> (Subscription, Value) {
    let (subscription, params) = tokio::join!(client.subscribe(options), connection.grant("s", 10));
    (subscription.expect("granted"), params)
}

async fn cursors(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut cursors = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(GUARD, subscription.next())
            .await
            .expect("in time");
        cursors.push(next.expect("an alert").cursor);
    }
    cursors
}

#[tokio::test]
async fn a_subscription_asks_for_what_it_was_told_to() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (subscription, params) =
        subscribed(&client, &mut connection, SubscribeOptions::new("vm.*")).await;
    assert_eq!(
        params,
        json!({"filter": "vm.*", "filterType": "glob", "snapshot": false, "bookmarkMs": 60000})
    );
    assert_eq!((subscription.cursor(), subscription.log_id()), (10, LOG));
    drop(subscription);
    let request = connection.request("alerts.unsubscribe").await;
    assert_eq!(request.params, json!(["s"]));

    let options = SubscribeOptions::new(Filter::regexp("vm.(a|b)")).after(3, LOG);
    let (subscription, params) = subscribed(&client, &mut connection, options).await;
    assert_eq!(
        (&params["filterType"], &params["after"], &params["logId"]),
        (&json!("regexp"), &json!(3), &json!(LOG))
    );
    // The place is the one asked for, whatever head the daemon names.
    assert_eq!(subscription.cursor(), 3);
}

/// Protocol §5.3: replay joins live delivery with neither gap nor repeat.
#[tokio::test]
async fn a_lost_connection_loses_and_repeats_no_alert() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (mut subscription, _) =
        subscribed(&client, &mut connection, SubscribeOptions::new("*")).await;
    connection.alert("s", 11).await;
    connection.alert("s", 12).await;
    assert_eq!(cursors(&mut subscription, 2).await, [11, 12]);
    drop(connection);
    let (rest, params) = tokio::join!(cursors(&mut subscription, 2), async {
        let mut connection = daemon.accept().await;
        let params = connection.grant("other", 40).await;
        for cursor in [12, 13, 13, 14] {
            connection.alert("other", cursor).await;
        }
        (params, connection)
    });
    assert_eq!(rest, [13, 14]);
    assert_eq!(
        (&params.0["after"], &params.0["logId"]),
        (&json!(12), &json!(LOG))
    );
    assert_eq!(subscription.cursor(), 14);
}

/// What was received but not handed out when the connection was lost is handed out, once.
#[tokio::test]
async fn what_was_queued_at_the_disconnection_is_not_repeated() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (mut subscription, _) =
        subscribed(&client, &mut connection, SubscribeOptions::new("*")).await;
    for cursor in 11..=15 {
        connection.alert("s", cursor).await;
    }
    drop(connection);
    let mut connection = daemon.accept().await;
    let (all, params) = tokio::join!(cursors(&mut subscription, 6), async {
        let params = connection.grant("t", 40).await;
        let after = params["after"].as_u64().unwrap();
        for cursor in after + 1..=16 {
            connection.alert("t", cursor).await;
        }
        params
    });
    assert_eq!(all, [11, 12, 13, 14, 15, 16]);
    assert!((10..=15).contains(&params["after"].as_u64().unwrap()));
}

/// Protocol §5.8: a narrow filter can resume after any silence.
#[tokio::test]
async fn a_bookmark_moves_the_place() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (mut subscription, _) =
        subscribed(&client, &mut connection, SubscribeOptions::new("*")).await;
    connection.bookmark("s", 30, "heartbeat").await;
    connection.alert("s", 31).await;
    connection.bookmark("s", 50, "heartbeat").await;
    assert_eq!(cursors(&mut subscription, 1).await, [31]);
    drop(connection);
    let (rest, after) = tokio::join!(cursors(&mut subscription, 1), async {
        let mut connection = daemon.accept().await;
        let params = connection.grant("t", 60).await;
        connection.alert("t", 51).await;
        (params["after"].clone(), connection)
    });
    assert_eq!((rest, after.0), (vec![51], json!(50)));
}

/// Protocol §5.3: never a silent jump.
#[tokio::test]
async fn an_expired_cursor_is_told_once_and_then_gone_on_from() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (mut subscription, _) =
        subscribed(&client, &mut connection, SubscribeOptions::new("*")).await;
    drop(connection);
    let mut connection = daemon.accept().await;
    let (error, ()) = tokio::join!(subscription.next(), async {
        let request = connection.request("alerts.subscribe").await;
        let data = json!({"reason": "cursorExpired", "retryable": false, "oldestCursor": 50, "cursor": 10});
        connection.refuse(&request, 1006, data).await;
    });
    assert!(matches!(
        error.unwrap_err(),
        Error::CursorExpired { oldest_cursor: 50 }
    ));
    let (next, params) = tokio::join!(cursors(&mut subscription, 1), async {
        let params = connection.grant("t", 60).await;
        connection.alert("t", 51).await;
        params
    });
    assert_eq!((next, &params["after"]), (vec![51], &json!(50)));
}

#[tokio::test]
async fn a_subscription_that_the_daemon_ends_says_why_or_resumes() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (mut subscription, _) =
        subscribed(&client, &mut connection, SubscribeOptions::new("*")).await;
    let closed = |subscription: &str, code: i32, data: Value| {
        let error = json!({"code": code, "message": "ended", "data": data});
        let params = json!({"subscription": subscription, "cursor": 10, "error": error});
        json!({"jsonrpc": "2.0", "method": "alertClosed", "params": params})
    };
    connection
        .send(closed(
            "s",
            1009,
            json!({"reason": "overloaded", "retryable": true}),
        ))
        .await;
    let (next, ()) = tokio::join!(cursors(&mut subscription, 1), async {
        connection.grant("t", 60).await;
        connection.alert("t", 11).await;
    });
    assert_eq!(next, [11]);
    connection
        .send(closed("t", 1006, json!({"oldestCursor": 70})))
        .await;
    let error = subscription.next().await.unwrap_err();
    assert!(matches!(error, Error::CursorExpired { oldest_cursor: 70 }));
    let (error, ()) = tokio::join!(subscription.next(), async {
        let request = connection.request("alerts.subscribe").await;
        assert_eq!(request.params["after"], json!(70));
        connection
            .refuse(
                &request,
                1007,
                json!({"reason": "cursorUnknown", "logId": "log-2"}),
            )
            .await;
    });
    assert_eq!(error.unwrap_err().code(), Some(ErrorCode::CursorUnknown));
}

/// Protocol §5.4: a slow subscriber costs the others nothing and resumes at its own pace.
#[tokio::test]
async fn a_slow_consumer_blocks_no_call_and_misses_nothing() {
    const LAST: u64 = 110;
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon
        .client(ClientConfig {
            queue: 4,
            ..config()
        })
        .await;
    let (mut subscription, _) =
        subscribed(&client, &mut connection, SubscribeOptions::new("*")).await;
    for cursor in 11..=LAST {
        connection.alert("s", cursor).await;
    }
    // Nobody reads the subscription: it is given up, and calls are answered all the same.
    connection.request("alerts.unsubscribe").await;
    let params = json!({});
    let (answer, ()) = tokio::join!(client.call::<u32>("a.b", &params), async {
        let request = connection.request("a.b").await;
        connection.answer(&request, json!(7)).await;
    });
    assert_eq!(answer.unwrap(), 7);

    let serve = async {
        let mut resumed = 0;
        while let Some(request) = connection.try_request().await {
            if request.method == "alerts.subscribe" {
                resumed += 1;
                let name = format!("r{resumed}");
                let after = request.params["after"].as_u64().unwrap();
                let granted =
                    json!({"subscription": name, "cursor": LAST, "logId": LOG, "oldestCursor": 0});
                connection.answer(&request, granted).await;
                for cursor in after + 1..=LAST {
                    connection.alert(&name, cursor).await;
                }
            }
        }
    };
    let expected: Vec<u64> = (11..=LAST).collect();
    tokio::select! {
        all = cursors(&mut subscription, expected.len()) => assert_eq!(all, expected),
        () = serve => panic!("the client has gone"),
    }
}

/// Protocol §5.7.
#[tokio::test]
async fn a_snapshot_that_was_cut_off_begins_anew_and_then_is_done_with() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let options = SubscribeOptions::new("*").with_snapshot();
    let (mut subscription, params) = subscribed(&client, &mut connection, options).await;
    assert_eq!(params["snapshot"], json!(true));
    let object = |subscription: &str, cursor: u64| {
        let mut params = crate::fake::alert(cursor, subscription);
        params["snapshot"] = json!(true);
        json!({"jsonrpc": "2.0", "method": "alert", "params": params})
    };
    // Objects bear their own last cursors, in no order.
    connection.send(object("s", 7)).await;
    assert_eq!(cursors(&mut subscription, 1).await, [7]);
    drop(connection);
    let mut connection = daemon.accept().await;
    let (all, params) = tokio::join!(cursors(&mut subscription, 3), async {
        let params = connection.grant("t", 20).await;
        connection.send(object("t", 7)).await;
        connection.send(object("t", 3)).await;
        connection.bookmark("t", 20, "caughtUp").await;
        connection.alert("t", 21).await;
        params
    });
    assert_eq!(all, [7, 3, 21]);
    assert_eq!(
        (&params["snapshot"], params.get("after")),
        (&json!(true), None)
    );
    drop(connection);
    let mut connection = daemon.accept().await;
    let params = tokio::select! {
        _ = subscription.next() => panic!("nothing was sent"),
        params = connection.grant("u", 30) => params,
    };
    assert_eq!(
        (&params["snapshot"], &params["after"]),
        (&json!(false), &json!(21))
    );
}

#[tokio::test]
async fn a_watch_tells_time_out_and_disconnection_apart_and_goes_on() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (watch, _) = tokio::join!(client.watch("storage.*"), connection.grant("s", 10));
    let mut watch = watch.unwrap();
    let nothing = watch.wait_for_event(Duration::from_millis(1)).await;
    assert!(matches!(nothing.unwrap_err(), Error::TimedOut));
    connection.alert("s", 11).await;
    connection.alert("s", 12).await;
    // Two came; they are handed out one by one.
    assert_eq!(watch.wait_for_event(GUARD).await.unwrap().cursor, 11);
    assert_eq!(watch.wait_for_event(GUARD).await.unwrap().cursor, 12);
    drop(connection);
    assert!(matches!(
        watch.wait_for_event(GUARD).await.unwrap_err(),
        Error::Disconnected
    ));
    let (reconnected, mut connection) =
        tokio::join!(client.wait_for_reconnect(GUARD), daemon.accept());
    reconnected.unwrap();
    let (event, params) = tokio::join!(watch.wait_for_event(GUARD), async {
        let params = connection.grant("t", 20).await;
        connection.alert("t", 13).await;
        params
    });
    assert_eq!((event.unwrap().cursor, &params["after"]), (13, &json!(12)));
    assert_eq!(watch.cursor(), 13);
}

#[tokio::test]
async fn one_filter_waits_for_the_first_event_of_many_objects() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let filter = Filter::regexp("storage\\.Image\\.(a|b)");
    let (event, params) = tokio::join!(client.wait_for_event(filter, GUARD), async {
        let params = connection.grant("s", 10).await;
        connection.alert("s", 11).await;
        params
    });
    assert_eq!(event.unwrap().alert_name, "storage.Image.a");
    assert_eq!(params["filterType"], json!("regexp"));
    connection.request("alerts.unsubscribe").await;
}

/// A subscription that nobody waits for any more is not left behind at the daemon.
#[tokio::test]
async fn a_subscription_granted_too_late_is_given_back() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let late = client.wait_for_event("*", Duration::from_millis(1)).await;
    assert!(matches!(late.unwrap_err(), Error::TimedOut));
    connection.grant("s", 10).await;
    let request = connection.request("alerts.unsubscribe").await;
    assert_eq!(request.params, json!(["s"]));
}

/// An alert that cannot be read is told, and does not hide the next one.
#[tokio::test]
async fn an_alert_that_cannot_be_read_is_an_error_once() {
    let daemon = Daemon::start().await;
    let (client, mut connection) = daemon.client(config()).await;
    let (mut subscription, _) =
        subscribed(&client, &mut connection, SubscribeOptions::new("*")).await;
    let params = json!({"subscription": "s", "cursor": 11, "event": "unheard-of"});
    connection
        .send(json!({"jsonrpc": "2.0", "method": "alert", "params": params}))
        .await;
    connection.alert("s", 12).await;
    assert!(matches!(
        subscription.next().await.unwrap_err(),
        Error::Protocol(_)
    ));
    assert_eq!(cursors(&mut subscription, 1).await, [12]);
}
