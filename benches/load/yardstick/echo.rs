//! `echo`: a stock jsonrpsee server with one method that returns its params at once, with the
//! limits that the daemon sets. What it does in a second is what the library and the wire allow.

use std::net::SocketAddr;
use std::time::Duration;

use jsonrpsee::RpcModule;
use jsonrpsee::server::{BatchRequestConfig, PingConfig, Server, ServerConfig};
use opstead::rpc::Limits;
use serde_json::value::RawValue;

use super::Yardstick;
use crate::closed_loop::{Clients, Load, Script};
use crate::process::ServerProcess;
use crate::websocket::WebSocket;

/// The server's process, and how to reach it.
pub(crate) struct Echo {
    pub(crate) process: ServerProcess,
    address: SocketAddr,
}

impl Echo {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (process, address) = Yardstick::Echo.start()?;
        Ok(Self { process, address })
    }

    pub(crate) async fn clients<S: Script>(
        &self,
        load: Load,
        script: impl AsyncFnMut(usize, &mut WebSocket) -> anyhow::Result<S>,
    ) -> anyhow::Result<Clients<S>> {
        Clients::connect(self.address, None, load, script).await
    }
}

pub(super) async fn start() -> anyhow::Result<SocketAddr> {
    let limits = Limits::default();
    let ping = Duration::from_millis(limits.ping_interval_ms);
    let config = ServerConfig::builder()
        .max_request_body_size(limits.max_request_bytes)
        .max_response_body_size(u32::try_from(limits.max_answer_bytes)?)
        .max_connections(limits.max_connections)
        .max_subscriptions_per_connection(limits.max_subscriptions)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.max_batch_length))
        .set_message_buffer_capacity(limits.max_queued_messages)
        .enable_ws_ping(
            PingConfig::new()
                .ping_interval(ping)
                .inactive_limit(ping * 2)
                .max_failures(1),
        )
        .build();
    let server = Server::builder()
        .set_config(config)
        .build("127.0.0.1:0")
        .await?;
    let address = server.local_addr()?;
    let mut module = RpcModule::new(());
    module.register_method("echo", |params, (), _| params.parse::<Box<RawValue>>())?;
    tokio::spawn(server.start(module).stopped());
    Ok(address)
}
