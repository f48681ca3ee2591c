//! The README's session, run as it stands: a daemon in a fresh folder, and each command in turn.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opstead_client::schema::params::RegisterParams;
use opstead_client::schema::{Json, OperationState, null};
use opstead_client::{Client, ClientConfig};

use crate::client_sample;
use crate::documents::{blocks, program};
use crate::executor_sample;
use crate::workspace::read;

/// A daemon, ended when dropped.
struct Daemon(Child);

impl Daemon {
    /// Started as the README says, but on a free port.
    fn start(folder: &Path, options: &[&str]) -> Self {
        let readme = read("README.md");
        let commands = blocks(&readme, "console").concat();
        let serve = commands
            .lines()
            .find_map(|line| line.strip_prefix("opstead serve "))
            .expect("the README starts a daemon")
            .replace("127.0.0.1:6770", "127.0.0.1:0");
        let mut child = program()
            .current_dir(folder)
            .arg("serve")
            .args(serve.split(' '))
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(line.starts_with("opstead is ready: "), "{line}");
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test says so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_session_of_the_readme_runs() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(folder.path(), &[]);
    let bin = Path::new(env!("CARGO_BIN_EXE_opstead")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for block in blocks(&read("README.md"), "sh") {
        let output = Command::new("sh")
            .args(["-eux", "-c", &block])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env_remove("OPSTEAD_DATA")
            .env_remove("OPSTEAD_CONNECT")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
    }
    let target = format!(
        "unix:{}",
        folder.path().join("opstead-data/opstead.sock").display()
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let state = runtime.block_on(client_sample::copy(&target)).unwrap();
    assert_eq!(state, OperationState::Completed);
    let said = runtime.block_on(echoed(&target)).unwrap();
    assert_eq!(said.get(), r#"{"word":"hello"}"#);
}

/// What the executor of the README makes of its kwargs.
async fn echoed(target: &str) -> Result<Json, Box<dyn std::error::Error>> {
    let client = Client::connect(target.parse()?, ClientConfig::default()).await?;
    let _attachment = executor_sample::attach(&client).await?;
    let request = RegisterParams::new("echo.say", serde_json::from_str(r#"{"word":"hello"}"#)?);
    let registration = client.register(&request).await?;
    let done = client.wait_for_operation(registration.id, Duration::from_secs(60));
    Ok(done.await?.result.unwrap_or_else(null))
}

/// The program that the README declares packs a folder, whatever that is called.
#[test]
fn the_program_of_the_readme_runs() {
    let folder = tempfile::tempdir().unwrap();
    let shown = blocks(&read("README.md"), "toml");
    let declared = shown.iter().find(|block| block.starts_with("[exec."));
    let [source, target] = ["srv", "backups"].map(|name| folder.path().join(name));
    std::fs::create_dir_all(source.join("-www/pages")).unwrap();
    std::fs::create_dir(&target).unwrap();
    let config = declared
        .expect("the README declares a program")
        .replace("/srv", source.to_str().unwrap())
        .replace("/var/backups", target.to_str().unwrap());
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let _daemon = Daemon::start(folder.path(), &["--config", "config.toml"]);
    let output = program()
        .current_dir(folder.path())
        .args([
            "call",
            "exec.packFolder",
            "archive=www",
            "folder=-www",
            "--wait",
        ])
        .output()
        .unwrap();
    let (said, told) = (output.stdout, output.stderr);
    let (said, told) = (
        String::from_utf8_lossy(&said),
        String::from_utf8_lossy(&told),
    );
    assert!(output.status.success(), "{said}{told}");
    assert!(said.contains("-www/pages/"), "{said}");
    assert!(target.join("www.tar").metadata().unwrap().len() > 0);
}
