//! What is wrong around the program: folders, permissions, configuration. Each ends it with a clear
//! error and loses nothing.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::program::{Home, end};

/// "A second daemon on the same folder": it says so and ends; the first one goes on.
#[tokio::test]
async fn a_second_daemon_on_the_same_folder_is_refused() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("before").await;
    let second = home.fail();
    assert!(!second.status.success());
    assert!(
        second.errors.contains("already in use by another daemon"),
        "{}",
        second.errors
    );
    assert!(
        second.errors.contains(home.data.to_str().unwrap()),
        "{}",
        second.errors
    );
    session.noop("after").await;
    daemon.connect().await.get("before").await;
}

/// "A data folder of another version": it is refused and left as it is.
#[tokio::test]
async fn a_folder_of_another_version_is_refused() {
    let home = Home::new();
    let daemon = home.start();
    daemon.connect().await.noop("before").await;
    daemon.stop().await;
    let marker = home.data.join("marker.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    std::fs::write(&marker, text.replace("\"version\":1", "\"version\":2")).unwrap();
    let refused = home.fail();
    assert!(!refused.status.success());
    assert!(refused.errors.contains("format 2"), "{}", refused.errors);
    std::fs::write(&marker, text).unwrap();
    home.start().connect().await.get("before").await;
}

/// A log that is gone from its folder is never taken for a new one.
#[tokio::test]
async fn a_folder_without_its_log_is_refused() {
    let home = Home::new();
    let daemon = home.start();
    daemon.connect().await.noop("before").await;
    daemon.stop().await;
    let (log, aside) = (home.data.join("log"), home.data.join("aside"));
    std::fs::rename(&log, &aside).unwrap();
    let refused = home.fail();
    assert!(!refused.status.success());
    assert!(
        refused.errors.contains("is missing from it"),
        "{}",
        refused.errors
    );
    let _ = std::fs::remove_dir_all(&log);
    std::fs::rename(&aside, &log).unwrap();
    home.start().connect().await.get("before").await;
}

/// "No permission": the folder is named.
#[tokio::test]
async fn a_folder_without_permission_is_refused() {
    let home = Home::new();
    let daemon = home.start();
    daemon.connect().await.noop("before").await;
    daemon.stop().await;
    let mut command = home.command();
    if rustix::process::getuid().is_root() {
        // Root may do everything, so it is tried as somebody else.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(home.folder.path(), open).unwrap();
        command.uid(65_534).gid(65_534);
    } else {
        std::fs::set_permissions(&home.data, std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    match command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) => assert!(!status.success()),
        Err(error) => {
            println!("skipped: the program cannot be run as somebody else: {error}");
            return;
        }
    }
    let mut command = home.command();
    if rustix::process::getuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let refused = end(command);
    assert_eq!(refused.status.code(), Some(77));
    assert!(
        refused.errors.contains("ermission denied"),
        "{}",
        refused.errors
    );
    assert!(
        refused.errors.contains(home.data.to_str().unwrap()),
        "{}",
        refused.errors
    );
    std::fs::set_permissions(&home.data, std::fs::Permissions::from_mode(0o700)).unwrap();
    home.start().connect().await.get("before").await;
}

/// A data folder that cannot be made is named.
#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let home = Home::new();
    let file = home.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let home = Home::at(&file.join("data"), "");
    let refused = home.fail();
    assert!(!refused.status.success());
    assert!(
        refused.errors.contains(home.data.to_str().unwrap()),
        "{}",
        refused.errors
    );
}

/// A wrong configuration: the error names file and line and says what is allowed.
#[test]
fn a_wrong_configuration_is_refused_with_file_and_line() {
    let home = Home::new();
    for (lines, line, allowed) in [
        ("[storage]\npole = \"x\"\n", "line 4", "`pool`"),
        ("[storag]\n", "line 3", "`storage`"),
        ("[limits]\nconnections = \"many\"\n", "line 4", "at least 1"),
        ("[limits]\nconnections = 0\n", "line 4", "at least 1"),
        ("[limits]\nrequest_bytes = 0\n", "line 4", "at least 1"),
        ("[limits]\nanswer_bytes = 0\n", "line 4", "at least 1"),
        ("[storage]\ncapacity = 0\n", "line 4", "at least 1"),
        ("[retention]\nalerts_days = 0\n", "line 4", "at least 1"),
        (
            "[limits]\ncapacity = 4294967296\n",
            "line 4",
            "at most 4294967295",
        ),
        (
            "[listen]\nhosts = [\"http://x\"]\n",
            "line 4",
            "storage.example",
        ),
        (
            "[listen]\norigins = [\"x\"]\n",
            "line 4",
            "https://manager.example",
        ),
        ("[limits\n", "line 3", "]"),
    ] {
        home.configure(lines);
        let refused = home.fail();
        assert!(!refused.status.success(), "{lines}");
        for part in ["config.toml", line, allowed] {
            assert!(refused.errors.contains(part), "{part}: {}", refused.errors);
        }
        assert!(!home.data.exists(), "nothing was made before: {lines}");
    }
    std::fs::remove_file(home.config()).unwrap();
    let refused = home.fail();
    assert!(!refused.status.success());
    assert!(refused.errors.contains("config.toml"), "{}", refused.errors);
}

/// An address that is taken is named, and the folder is free again.
#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = std::process::Command::new(crate::program::PROGRAM);
    command
        .args(["serve", "--listen", &address, "--data"])
        .arg(&home.data);
    let refused = end(command);
    assert!(!refused.status.success());
    assert!(refused.errors.contains(&address), "{}", refused.errors);
    home.start().connect().await.noop("n").await;
}
