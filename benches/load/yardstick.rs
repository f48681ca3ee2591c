//! What the daemon is compared with. `echo` and `broadcast` are servers in processes of their own,
//! `flush` is the disk itself.

pub(crate) mod broadcast;
pub(crate) mod echo;
pub(crate) mod flush;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::str::FromStr;

use anyhow::bail;

use crate::process::ServerProcess;

/// A yardstick that is a server.
#[derive(Clone, Copy)]
pub(crate) enum Yardstick {
    Echo,
    Broadcast,
}

impl Yardstick {
    fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Broadcast => "broadcast",
        }
    }

    /// Starts this program again, as the yardstick's server.
    pub(crate) fn start(self) -> anyhow::Result<(ServerProcess, SocketAddr)> {
        let mut command = Command::new(std::env::current_exe()?);
        let process = ServerProcess::start(command.args(["--serve", self.name()]))?;
        let address = process.ready_line().parse()?;
        Ok((process, address))
    }

    /// The server's side: serves until its input ends, which it does with the load program.
    pub(crate) fn serve(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let address = match self {
            Self::Echo => runtime.block_on(echo::start())?,
            Self::Broadcast => runtime.block_on(broadcast::start())?,
        };
        println!("{address}");
        std::io::stdout().flush()?;
        let _ = std::io::stdin().read(&mut [0])?;
        runtime.shutdown_background();
        Ok(())
    }
}

impl FromStr for Yardstick {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name {
            "echo" => Ok(Self::Echo),
            "broadcast" => Ok(Self::Broadcast),
            other => bail!("there is no yardstick {other:?}"),
        }
    }
}
