//! `alerts.subscribe`, `alerts.read`: the log, pushed or pulled.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use opstead_core::{Cursor, ObjectView};
use opstead_schema::params::{AlertsReadParams, AlertsSubscribeParams};
use opstead_schema::results::Subscribed;
use opstead_schema::{AlertBookmark, AlertClosed, BookmarkKind, ErrorCode, ErrorObject, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{Api, filter};
use crate::alerts::{
    Closed, ReadError, ReadRequest, SubscribeError, SubscribeRequest, Subscription,
};
use crate::filter::Filter;
use crate::rpc::method::{Answer, written};
use crate::rpc::push::{ConnectionClosed, Opened, PushSink};
use crate::rpc::{convert, errors};

/// Objects as a snapshot tells of them, and the cursor at which they stood so.
type Standing = (Cursor, Vec<ObjectView>);

/// What keeps one subscription going.
struct Pump {
    push: PushSink,
    id: String,
    subscription: Subscription,
    /// How long without an alert until a heartbeat; none without heartbeats.
    bookmark: Option<Duration>,
}

impl Api {
    /// `alerts.subscribe`: the answer, and what is pushed after it.
    pub async fn subscribe(
        &self,
        params: AlertsSubscribeParams,
        push: PushSink,
        id: String,
    ) -> Result<Opened, ErrorObject> {
        let filter = filter(params.filter_type, &params.filter)?;
        if params.snapshot && params.after.is_some() {
            let message = "a snapshot begins where it was taken; leave after out";
            return Err(errors::invalid_param("/after", message));
        }
        let standing = match params.snapshot {
            true => Some(self.standing(filter.clone()).await?),
            false => None,
        };
        let after = standing
            .as_ref()
            .map(|(cursor, _)| *cursor)
            .or(params.after);
        let request = SubscribeRequest {
            filter,
            after,
            log_id: params.log_id,
        };
        let subscription = self.hub.subscribe(request).map_err(refused)?;
        let answer = Answer::small(&Subscribed {
            subscription: id.clone(),
            cursor: subscription.start(),
            log_id: self.log_id.to_string(),
            oldest_cursor: subscription.oldest(),
        })?;
        let bookmark = (params.bookmark_ms > 0).then(|| Duration::from_millis(params.bookmark_ms));
        let pump = Pump {
            push,
            id: id.clone(),
            subscription,
            bookmark,
        };
        // Sending fails only when the connection is closed, and then the pump is over.
        let pump = pump.run(standing).map(|_| ()).boxed();
        Ok(Opened {
            subscription: id,
            answer,
            pump,
        })
    }

    async fn standing(&self, filter: Filter) -> Result<Standing, ErrorObject> {
        self.beside(move |_, snapshot| {
            let objects = snapshot
                .state
                .objects_after(filter.literal_head(), "")
                .filter(|object| filter.matches(&object.alert_name));
            Ok((snapshot.cursor(), objects.collect()))
        })
        .await
    }

    /// `alerts.read`: the alerts as they are pushed, without a subscription.
    pub async fn read_alerts(&self, params: AlertsReadParams) -> Result<Answer, ErrorObject> {
        /// `AlertsRead` with alerts that are text already.
        #[derive(Serialize)]
        struct Written {
            alerts: Vec<Box<RawValue>>,
            cursor: Cursor,
            more: bool,
        }
        let request = ReadRequest {
            filter: filter(params.filter_type, &params.filter)?,
            after: params.after,
            log_id: params.log_id,
            limit: params.limit as usize,
            timeout: Duration::from_millis(params.timeout_ms),
        };
        let page = self.hub.read(request).await.map_err(|error| match error {
            ReadError::Refused(error) => refused(error),
            ReadError::Closed(error) => closed(&error),
        })?;
        let alerts = page
            .alerts
            .iter()
            .map(|alert| written(alert.params()))
            .collect();
        Answer::small(&Written {
            alerts,
            cursor: page.cursor,
            more: page.more,
        })
    }
}

impl Pump {
    async fn run(mut self, standing: Option<Standing>) -> Result<(), ConnectionClosed> {
        if let Some((cursor, objects)) = standing {
            for object in objects {
                let params = convert::encode_snapshot(&object);
                let id = &self.id;
                let text = format!(
                    r#"{{"jsonrpc":"2.0","method":"alert","params":{params},"subscription":"{id}"}}}}"#
                );
                self.push.send(written(text)).await?;
            }
            self.bookmark(cursor, BookmarkKind::CaughtUp).await?;
        }
        loop {
            let batch = match self.bookmark {
                None => Some(self.subscription.next_batch().await),
                Some(silence) => timeout(silence, self.subscription.next_batch()).await.ok(),
            };
            match batch {
                Some(Ok(alerts)) => {
                    for alert in alerts {
                        self.push
                            .send(written(alert.notification(&self.id)))
                            .await?;
                    }
                }
                Some(Err(error)) => {
                    let cursor = self.subscription.place();
                    let subscription = self.id.clone();
                    let error = closed(&error);
                    let params = AlertClosed {
                        subscription,
                        cursor,
                        error,
                    };
                    return self.notify("alertClosed", &params).await;
                }
                None => {
                    let place = self.subscription.place();
                    self.bookmark(place, BookmarkKind::Heartbeat).await?;
                }
            }
        }
    }

    async fn bookmark(&self, cursor: Cursor, kind: BookmarkKind) -> Result<(), ConnectionClosed> {
        let subscription = self.id.clone();
        let time = Timestamp::from(SystemTime::now());
        self.notify(
            "alertBookmark",
            &AlertBookmark {
                subscription,
                cursor,
                time,
                kind,
            },
        )
        .await
    }

    async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), ConnectionClosed> {
        let params = serde_json::to_string(params).expect("bookmarks are JSON");
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        self.push.send(written(text)).await
    }
}

fn refused(error: SubscribeError) -> ErrorObject {
    let message = error.to_string();
    match error {
        SubscribeError::Expired { cursor, oldest } => expired(message, cursor, oldest),
        SubscribeError::Unknown { log_id } => {
            ErrorObject::with(ErrorCode::CursorUnknown, message, |details| {
                details.log_id = Some(log_id);
            })
        }
        SubscribeError::TooMany { .. } => errors::overloaded(message),
    }
}

fn closed(error: &Closed) -> ErrorObject {
    let message = error.to_string();
    match error {
        Closed::Expired { cursor, oldest } => expired(message, *cursor, *oldest),
        Closed::Failed(error) => errors::read(error),
        Closed::Stopping => ErrorObject::new(ErrorCode::ShuttingDown, message),
    }
}

fn expired(message: String, cursor: Cursor, oldest: Cursor) -> ErrorObject {
    ErrorObject::with(ErrorCode::CursorExpired, message, |details| {
        details.cursor = Some(cursor);
        details.oldest_cursor = Some(oldest);
    })
}
