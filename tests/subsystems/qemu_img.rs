//! The program `qemu-img` itself: missing, slow, killed, canceled, and out of room.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opstead::subsystems::storage::{Storage, StorageConfig};
use opstead_core::Failure;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::disk::SmallDisk;
use crate::support::qemu::{self, Victim, abandon_in_the_middle, killing_in_the_middle};
use crate::support::{Attempt, MIB, PROGRAM, Site, is, refusal, write_sparse};
use crate::working::working_in;

const COPY: &str = "storage.copyImage";

fn a_to_qcow2() -> Value {
    json!({"source": "a", "target": "b", "format": "qcow2"})
}

/// A site whose copies come to a stop in the middle, with a source for them.
fn slow() -> Option<Site> {
    qemu::are_there().then(|| {
        let site = Site::with(|config| config.copy_bytes_per_second = Some(1000));
        write_sparse(&site.path("a")).expect("write");
        site
    })
}

#[tokio::test]
async fn without_the_program_raw_images_work_and_qcow2_says_what_to_install() {
    let root = tempfile::tempdir().expect("folder");
    let program = root.path().join("qemu-img");
    write_program(&program, "exit 1");
    let site = Site::with(|config| config.qemu_img = program.clone());
    fs::remove_file(&program).expect("remove");
    fs::write(site.path("a"), "content").expect("write");
    fs::write(site.imports().join("file"), "import").expect("write");
    for (method, kwargs) in [
        (
            "createImage",
            json!({"image": "b", "sizeBytes": 1, "format": "qcow2"}),
        ),
        ("createOverlay", json!({"image": "b", "backingImage": "a"})),
        ("copyImage", a_to_qcow2()),
        (
            "importImage",
            json!({"image": "b", "path": site.imports().join("file"), "format": "qcow2"}),
        ),
    ] {
        let outcome = site.run(&format!("storage.{method}"), kwargs).await;
        let failure = outcome.expect_err("missing");
        assert!(
            failure.message.contains("package qemu-utils"),
            "{failure:?}"
        );
        assert_eq!(
            refusal(Err(failure)),
            is(3014, "qemuImgMissing"),
            "{method}"
        );
        assert_eq!(site.files(), ["a"]);
    }
    for (method, kwargs) in [
        ("createImage", json!({"image": "b", "sizeBytes": 1})),
        ("copyImage", json!({"source": "a", "target": "c"})),
        ("resizeImage", json!({"image": "b", "sizeBytes": 2})),
        ("checkImage", json!({"image": "b"})),
        ("deleteImage", json!({"image": "b"})),
    ] {
        let done = site.run(&format!("storage.{method}"), kwargs).await;
        done.expect(method);
    }
    // Once it is installed, it is found.
    if qemu::are_there() {
        symlink(real_program(), &program).expect("link");
        site.run(COPY, a_to_qcow2()).await.expect("copied");
    }
}

fn real_program() -> PathBuf {
    let path = std::env::var_os("PATH").expect("PATH");
    let found = std::env::split_paths(&path).map(|folder| folder.join("qemu-img"));
    found
        .into_iter()
        .find(|program| program.exists())
        .expect("qemu-img")
}

#[test]
fn a_path_that_leads_to_no_program_is_refused() {
    let root = tempfile::tempdir().expect("folder");
    let file = root.path().join("file");
    fs::write(&file, "").expect("write");
    for (path, wanted) in [
        ("bin/qemu-img".into(), "absolute path"),
        (root.path().join("missing"), "No such file"),
        (root.path().to_owned(), "no regular file"),
        (file, "not executable"),
    ] {
        let mut config = StorageConfig::new(root.path().join("pool"), PROGRAM);
        config.qemu_img = path;
        let error = Storage::open(config).err().expect("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let message = error.to_string();
        assert!(message.starts_with("qemu_img "), "{message}");
        assert!(message.contains(wanted), "{message}");
    }
    assert!(!root.path().join("pool").exists());
}

#[tokio::test]
async fn a_conversion_that_is_killed_is_a_clear_error_and_leaves_nothing() {
    let Some(site) = slow() else { return };
    let attempt = killing_in_the_middle(&site, COPY, Victim::Program);
    let outcome = attempt.run(&*site.storage, a_to_qcow2()).await;
    let failure = outcome.expect_err("killed");
    assert_eq!(
        failure.message.as_ref(),
        "qemu-img convert failed: ended by signal 9"
    );
    assert_eq!(refusal(Err(failure)), is(3015, "qemuImgFailed"));
    assert_eq!(site.files(), ["a"]);
    assert_eq!(attempt.last_image_state(), "deleted");
}

/// Whoever ends the guard does not get rid of the program's end.
#[tokio::test]
async fn a_conversion_whose_guard_is_killed_ends_too() {
    let Some(site) = slow() else { return };
    let attempt = killing_in_the_middle(&site, COPY, Victim::Guard);
    let outcome = attempt.run(&*site.storage, a_to_qcow2()).await;
    let failure = outcome.expect_err("killed");
    assert!(failure.message.contains("guard"), "{failure:?}");
    assert_eq!(refusal(Err(failure)), is(3005, "storageIo"));
    assert!(working_in(&site.config.pool).is_empty());
    assert_eq!(site.files(), ["a"]);
}

#[tokio::test]
async fn a_conversion_canceled_in_the_middle_leaves_nothing() {
    let Some(site) = slow() else { return };
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    let mut attempt = Attempt::of(COPY).on_progress(move |extra_data| {
        if extra_data["bytesDone"].as_u64() > Some(0) {
            trigger.cancel();
        }
    });
    attempt.cancel = cancel;
    let attempt = Arc::new(attempt);
    let outcome = attempt.run(&*site.storage, a_to_qcow2()).await;
    assert_eq!(refusal(outcome), is(2005, "canceled"));
    assert_eq!(site.files(), ["a"]);
    assert!(working_in(&site.config.pool).is_empty());
    assert_eq!(attempt.last_image_state(), "deleted");
    let last = attempt.updates().pop().expect("a report");
    assert_eq!(last.percentage, None, "how far it had come stays");
}

#[tokio::test]
async fn a_conversion_that_nobody_waits_for_any_more_ends() {
    let Some(site) = slow() else { return };
    abandon_in_the_middle(&site, COPY, a_to_qcow2()).await;
    assert_eq!(site.files(), ["a"]);
    assert!(working_in(&site.config.pool).is_empty());
}

#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_nothing_is_left_behind() {
    let root = tempfile::tempdir().expect("folder");
    let Some(disk) = SmallDisk::mount(&root.path().join("disk"), "20m") else {
        return;
    };
    if !qemu::are_there() {
        return;
    }
    let pool = disk.0.join("pool");
    let site = Site::with(|config| config.pool = pool);
    write_sparse(&site.path("a")).expect("write");
    let free_before = disk.free_blocks();
    let attempt = Arc::new(Attempt::of(COPY));
    let outcome = attempt.run(&*site.storage, a_to_qcow2()).await;
    assert_eq!(refusal(outcome), is(3004, "noSpace"));
    assert_eq!(site.files(), ["a"]);
    assert_eq!(attempt.last_image_state(), "deleted");
    assert_eq!(disk.free_blocks(), free_before, "it left blocks behind");
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
}

/// A program of that name which is none, to see what is made of its words.
async fn with_words(script: &str) -> Failure {
    let root = tempfile::tempdir().expect("folder");
    let program = root.path().join("qemu-img");
    write_program(&program, script);
    let site = Site::with(|config| config.qemu_img = program);
    fs::write(site.path("a"), vec![1; MIB as usize]).expect("write");
    let outcome = site.run(COPY, a_to_qcow2()).await;
    assert_eq!(site.files(), ["a"], "{script}");
    outcome.expect_err("failed")
}

#[tokio::test]
async fn what_the_program_says_is_told() {
    let failure = with_words("echo 'qemu-img: it is Monday' >&2; exit 3").await;
    assert_eq!(
        failure.message.as_ref(),
        "qemu-img convert failed: it is Monday"
    );
    let data: Value = failure.data.as_ref().expect("data").parse().expect("data");
    assert_eq!(
        (&data["status"], &data["output"]),
        (&json!("exit status 3"), &json!("qemu-img: it is Monday"))
    );
    // Without an end, only the end of it is kept.
    let failure = with_words("head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1").await;
    let data = failure.data.expect("data").as_str().len();
    assert!(data < 80_000, "{data}");
    assert!(
        failure.message.chars().count() < 1000,
        "{}",
        failure.message.len()
    );
    // It says that all is well and has made nothing.
    let failure = with_words("exit 0").await;
    assert_eq!(refusal(Err(failure)), is(3011, "imageBroken"));
}
