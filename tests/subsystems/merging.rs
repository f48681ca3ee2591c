//! Merging: what is written, what is left when it is cut short, and how that is mended.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use opstead_core::Failure;
use opstead_core::operation::DESCRIPTIONS;
use serde_json::{Value, json};

use crate::support::disk::SmallDisk;
use crate::support::qemu::{
    self, OpenImage, Victim, abandon_in_the_middle, content, killing_in_the_middle, run_qemu, write,
};
use crate::support::{Attempt, MIB, Site, is, refusal, write_sparse};
use crate::working::working_in;

const MERGE: &str = "storage.mergeImage";

fn overlay_into_base() -> Value {
    json!({"image": "overlay", "backingImage": "base"})
}

/// A base of a format with 12 MiB of data, and a larger overlay on it with 24 MiB of its own.
/// Returns what a guest sees of the overlay.
async fn prepare(site: &Site, format: &str) -> Vec<u8> {
    write_sparse(&site.path("raw")).expect("write");
    let kwargs = json!({"source": "raw", "target": "base", "format": format});
    site.run("storage.copyImage", kwargs).await.expect("copied");
    fs::remove_file(site.path("raw")).expect("remove");
    let kwargs = json!({"image": "overlay", "backingImage": "base", "sizeBytes": 70 * MIB});
    let created = site.run("storage.createOverlay", kwargs).await;
    created.expect("created");
    write(site, "overlay", "write -q -P 9 2M 24M");
    content(site, "overlay")
}

/// Begins to merge and lets go of it in the middle. The pool is opened again then.
async fn cut_short(mut site: Site) -> Site {
    site.config.copy_bytes_per_second = Some(1000);
    let mut site = site.reopen(|_| {});
    abandon_in_the_middle(&site, MERGE, overlay_into_base()).await;
    assert!(working_in(&site.config.pool).is_empty());
    site.config.copy_bytes_per_second = None;
    site.reopen(|_| {})
}

async fn attempt(site: &Site, id: &str, number: u32) -> Result<Value, Failure> {
    let attempt = Arc::new(Attempt::of(MERGE).operation(id).number(number));
    attempt.run(&*site.storage, overlay_into_base()).await
}

async fn state(site: &Site, image: &str) -> Value {
    site.info(image).await.expect("info")["imageState"].clone()
}

fn data(failure: &Failure) -> Value {
    failure.data.as_ref().expect("data").parse().expect("data")
}

#[tokio::test]
async fn an_overlay_goes_into_its_backing_image_and_is_gone() {
    for format in ["raw", "qcow2"] {
        let Some(site) = qemu::site() else { return };
        let expected = prepare(&site, format).await;
        let attempt = Arc::new(Attempt::of(MERGE));
        let result = attempt.run(&*site.storage, overlay_into_base()).await;
        let merged = json!({"image": "base", "sizeBytes": 70 * MIB});
        assert_eq!(
            result.expect("merged"),
            merged,
            "it grows to the overlay's size"
        );
        assert!(content(&site, "base") == expected, "{format}");
        assert_eq!(site.files().len(), 1, "{:?}", site.files());
        assert_eq!(state(&site, "base").await, "ok");
        let outcome = site.info("overlay").await;
        assert_eq!(refusal(outcome), is(3001, "imageNotFound"));
        let told = attempt.extra_data();
        let (last, before) = told.split_last().expect("reports");
        assert_eq!(last["imageState"], "ok");
        assert!(before.iter().all(|data| data["imageState"] == "merging"));
        let totals: Vec<u64> = before
            .iter()
            .filter_map(|data| data["bytesTotal"].as_u64())
            .collect();
        assert!(totals.iter().all(|total| *total >= 24 * MIB), "{totals:?}");
        for update in attempt.updates() {
            let description = update.description.expect("description");
            assert!(DESCRIPTIONS.contains(&&*description), "{description}");
        }
    }
}

#[tokio::test]
async fn a_smaller_overlay_leaves_the_rest_of_its_backing_image() {
    let Some(site) = qemu::site() else { return };
    write_sparse(&site.path("base")).expect("write");
    let kwargs = json!({"image": "overlay", "backingImage": "base", "sizeBytes": 10 * MIB});
    let created = site.run("storage.createOverlay", kwargs).await;
    created.expect("created");
    write(&site, "overlay", "write -q -P 9 2M 8M");
    let mut expected = fs::read(site.path("base")).expect("read");
    expected[2 * MIB as usize..10 * MIB as usize].fill(9);
    let result = site.run(MERGE, overlay_into_base()).await;
    assert_eq!(result.expect("merged")["sizeBytes"], 64 * MIB);
    assert!(content(&site, "base") == expected);
}

/// The old version of the format cannot grow with snapshots in it, however often it is tried.
#[tokio::test]
async fn a_backing_image_that_cannot_grow_stays_as_it_is() {
    let Some(site) = qemu::site() else { return };
    let file = site.imports().join("file");
    let create = ["create", "-q", "-f", "qcow2", "-o", "compat=0.10"];
    run_qemu("qemu-img", &create, &[&file, Path::new("8M")]);
    run_qemu("qemu-img", &["snapshot", "-c", "snapshot"], &[&file]);
    let kwargs = json!({"image": "base", "path": file, "format": "qcow2"});
    let imported = site.run("storage.importImage", kwargs).await;
    imported.expect("imported");
    let kwargs = json!({"image": "overlay", "backingImage": "base", "sizeBytes": 16 * MIB});
    let created = site.run("storage.createOverlay", kwargs).await;
    created.expect("created");
    let outcome = site.run(MERGE, overlay_into_base()).await;
    assert_eq!(refusal(outcome), is(3015, "qemuImgFailed"));
    assert_eq!(state(&site, "base").await, "ok");
    let kwargs = json!({"image": "overlay", "sizeBytes": 8 * MIB});
    let resized = site.run("storage.resizeImage", kwargs).await;
    resized.expect("resized");
    let merged = site.run(MERGE, overlay_into_base()).await;
    merged.expect("merged");
}

#[tokio::test]
async fn only_an_overlay_and_its_own_backing_image_are_merged() {
    let Some(site) = qemu::site() else { return };
    prepare(&site, "raw").await;
    fs::write(site.path("other"), vec![1; MIB as usize]).expect("write");
    for (image, backing_image) in [
        ("overlay", "other"),
        ("base", "other"),
        ("base", "overlay"),
        ("overlay", "overlay"),
        ("base", "base"),
    ] {
        let kwargs = json!({"image": image, "backingImage": backing_image});
        let outcome = site.run(MERGE, kwargs).await;
        assert_eq!(refusal(outcome), is(3009, "notTheBackingImage"), "{image}");
    }
    for (image, backing_image) in [("gone", "base"), ("overlay", "gone")] {
        let kwargs = json!({"image": image, "backingImage": backing_image});
        let outcome = site.run(MERGE, kwargs).await;
        assert_eq!(refusal(outcome), is(3001, "imageNotFound"), "{image}");
    }
    assert_eq!(site.files(), [".qcow2/overlay", "base", "other"]);
}

/// The heart of it: whatever is done after a merge was cut short, nothing is lost, and merging again
/// mends it.
#[tokio::test]
async fn a_merge_that_was_cut_short_is_told_and_mended_by_merging_again() {
    for format in ["raw", "qcow2"] {
        let Some(site) = qemu::site() else { return };
        let expected = prepare(&site, format).await;
        let site = cut_short(site).await;
        let outcome = attempt(&site, "operation/1", 2).await;
        let failure = outcome.expect_err("cut short");
        assert_eq!(data(&failure)["imageState"], "degraded");
        assert!(
            failure.message.contains("merge \"overlay\" into it again"),
            "{failure:?}"
        );
        assert_eq!(refusal(Err(failure)), is(3012, "mergeUnfinished"));
        let site = site.reopen(|_| {});
        assert_eq!(state(&site, "base").await, "degraded");
        assert_eq!(state(&site, "overlay").await, "ok");
        assert!(content(&site, "overlay") == expected, "{format}");

        let kwargs = json!({"source": "overlay", "target": "copy", "format": "raw"});
        site.run("storage.copyImage", kwargs).await.expect("copied");
        assert!(
            content(&site, "copy") == expected,
            "what is read through it is right"
        );
        refuse_all_but_merging(&site).await;

        let result = attempt(&site, "operation/2", 1).await;
        assert_eq!(result.expect("merged")["image"], "base");
        assert_eq!(state(&site, "base").await, "ok");
        assert!(content(&site, "base") == expected, "{format}");
        assert!(
            fs::read_dir(site.path(".damage"))
                .expect("folder")
                .next()
                .is_none()
        );
    }
}

async fn refuse_all_but_merging(site: &Site) {
    for (method, kwargs) in [
        ("copyImage", json!({"source": "base", "target": "new"})),
        (
            "createOverlay",
            json!({"image": "new", "backingImage": "overlay"}),
        ),
        (
            "createOverlay",
            json!({"image": "new", "backingImage": "base"}),
        ),
        (
            "resizeImage",
            json!({"image": "overlay", "sizeBytes": 90 * MIB}),
        ),
        ("deleteImage", json!({"image": "overlay"})),
    ] {
        let outcome = site.run(&format!("storage.{method}"), kwargs.clone()).await;
        let failure = outcome.expect_err("refused");
        let named = json!([data(&failure)["image"], data(&failure)["backingImage"]]);
        assert_eq!(named, json!(["overlay", "base"]), "{method}");
        assert_eq!(
            refusal(Err(failure)),
            is(3010, "imageDegraded"),
            "{method} {kwargs}"
        );
    }
    for method in ["storage.deleteImage", "storage.checkImage"] {
        // Neither deletes it; a check finds nothing worse.
        let outcome = site.run(method, json!({"image": "base"})).await;
        match method {
            "storage.deleteImage" => assert_eq!(refusal(outcome), is(3008, "imageHasDependants")),
            _ => assert_eq!(outcome.expect("checked")["imageState"], "degraded"),
        }
    }
}

/// The attempt before was killed with the daemon, but not in the middle of writing.
#[tokio::test]
async fn a_repeated_attempt_does_what_is_left_to_do() {
    let Some(site) = qemu::site() else { return };
    let expected = prepare(&site, "raw").await;
    // Nothing was done yet, or all but the deletion.
    let result = attempt(&site, "operation/1", 2).await;
    assert_eq!(result.expect("merged")["image"], "base");
    assert!(content(&site, "base") == expected);
    // All was done.
    let result = attempt(&site, "operation/1", 2).await;
    assert_eq!(result.expect("merged")["sizeBytes"], 70 * MIB);
    // Of a first attempt nothing was done.
    let outcome = attempt(&site, "operation/1", 1).await;
    assert_eq!(refusal(outcome), is(3001, "imageNotFound"));
}

#[tokio::test]
async fn a_merge_whose_program_dies_is_told_at_once() {
    let Some(mut site) = qemu::site() else { return };
    let expected = prepare(&site, "qcow2").await;
    site.config.copy_bytes_per_second = Some(1000);
    let mut site = site.reopen(|_| {});
    let attempt = killing_in_the_middle(&site, MERGE, Victim::Program);
    let outcome = attempt.run(&*site.storage, overlay_into_base()).await;
    let failure = outcome.expect_err("killed");
    assert!(failure.message.contains("signal 9"), "{failure:?}");
    assert_eq!(refusal(Err(failure)), is(3012, "mergeUnfinished"));
    assert_eq!(attempt.last_image_state(), "degraded");
    assert_eq!(state(&site, "base").await, "degraded");
    site.config.copy_bytes_per_second = None;
    let site = site.reopen(|_| {});
    let merged = site.run(MERGE, overlay_into_base()).await;
    merged.expect("merged");
    assert!(content(&site, "base") == expected);
}

/// Once it was told, it is for who asked for more attempts: the error says that trying again helps.
#[tokio::test]
async fn another_attempt_merges_what_the_one_before_told_of() {
    let Some(site) = qemu::site() else { return };
    let expected = prepare(&site, "qcow2").await;
    let site = cut_short(site).await;
    let outcome = attempt(&site, "operation/1", 2).await;
    let failure = outcome.expect_err("cut short");
    assert_eq!(data(&failure)["retryable"], true);
    let result = attempt(&site, "operation/1", 3).await;
    assert_eq!(result.expect("merged")["image"], "base");
    assert!(content(&site, "base") == expected);
    assert_eq!(state(&site, "base").await, "ok");
}

#[tokio::test]
async fn a_full_disk_cuts_a_merge_short_and_nothing_is_lost() {
    let root = tempfile::tempdir().expect("folder");
    let Some(disk) = SmallDisk::mount(&root.path().join("disk"), "60m") else {
        return;
    };
    if !qemu::are_there() {
        return;
    }
    let pool = disk.0.join("pool");
    let site = Site::with(|config| config.pool = pool);
    let expected = prepare(&site, "raw").await;
    let filler = disk.0.join("filler");
    let room = disk.free_blocks() * 4096 - 8 * MIB;
    fs::write(&filler, vec![1; room as usize]).expect("write");
    let outcome = site.run(MERGE, overlay_into_base()).await;
    let failure = outcome.expect_err("no room");
    assert!(failure.message.contains("no space left"), "{failure:?}");
    assert_eq!(refusal(Err(failure)), is(3012, "mergeUnfinished"));
    assert_eq!(state(&site, "base").await, "degraded");
    fs::remove_file(filler).expect("remove");
    let merged = site.run(MERGE, overlay_into_base()).await;
    merged.expect("merged");
    assert!(content(&site, "base") == expected);
}

/// Nothing was written then, and nothing is wrong.
#[tokio::test]
async fn an_image_that_a_guest_uses_is_not_merged() {
    let Some(site) = qemu::site() else { return };
    let expected = prepare(&site, "raw").await;
    let guest = OpenImage::open(&site.qcow2("overlay"));
    let attempt = Arc::new(Attempt::of(MERGE));
    let outcome = attempt.run(&*site.storage, overlay_into_base()).await;
    assert_eq!(refusal(outcome), is(3013, "imageInUse"));
    assert_eq!(attempt.last_image_state(), "ok");
    assert_eq!(state(&site, "base").await, "ok");
    drop(guest);
    let merged = site.run(MERGE, overlay_into_base()).await;
    merged.expect("merged");
    assert!(content(&site, "base") == expected);
}

/// What merging again cannot mend is broken, and may go.
#[tokio::test]
async fn a_merge_of_an_overlay_that_is_corrupt_leaves_a_broken_image() {
    let Some(site) = qemu::site() else { return };
    prepare(&site, "raw").await;
    let site = cut_short(site).await;
    qemu::corrupt(&site.qcow2("overlay"));
    let outcome = attempt(&site, "operation/1", 2).await;
    let failure = outcome.expect_err("broken");
    let told = data(&failure);
    assert_eq!(
        (&told["imageState"], &told["retryable"]),
        (&json!("broken"), &json!(false))
    );
    assert_eq!(refusal(Err(failure)), is(3012, "mergeUnfinished"));
    let site = site.reopen(|_| {});
    assert_eq!(state(&site, "base").await, "broken");
    let outcome = attempt(&site, "operation/2", 1).await;
    assert_eq!(refusal(outcome), is(3011, "imageBroken"));
    for image in ["overlay", "base"] {
        let deleted = site
            .run("storage.deleteImage", json!({"image": image}))
            .await;
        deleted.expect("deleted");
    }
    // The name is as good as any.
    let kwargs = json!({"image": "base", "sizeBytes": MIB});
    let created = site.run("storage.createImage", kwargs).await;
    created.expect("created");
    assert_eq!(state(&site, "base").await, "ok");
}

#[tokio::test]
async fn a_half_written_image_whose_overlay_vanished_is_broken() {
    let Some(site) = qemu::site() else { return };
    prepare(&site, "raw").await;
    let site = cut_short(site).await;
    fs::remove_file(site.qcow2("overlay")).expect("remove");
    assert_eq!(state(&site, "base").await, "broken");
    let kwargs = json!({"source": "base", "target": "copy"});
    let outcome = site.run("storage.copyImage", kwargs).await;
    assert_eq!(refusal(outcome), is(3011, "imageBroken"));
    let outcome = attempt(&site, "operation/1", 2).await;
    assert_eq!(refusal(outcome), is(3011, "imageBroken"));
    let deleted = site
        .run("storage.deleteImage", json!({"image": "base"}))
        .await;
    deleted.expect("deleted");
}
