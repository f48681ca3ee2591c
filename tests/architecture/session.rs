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
use crate::flow_sample;
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
    let readme = read("README.md");
    let file = blocks(&readme, "toml deploy.toml").concat();
    std::fs::write(folder.path().join("deploy.toml"), file).unwrap();
    for block in blocks(&readme, "sh") {
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
    let size = runtime.block_on(mirrored(&target)).unwrap();
    assert_eq!(size, 1_048_576);
    let said = runtime.block_on(echoed(&target)).unwrap();
    assert_eq!(said.get(), r#"{"word":"hello"}"#);
}

/// How large the image is that the last step of the README's flow makes.
async fn mirrored(target: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let client = Client::connect(target.parse()?, ClientConfig::default()).await?;
    let registration = flow_sample::register(&client).await?;
    let done = client.wait_for_operation(registration.id, Duration::from_secs(60));
    assert_eq!(done.await?.state, OperationState::Completed);
    let kwargs = serde_json::json!({"image": "mirror-log"});
    let info: serde_json::Value = client.call("storage.getImageInfo", &kwargs).await?;
    Ok(info["sizeBytes"].as_u64().unwrap_or_default())
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
