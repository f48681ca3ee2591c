//! The client against a daemon that fails as the test says.

mod calls;
mod executors;
mod fake;
mod subscriptions;
