//! The program: a home with its data folder and configuration, and the daemon that runs on it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use opstead_client::{Client, ClientConfig, Target};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::session::Session;

/// What the program is, built by cargo for this test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_opstead");

/// Waiting longer than this means that something will never come.
pub(crate) const NEVER: Duration = Duration::from_secs(60);

/// Where a daemon lives: it survives the daemons that run on it.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
    pub(crate) data: PathBuf,
}

/// A daemon that runs; it is killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) token: String,
}

/// How a program ended that was not to run.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) errors: String,
}

impl Home {
    /// A home whose configuration has the subsystem `diagnostic`.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// A home with further lines of configuration.
    pub(crate) fn with(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let home = Self { folder, data };
        home.configure(config);
        home
    }

    /// A home with its data folder elsewhere.
    pub(crate) fn at(data: &Path, config: &str) -> Self {
        let mut home = Self::with(config);
        home.data = data.to_owned();
        home
    }

    /// Changes the configuration for the next start.
    pub(crate) fn configure(&self, config: &str) {
        let text = format!("[diagnostic]\nenabled = true\n{config}");
        std::fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// The command that serves here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&self.data)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null());
        command
    }

    /// Starts a daemon and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        let errors = self.folder.path().join("stderr");
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let Some((address, socket)) = line
            .trim()
            .strip_prefix("opstead is ready: ws://")
            .and_then(|rest| rest.split_once(" unix:"))
        else {
            let status = child.wait().unwrap();
            let errors = std::fs::read_to_string(errors).unwrap();
            panic!("no daemon ({status}): {line:?}\n{errors}");
        };
        let token = std::fs::read_to_string(self.data.join("admin.token")).unwrap();
        Daemon {
            child,
            address: address.parse().unwrap(),
            socket: socket.into(),
            token: token.trim().to_owned(),
        }
    }

    /// Runs the program where it is not to get as far as serving.
    pub(crate) fn fail(&self) -> Ended {
        end(self.command())
    }
}

/// Runs a command to its end.
pub(crate) fn end(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        status: output.status,
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Daemon {
    /// A connection over TCP with the token.
    pub(crate) async fn connect(&self) -> Session {
        Session::tcp(self.address, &self.token).await
    }

    /// The Rust client, on the Unix socket, which is the same after a restart.
    pub(crate) async fn client(&self) -> Client {
        let target = Target::Unix(self.socket.clone());
        let config = ClientConfig {
            backoff_most: Duration::from_millis(200),
            ..ClientConfig::default()
        };
        Client::connect(target, config).await.unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// As a power switch would: without any warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it had ended before");
    }

    pub(crate) fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn wait(mut self) -> ExitStatus {
        tokio::task::spawn_blocking(move || self.child.wait().unwrap())
            .await
            .unwrap()
    }

    /// Ends it in order and waits for that.
    pub(crate) async fn stop(self) {
        self.terminate();
        let status = self.wait().await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
