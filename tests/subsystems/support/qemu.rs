//! The real tools of QEMU. Where they are missing, tests that need them say that they are skipped.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use opstead::engine::executor::{Executor, TaskContext};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Attempt, Site, json_text};
use crate::working::{Working, working_in};

/// A site, if there are tools to test it with.
pub(crate) fn site() -> Option<Site> {
    are_there().then(Site::new)
}

pub(crate) fn are_there() -> bool {
    let there = ["qemu-img", "qemu-io"].iter().all(|program| {
        let mut command = Command::new(program);
        let command = command.arg("--version").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if !there {
        println!("skipped: qemu-img or qemu-io is missing; they are in the package qemu-utils");
    }
    there
}

/// Runs a tool that must succeed.
pub(crate) fn run_qemu(program: &str, options: &[&str], paths: &[&Path]) {
    let mut command = Command::new(program);
    let output = command.args(options).args(paths).output().expect(program);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {options:?}: {errors}");
}

/// What a guest sees of an image, with all that it is built on.
pub(crate) fn content(site: &Site, image: &str) -> Vec<u8> {
    let raw = site.path(image);
    if raw.exists() {
        return fs::read(raw).expect("read");
    }
    let whole = site.root.path().join("content");
    let options = ["convert", "-f", "qcow2", "-O", "raw"];
    run_qemu("qemu-img", &options, &[&site.qcow2(image), &whole]);
    fs::read(whole).expect("read")
}

/// Writes to a qcow2 image as a guest would: `write -q -P 9 2M 24M`.
pub(crate) fn write(site: &Site, image: &str, command: &str) {
    run_qemu(
        "qemu-io",
        &["-f", "qcow2", "-c", command],
        &[&site.qcow2(image)],
    );
}

/// An image that is open as it is for a guest that runs, until dropped.
pub(crate) struct OpenImage(Child);

impl OpenImage {
    pub(crate) fn open(path: &Path) -> Self {
        Self::open_as(&["-f", "qcow2"], path)
    }

    pub(crate) fn open_as(options: &[&str], path: &Path) -> Self {
        let mut command = Command::new("qemu-io");
        let child = command
            .args(options)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("qemu-io");
        // It prompts when the image is open.
        let mut prompt = [0; 7];
        let output = child.stdout.as_mut().expect("output");
        output.read_exact(&mut prompt).expect("prompt");
        Self(child)
    }
}

impl Drop for OpenImage {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs an attempt until some bytes are done, then lets go of it, as the end of the daemon does.
/// Returns when nothing of it is at work any more.
pub(crate) async fn abandon_in_the_middle(site: &Site, method: &str, kwargs: Value) {
    let (middle, over) = (CancellationToken::new(), CancellationToken::new());
    let signal = middle.clone();
    // Dropped with the attempt, when the last of its work is over.
    let guard = over.clone().drop_guard();
    let attempt = Attempt::of(method).on_progress(move |extra_data| {
        let _held = &guard;
        if extra_data["bytesDone"].as_u64() > Some(0) {
            signal.cancel();
        }
    });
    let context = TaskContext::new(Arc::new(attempt));
    tokio::select! {
        outcome = site.storage.execute(context, json_text(&kwargs)) => panic!("ended: {outcome:?}"),
        () = middle.cancelled() => {}
    }
    over.cancelled().await;
}

/// Which of the processes that run a program for an attempt is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Program,
    Guard,
}

/// An attempt that kills a process when some bytes are done.
pub(crate) fn killing_in_the_middle(site: &Site, method: &str, victim: Victim) -> Arc<Attempt> {
    let pool = site.config.pool.clone();
    Arc::new(Attempt::of(method).on_progress(move |extra_data| {
        if extra_data["bytesDone"].as_u64() > Some(0) {
            working_in(&pool)
                .iter()
                .filter(|process| (process.name == "qemu-img") == (victim == Victim::Program))
                .for_each(Working::kill);
        }
    }))
}

/// Makes two places of a qcow2 image share their data, as a defect of a disk could.
pub(crate) fn corrupt(path: &Path) {
    const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
    let mut bytes = fs::read(path).expect("read");
    let number = |bytes: &[u8], at: u64| {
        let at = at as usize;
        u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
    };
    let first_table = number(&bytes, 40);
    let table = number(&bytes, first_table) & OFFSET;
    let used: Vec<u64> = (0..8192)
        .map(|index| table + index * 8)
        .filter(|at| number(&bytes, *at) & OFFSET != 0)
        .collect();
    let [first, second, ..] = used[..] else {
        panic!("there is no data in it");
    };
    bytes.copy_within(first as usize..first as usize + 8, second as usize);
    fs::write(path, bytes).expect("write");
}
