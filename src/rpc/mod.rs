//! The JSON-RPC transport: from the socket to the handler of a method and back. It knows who calls
//! and in which order, and bounds what a caller can cost; it decides nothing about operations.
//!
//! | module | what it owns |
//! | --- | --- |
//! | `server` | start and stop; which thread serves whom |
//! | `listener` | binding and accepting |
//! | `worker` | one thread's connections, HTTP, the way into the library |
//! | `socket` | gathering what is written, giving up who takes nothing |
//! | `body` | giving up who sends half a request |
//! | `token`, `auth` | who calls, and from which page |
//! | `connection` | what is kept about a connection |
//! | `gate` | how many calls at a time, and their order |
//! | `middleware` | what every call passes |
//! | `method` | the table of methods, the shape of a handler |
//! | `push` | subscriptions: notifications in the protocol's own shape |
//! | `limits` | every bound |
//! | `table` | which method of the table does what |
//! | `api` | the methods of a manager, one file a family |
//! | `convert`, `errors` | from the core's values to the wire's |
//!
//! Absent on purpose: wire types and the error table (`opstead-schema`).
//!
//! The library, jsonrpsee, has two limits that cannot be mended from outside its transport: a call
//! whose id is no string and no integer from 0 on is taken for a notification, and valid JSON that
//! is no request is answered -32700 instead of -32600. Notifications do nothing. It refuses by itself,
//! with codes of its own: a request that is too large (-32007; 413 over HTTP) and a batch that is
//! too long (-32010).
//!
//! On the Unix socket `Origin` is checked, but not `Host`: no browser reaches it under any name, and
//! who connects is known by the peer's uid.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod api;
pub mod convert;
mod errors;

mod auth;
mod body;
mod connection;
mod gate;
mod limits;
mod listener;
mod method;
mod middleware;
mod push;
mod server;
mod socket;
mod table;
mod token;
mod worker;

pub use api::Api;
pub use connection::Connection;
pub use limits::Limits;
pub use listener::{BindError, Listeners};
pub use method::{Answer, Answerer, Call, Later, MethodTable, Reply, method_not_found};
pub use push::{ConnectionClosed, Opened, PushSink};
pub use server::{Config, RpcServer, StartError};
pub use table::method_table;
pub use token::{Token, TokenError};
