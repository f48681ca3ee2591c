//! A subscription: a filter and a place in the log. It outlives connections, because only what was
//! handed out moves its place.

use std::sync::Arc;

use opstead_schema::params::{AlertsSubscribeParams, FilterType};
use opstead_schema::results::Subscribed;
use opstead_schema::{Alert, AlertBookmark, AlertClosed, BookmarkKind, to_json};
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::Error;
use crate::backoff::Backoff;
use crate::client::Handle;
use crate::session::{Delivery, DeliveryKind, Route};

/// Which alert names are meant. A text alone is a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The pattern.
    pub pattern: String,
    /// How it is written.
    pub filter_type: FilterType,
}

/// What to subscribe to, and from where on.
#[derive(Debug, Clone)]
pub struct SubscribeOptions {
    /// Which alert names are meant.
    pub filter: Filter,
    /// After which place, of which log; the head if left out.
    pub after: Option<(u64, String)>,
    /// First how every matching object stands. Not with `after`.
    pub snapshot: bool,
    /// After how many milliseconds without an alert the daemon tells how far it has come; 0 for
    /// never.
    pub bookmark_ms: u64,
}

/// A filter and a place in the log, from which alerts are handed out one by one.
pub struct Subscription {
    handle: Arc<Handle>,
    options: SubscribeOptions,
    cursor: u64,
    log_id: String,
    /// The snapshot is not complete, so it would begin anew.
    in_snapshot: bool,
    route: Option<Route>,
    backoff: Backoff,
}

impl Filter {
    /// `*`, `?`, `[ab]`, `{a,b}`; also over dots.
    #[must_use]
    pub fn glob(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            filter_type: FilterType::Glob,
        }
    }

    /// A regular expression, anchored at both ends.
    #[must_use]
    pub fn regexp(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            filter_type: FilterType::Regexp,
        }
    }
}

impl<T: Into<String>> From<T> for Filter {
    fn from(pattern: T) -> Self {
        Self::glob(pattern)
    }
}

impl SubscribeOptions {
    /// From the present head of the log on.
    #[must_use]
    pub fn new(filter: impl Into<Filter>) -> Self {
        let AlertsSubscribeParams { bookmark_ms, .. } = AlertsSubscribeParams::default();
        Self {
            filter: filter.into(),
            after: None,
            snapshot: false,
            bookmark_ms,
        }
    }

    /// From a place on that an earlier subscription had come to.
    #[must_use]
    pub fn after(mut self, cursor: u64, log_id: impl Into<String>) -> Self {
        self.after = Some((cursor, log_id.into()));
        self
    }

    /// First how every matching object stands.
    #[must_use]
    pub fn with_snapshot(mut self) -> Self {
        self.snapshot = true;
        self
    }
}

impl Subscription {
    /// Subscribes; live when it returns.
    pub(crate) async fn open(
        handle: Arc<Handle>,
        options: SubscribeOptions,
    ) -> Result<Self, Error> {
        let params = to_json(&params(&options)).map_err(Error::Params)?;
        let (subscribed, route) = subscribe(&handle, &params).await?;
        let config = &handle.shared.config;
        Ok(Self {
            backoff: Backoff::new(config.backoff, config.backoff_most),
            cursor: options
                .after
                .as_ref()
                .map_or(subscribed.cursor, |(cursor, _)| *cursor),
            log_id: subscribed.log_id,
            in_snapshot: options.snapshot,
            route: Some(route),
            handle,
            options,
        })
    }

    /// How far it has come: the place of the last alert handed out, or of a later bookmark. From
    /// there another subscription can go on.
    #[must_use]
    pub const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The log that the cursor belongs to.
    #[must_use]
    pub fn log_id(&self) -> &str {
        &self.log_id
    }

    /// The next alert, in the order of the log, each exactly once. Waits over disconnections and
    /// resumes. Nothing is lost when the future is dropped.
    ///
    /// A snapshot that a disconnection interrupted begins anew, marked as such like the first.
    ///
    /// # Errors
    /// [`Error::CursorExpired`] when what comes next is no longer kept; calling again goes on from
    /// the oldest place that is. [`Error::Refused`] when the daemon does not let it resume.
    pub async fn next(&mut self) -> Result<Alert, Error> {
        loop {
            match self.next_connected().await {
                Err(Error::Disconnected) => self.handle.shared.connected().await?,
                other => return other,
            }
        }
    }

    /// As [`Self::next`], but says [`Error::Disconnected`] for as long as there is no connection.
    pub(crate) async fn next_connected(&mut self) -> Result<Alert, Error> {
        loop {
            let Some(route) = self.route.as_mut() else {
                self.resume().await?;
                continue;
            };
            match route.next().await {
                Some(delivery) => {
                    if let Some(alert) = self.take(delivery)? {
                        return Ok(alert);
                    }
                }
                None => {
                    let connected = route.is_connected();
                    self.route = None;
                    if !connected {
                        return Err(Error::Disconnected);
                    }
                    // It was given up because it was read too slowly; it goes on now.
                }
            }
        }
    }

    /// Subscribes after the last place, or sleeps a little if the daemon cannot just now.
    async fn resume(&mut self) -> Result<(), Error> {
        let mut options = self.options.clone();
        options.snapshot = self.in_snapshot;
        options.after = (!self.in_snapshot).then(|| (self.cursor, self.log_id.clone()));
        let params = to_json(&params(&options)).map_err(Error::Params)?;
        match subscribe(&self.handle, &params).await {
            Ok((subscribed, route)) => {
                if self.in_snapshot {
                    self.log_id = subscribed.log_id;
                } else if subscribed.log_id != self.log_id {
                    return Err(Error::Protocol("it resumed another log".to_owned()));
                }
                self.route = Some(route);
                let config = &self.handle.shared.config;
                self.backoff = Backoff::new(config.backoff, config.backoff_most);
                Ok(())
            }
            Err(Error::CursorExpired { oldest_cursor }) => Err(self.expire(oldest_cursor)),
            Err(error) if error.is_passing() || matches!(error, Error::TimedOut) => {
                sleep(self.backoff.delay()).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, delivery: Delivery) -> Result<Option<Alert>, Error> {
        let Delivery {
            kind,
            cursor,
            params,
        } = delivery;
        match kind {
            DeliveryKind::Alert => {
                let alert: Result<Alert, _> = serde_json::from_str(params.get());
                let snapshot = alert.as_ref().is_ok_and(|alert| alert.snapshot);
                if !snapshot && !self.in_snapshot {
                    if cursor <= self.cursor {
                        return Ok(None);
                    }
                    self.cursor = cursor;
                }
                alert
                    .map(Some)
                    .map_err(|error| Error::Protocol(error.to_string()))
            }
            DeliveryKind::Bookmark => {
                let bookmark: AlertBookmark = serde_json::from_str(params.get())
                    .map_err(|error| Error::Protocol(error.to_string()))?;
                if bookmark.kind == BookmarkKind::CaughtUp {
                    self.in_snapshot = false;
                }
                // While the snapshot is not complete there is no place from which to resume.
                if !self.in_snapshot {
                    self.cursor = self.cursor.max(cursor);
                }
                Ok(None)
            }
            DeliveryKind::Closed => self.closed(params.get()).map(|()| None),
            // Of an executor, not of this.
            DeliveryKind::Assignment => Ok(None),
        }
    }

    fn closed(&mut self, params: &str) -> Result<(), Error> {
        self.route = None;
        let closed: AlertClosed =
            serde_json::from_str(params).map_err(|error| Error::Protocol(error.to_string()))?;
        match Error::from_daemon(closed.error) {
            Error::CursorExpired { oldest_cursor } => Err(self.expire(oldest_cursor)),
            // The daemon will be gone, or have room, in a moment: resuming finds out.
            error if error.is_passing() => Ok(()),
            error => Err(error),
        }
    }

    /// What lay between is lost; that is said, and then it goes on from what there is.
    fn expire(&mut self, oldest_cursor: u64) -> Error {
        self.cursor = self.cursor.max(oldest_cursor);
        Error::CursorExpired { oldest_cursor }
    }
}

async fn subscribe(handle: &Handle, params: &RawValue) -> Result<(Subscribed, Route), Error> {
    let queue = handle.shared.config.queue;
    let subscribe = handle.shared.subscribe("alerts.subscribe", params, queue);
    let (answer, route) = subscribe.await?;
    let subscribed = serde_json::from_str(answer.get());
    let subscribed = subscribed.map_err(|error| Error::Protocol(error.to_string()))?;
    Ok((subscribed, route))
}

fn params(options: &SubscribeOptions) -> AlertsSubscribeParams {
    let (after, log_id) = options.after.clone().unzip();
    AlertsSubscribeParams {
        filter: options.filter.pattern.clone(),
        filter_type: options.filter.filter_type,
        after,
        log_id,
        snapshot: options.snapshot,
        bookmark_ms: options.bookmark_ms,
    }
}
