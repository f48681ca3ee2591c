//! A client of the Opstead daemon: call, register, subscribe, resume, wait.
//!
//! # A tour
//!
//! Connect over TCP or over the daemon's Unix socket. A [`Client`] is cheap to clone; one
//! connection serves all clones. When it is lost, it is made anew for as long as a clone or a
//! subscription is left.
//!
//! ```no_run
//! use std::time::Duration;
//! use opstead_client::{Client, ClientConfig, Error};
//! use opstead_client::schema::{params::RegisterParams, to_json};
//!
//! # async fn tour() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("ws://127.0.0.1:6770".parse()?, ClientConfig::default()).await?;
//!
//! // Live when it returns: nothing that is registered from here on can be missed.
//! let mut watch = client.watch("storage.*").await?;
//!
//! // An id of one's own makes the request repeatable: after a lost connection send it again.
//! let kwargs = to_json(&serde_json::json!({"image": "a", "sizeBytes": 1 << 30}))?;
//! let request = RegisterParams::new("storage.createImage", kwargs).with_id("create a");
//! let registration = loop {
//!     match client.register(&request).await {
//!         Err(Error::Disconnected) => client.wait_for_reconnect(Duration::from_secs(60)).await?,
//!         answer => break answer?,
//!     }
//! };
//!
//! loop {
//!     match watch.wait_for_event(Duration::from_secs(5)).await {
//!         Ok(alert) if alert.operation_id.as_ref() == Some(&registration.id) => {
//!             if alert.operation_info.stage.is_last() {
//!                 break;
//!             }
//!         }
//!         Ok(_) => {}
//!         // The watch goes on after the last alert that it handed out.
//!         Err(Error::Disconnected) => client.wait_for_reconnect(Duration::from_secs(60)).await?,
//!         Err(Error::TimedOut) => {
//!             let operation = client.operation(&registration.id).await?;
//!             println!("{:?}", operation.operation_info.percentage.known());
//!         }
//!         Err(error) => return Err(error.into()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - A call whose connection is lost before its answer fails with [`Error::Disconnected`]: whether
//!   it took effect is unknown. Reads can be asked again, registrations be repeated with their id.
//! - A [`Subscription`] hands out every matching alert exactly once and in order, over any number
//!   of reconnections, because it resumes after the last alert *handed out*. Where that is no
//!   longer possible it says so, once, with [`Error::CursorExpired`].
//! - A consumer that is slow costs neither memory nor the other calls anything: over
//!   [`ClientConfig::queue`] alerts the subscription is given up and resumed when it is read.
//! - [`Error`] tells time-out, disconnection, refusal and an expired cursor apart.
#![warn(missing_docs)]

mod error;

mod config;
mod target;

mod client;
mod subscription;
mod watch;

mod executor;

mod attachment;

mod attempt;

mod backoff;
mod connection;
mod envelope;
mod random;
mod session;

pub use attachment::{AttachOptions, Attachment};
pub use client::Client;
pub use config::{ClientConfig, Token};
pub use error::Error;
pub use executor::{Executor, Task};
/// The types of the wire.
pub use opstead_schema as schema;
pub use subscription::{Filter, SubscribeOptions, Subscription};
pub use target::{Target, TargetError};
pub use watch::Watch;
