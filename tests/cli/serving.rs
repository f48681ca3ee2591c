//! `serve`: what keeps it from starting is told in one sentence with a hint, has its exit code, and
//! leaves nothing behind.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use tempfile::TempDir;

use super::support::{Daemon, Ran, program};

const FREE: &str = "127.0.0.1:0";

fn serve(data: &Path, listen: &str, config: Option<&Path>) -> Ran {
    let mut serve = program();
    serve
        .args(["serve", "--listen", listen, "--data"])
        .arg(data);
    if let Some(config) = config {
        serve.arg("--config").arg(config);
    }
    Ran::of(&mut serve)
}

/// It ended so, in words, and told what helps.
fn refused(ran: &Ran, code: i32, says: &str) {
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{ran:?}");
    let told = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("opstead: "));
    assert_eq!(told.count(), 1, "{ran:?}");
    assert!(ran.stderr.contains(says), "{says}: {ran:?}");
    assert!(ran.stderr.contains("\nHint: "), "{ran:?}");
}

fn is_empty(folder: &TempDir) -> bool {
    fs::read_dir(folder.path()).unwrap().next().is_none()
}

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let daemon = Daemon::start();
    let second = serve(&daemon.folder().join("data"), FREE, None);
    refused(&second, 69, "in use by another daemon");
    assert_eq!(daemon.run(&["status"]).code, 0);
}

#[test]
fn an_address_that_cannot_be_had_is_refused_before_anything_is_made() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("new/data");
    let taken = TcpListener::bind(FREE).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&serve(&data, &address, None), 69, &address);
    // An address kept for documentation, so no machine has it.
    refused(&serve(&data, "192.0.2.1:6770", None), 2, "192.0.2.1:6770");
    assert!(is_empty(&folder));
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_is_made() {
    let folder = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let config = elsewhere.path().join("opstead.toml");
    let data = folder.path().join("data");
    refused(&serve(&data, FREE, Some(&config)), 2, "opstead.toml");
    fs::write(&config, "[storage]\nfrobnicate = 1\n").unwrap();
    refused(&serve(&data, FREE, Some(&config)), 2, "frobnicate");
    assert!(is_empty(&folder));
}

/// A folder for the daemon's socket must not be too deep.
#[test]
fn a_path_too_long_for_a_socket_is_refused_before_anything_is_made() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("x".repeat(120));
    refused(&serve(&data, FREE, None), 2, "opstead.sock");
    assert!(is_empty(&folder));
}

/// What turns out only when the log of a new folder has begun.
#[test]
fn a_start_that_fails_late_takes_back_what_it_has_made() {
    let folder = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let config = elsewhere.path().join("opstead.toml");
    fs::write(&config, "[storage]\nimport_folders = [\"/nonexistent\"]\n").unwrap();
    let data = folder.path().join("new/data");
    refused(&serve(&data, FREE, Some(&config)), 2, "/nonexistent");
    assert!(is_empty(&folder), "the folder was new");
    refused(
        &serve(folder.path(), FREE, Some(&config)),
        2,
        "/nonexistent",
    );
    assert!(is_empty(&folder), "the folder was empty");
}

#[test]
fn a_start_that_fails_on_a_folder_in_use_leaves_it_as_it_was() {
    let mut daemon = Daemon::start();
    daemon.json(&["call", "diagnostic.noop", "--id", "kept", "--wait"]);
    let config = daemon.folder().join("wrong.toml");
    fs::write(&config, "[storage]\nimport_folders = [\"/nonexistent\"]\n").unwrap();
    daemon.kill();
    let data = daemon.folder().join("data");
    refused(&serve(&data, FREE, Some(&config)), 2, "/nonexistent");
    daemon.start_again();
    assert_eq!(daemon.json(&["show", "kept"])["state"], "completed");
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    refused(&serve(&file, FREE, None), 2, "file cannot be used");
    refused(&serve(&file.join("data"), FREE, None), 2, "file/data");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_journal_at_fault_is_refused_with_1_and_stays() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let data = daemon.folder().join("data");
    fs::remove_file(data.join("marker.json")).unwrap();
    let ran = serve(&data, FREE, None);
    refused(&ran, 1, "marker.json is missing");
    assert!(ran.stderr.contains("opstead journal DIR"), "{ran:?}");
    assert!(data.join("log/db").exists());
}

#[test]
fn a_socket_of_a_dead_daemon_is_no_obstacle_and_a_file_in_its_place_is() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let data = daemon.folder().join("data");
    let socket = data.join("opstead.sock");
    assert!(socket.exists(), "nobody has removed it");
    daemon.start_again();
    assert_eq!(daemon.run(&["status"]).code, 0);
    daemon.kill();
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    refused(&serve(&data, FREE, None), 69, "opstead.sock");
    drop(other);
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "precious").unwrap();
    refused(&serve(&data, FREE, None), 1, "opstead.sock");
    assert_eq!(fs::read(&socket).unwrap(), b"precious");
}

#[test]
fn help_tells_the_exit_codes() {
    for arguments in [
        &["--help"][..],
        &["call", "--help"],
        &["wait", "--help"],
        &["serve", "--help"],
        &["journal", "--help"],
    ] {
        let ran = Ran::of(program().args(arguments));
        assert_eq!(ran.code, 0);
        for code in [
            "0  done",
            "1  failed",
            "65  rejected",
            "69  unreachable",
            "75  timed out",
            "77  not permitted",
        ] {
            assert!(ran.stdout.contains(code), "{arguments:?}: {ran:?}");
        }
    }
}
