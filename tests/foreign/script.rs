//! A script in a foreign language: run to its end, which is to say `passed`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::program::Daemon;

/// A script that takes longer than this waits for something that never comes.
const NEVER: Duration = Duration::from_secs(600);

/// The folder of this test's files.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign")
}

/// Whether a program is there; if not, it is said that the test is skipped.
pub(crate) fn have(program: &str) -> bool {
    let probed = Command::new(program).arg("--version").output();
    let there = probed.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no {program}");
    }
    there
}

/// Tells a script of the daemon: address, token, socket and process.
pub(crate) fn tell(command: &mut Command, daemon: &Daemon) {
    command
        .arg(daemon.address.to_string())
        .arg(&daemon.token)
        .arg(&daemon.socket)
        .arg(daemon.pid().to_string());
}

/// Runs a script to its end.
///
/// # Panics
/// With its output, if it fails, does not end, or does not say at last that it passed.
pub(crate) fn passes(command: &mut Command) {
    let output = finished(command);
    let last = output.stdout.trim_ascii().rsplit(|byte| *byte == b'\n');
    let passed = last.into_iter().next() == Some(b"passed");
    assert!(
        output.status.success() && passed,
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The output of a command that comes to its end.
pub(crate) fn finished(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pid = Pid::from_child(&child);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    match told.recv_timeout(NEVER) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            kill_process(pid, Signal::KILL).unwrap();
            let output = told.recv().unwrap().unwrap();
            panic!(
                "{command:?} did not end\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

/// The files of a folder that a script needs beside it, copied to another.
pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
