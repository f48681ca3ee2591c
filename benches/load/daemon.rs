//! The daemon under load: the release program, on a fresh folder on the disk of the build.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::closed_loop::{Clients, Load, Script};
use crate::process::ServerProcess;
use crate::scripts::call;
use crate::websocket::WebSocket;

/// What an answer promises, as the JSON line says it.
pub(crate) const DURABILITY: &str = "synced to disk before the answer";

const CONFIGURATION: &str = "[diagnostic]\nenabled = true\n";

pub(crate) struct Daemon {
    pub(crate) process: ServerProcess,
    pub(crate) address: SocketAddr,
    token: String,
    /// After the process: it goes when the daemon has ended.
    folder: TempDir,
}

impl Daemon {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = fresh_folder()?;
        let configuration = folder.path().join("opstead.toml");
        fs::write(&configuration, CONFIGURATION)?;
        let data = folder.path().join("data");
        let errors = folder.path().join("stderr");
        let mut command = Command::new(env!("CARGO_BIN_EXE_opstead"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(&data).arg("--config").arg(&configuration);
        command.stderr(File::create(&errors)?);
        let process = ServerProcess::start(&mut command)?;
        let Some(address) = address_in(process.ready_line()) else {
            bail!(
                "the daemon did not become ready: {:?}\n{}",
                process.ready_line(),
                fs::read_to_string(&errors)?
            );
        };
        let token = fs::read_to_string(data.join("admin.token")).context("the daemon's token")?;
        Ok(Self {
            process,
            address,
            token: token.trim().to_owned(),
            folder,
        })
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<WebSocket> {
        WebSocket::connect(self.address, Some(&self.token)).await
    }

    pub(crate) async fn clients<S: Script>(
        &self,
        load: Load,
        script: impl AsyncFnMut(usize, &mut WebSocket) -> anyhow::Result<S>,
    ) -> anyhow::Result<Clients<S>> {
        Clients::connect(self.address, Some(&self.token), load, script).await
    }

    /// Registers one operation for each resource `r0…` that holds it until the daemon ends.
    pub(crate) async fn hold_resources(&self, count: u64) -> anyhow::Result<()> {
        let mut socket = self.connect().await?;
        for number in 0..count {
            let params = format!(
                r#"{{"methodName":"diagnostic.wait","claims":[{{"type":"load","id":"r{number}","operation":"create"}}]}}"#
            );
            call(&mut socket, "operations.register", &params).await?;
        }
        Ok(())
    }

    /// How many operations are in a state.
    pub(crate) async fn count_in_state(&self, state: &str) -> anyhow::Result<u64> {
        let answer = call(&mut self.connect().await?, "system.status", "{}").await?;
        let count = answer["result"]["counts"][state].as_u64();
        count.with_context(|| format!("no count of {state} in {answer}"))
    }

    /// A place on the daemon's disk.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// `opstead is ready: ws://127.0.0.1:43127 unix:…`
fn address_in(ready_line: &str) -> Option<SocketAddr> {
    let words = ready_line.strip_prefix("opstead is ready:")?;
    let address = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix("ws://"))?;
    address.parse().ok()
}

/// On the disk of the build, which must be one: in memory a flush costs nothing.
fn fresh_folder() -> anyhow::Result<TempDir> {
    const TMPFS: i64 = 0x0102_1994;
    let parent = env!("CARGO_TARGET_TMPDIR");
    fs::create_dir_all(parent)?;
    if rustix::fs::statfs(parent)?.f_type == TMPFS {
        bail!("{parent} is in memory; set CARGO_TARGET_DIR to a folder on a disk");
    }
    Ok(tempfile::Builder::new()
        .prefix("load-")
        .tempdir_in(parent)?)
}
