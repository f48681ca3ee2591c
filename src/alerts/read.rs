//! Reading alerts page by page, waiting for the first one if there is none: the same log as a
//! subscription's, for those who cannot be pushed to.

use std::sync::Arc;
use std::time::Duration;

use opstead_core::Cursor;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::hub::Hub;
use super::scan::{Room, Scan};
use super::{Alert, Closed, ReadError};
use crate::filter::Filter;

/// What is to be read.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// Alerts of which names.
    pub filter: Filter,
    /// From behind which place.
    pub after: Cursor,
    /// The log that `after` is a place of, if the caller knows it.
    pub log_id: Option<String>,
    /// So many alerts at the most, at least 1.
    pub limit: usize,
    /// How long to wait for the first one.
    pub timeout: Duration,
}

/// Some alerts, and where to go on.
pub struct Page {
    /// In the order of the log.
    pub alerts: Vec<Arc<Alert>>,
    /// The place to read on from: all that matches up to here is in the page.
    pub cursor: Cursor,
    /// Whether the log goes on behind `cursor` with an alert that matches, or with so much that it
    /// was not gone through.
    pub more: bool,
}

impl Hub {
    /// Reads what matches behind a place; if there is nothing, waits for it. Nothing is lost when
    /// it is dropped before it is ready, or when the time is over.
    pub async fn read(self: &Arc<Self>, request: ReadRequest) -> Result<Page, ReadError> {
        let deadline = Instant::now() + request.timeout;
        let mut seat = None;
        let mut routed = self.routed();
        let mut place = self.check(request.after, request.log_id.as_deref())?;
        loop {
            let page = self.scan(&request.filter, place, request.limit).await?;
            place = page.cursor;
            let is_over = request.timeout.is_zero() || Instant::now() >= deadline;
            if page.more || !page.alerts.is_empty() || is_over {
                return Ok(page);
            }
            if seat.is_none() {
                seat = Some(self.seats.take(&request.filter)?);
            }
            let goes_on = routed.wait_for(|routed| *routed > place);
            match timeout_at(deadline, goes_on).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(Closed::Stopping.into()),
                Err(_) => return Ok(page),
            }
        }
    }

    async fn scan(&self, filter: &Filter, after: Cursor, limit: usize) -> Result<Page, Closed> {
        let room = Room {
            alerts: limit,
            bytes: self.limits.answer_bytes,
        };
        let mut scan = Scan::new(after, room);
        let mut scanned = 0;
        let more = loop {
            let blocks = self.blocks_after(scan.place()).await?;
            if blocks.is_empty() {
                break false;
            }
            // Others want this thread too, and the budget of a task is not made for pages.
            yield_now().await;
            scanned += blocks.iter().map(|block| block.bytes()).sum::<usize>();
            if !scan.go_through(&blocks, filter) || scanned > self.limits.scan_bytes {
                break true;
            }
        };
        let cursor = scan.place();
        let mut alerts = scan.into_alerts();
        self.write(&mut alerts);
        Ok(Page {
            alerts,
            cursor,
            more,
        })
    }
}
