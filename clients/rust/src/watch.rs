//! A watch: a subscription that is asked for one event at a time, with a time-out.

use std::time::Duration;

use opstead_schema::Alert;
use tokio::time::timeout;

use crate::{Error, Subscription};

/// Alerts one by one, each waited for at most so long. Live from the moment it is made, so what is
/// registered afterwards cannot be missed.
pub struct Watch {
    subscription: Subscription,
}

impl Watch {
    pub(crate) const fn new(subscription: Subscription) -> Self {
        Self { subscription }
    }

    /// The next alert.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when there was none for so long; [`Error::Disconnected`] when the
    /// connection was lost. Neither loses anything: wait for the connection and ask again.
    /// Otherwise as [`Subscription::next`].
    pub async fn wait_for_event(&mut self, within: Duration) -> Result<Alert, Error> {
        timeout(within, self.subscription.next_connected())
            .await
            .unwrap_or(Err(Error::TimedOut))
    }

    /// How far it has come.
    #[must_use]
    pub const fn cursor(&self) -> u64 {
        self.subscription.cursor()
    }

    /// The subscription behind it, at the same place.
    #[must_use]
    pub fn into_subscription(self) -> Subscription {
        self.subscription
    }
}
