//! Images in the format qcow2, by the real `qemu-img`: made, copied from format to format, resized,
//! built on one another.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use opstead_core::operation::DESCRIPTIONS;
use serde_json::{Value, json};

use crate::support::qemu::{self, content, run_qemu, write};
use crate::support::{Attempt, MIB, OneObject, allocated_bytes, is, refusal, write_sparse};

#[tokio::test]
async fn a_created_image_is_qcow2_and_takes_hardly_any_space() {
    let Some(site) = qemu::site() else { return };
    let attempt = Arc::new(Attempt::of("storage.createImage"));
    let kwargs = json!({"image": "a", "sizeBytes": 100 * MIB, "format": "qcow2"});
    let result = attempt.run(&*site.storage, kwargs).await.expect("created");
    assert_eq!(result, json!({"image": "a", "sizeBytes": 100 * MIB}));
    assert_eq!(site.files(), [".qcow2/a"]);
    assert!(allocated_bytes(&site.qcow2("a")) < MIB);
    let info = site.info("a").await.expect("info");
    assert_eq!(
        (&info["format"], &info["sizeBytes"], &info["imageState"]),
        (&json!("qcow2"), &json!(100 * MIB), &json!("ok"))
    );
    assert!(info.get("backingImage").is_none() && info.get("dependants").is_none());
    assert_eq!(attempt.last_image_state(), "ok");
    // Sectors have 512 bytes: what is less is filled up, and the result says so.
    let kwargs = json!({"image": "b", "sizeBytes": 5, "format": "qcow2"});
    let result = site.run("storage.createImage", kwargs).await;
    assert_eq!(
        result.expect("created"),
        json!({"image": "b", "sizeBytes": 512})
    );
}

#[tokio::test]
async fn a_name_is_taken_whatever_the_format() {
    let Some(site) = qemu::site() else { return };
    for (image, first, second) in [("a", "raw", "qcow2"), ("b", "qcow2", "raw")] {
        let kwargs = |format: &str| json!({"image": image, "sizeBytes": MIB, "format": format});
        let made = site.run("storage.createImage", kwargs(first)).await;
        made.expect("created");
        let outcome = site.run("storage.createImage", kwargs(second)).await;
        assert_eq!(refusal(outcome), is(3002, "imageExists"));
    }
    assert_eq!(site.files(), [".qcow2/b", "a"]);
}

#[tokio::test]
async fn a_copy_goes_from_format_to_format_and_back_and_stays_sparse() {
    let Some(site) = qemu::site() else { return };
    write_sparse(&site.path("a")).expect("write");
    for kwargs in [
        json!({"source": "a", "target": "b", "format": "qcow2"}),
        json!({"source": "b", "target": "c"}),
        json!({"source": "c", "target": "d", "format": "raw"}),
    ] {
        let attempt = Arc::new(Attempt::of("storage.copyImage"));
        let result = attempt.run(&*site.storage, kwargs.clone()).await;
        let expected = json!({"image": kwargs["target"], "sizeBytes": 64 * MIB});
        assert_eq!(result.expect("copied"), expected);
        let told = attempt.extra_data();
        let (last, before) = told.split_last().expect("reports");
        assert_eq!(last["imageState"], "ok");
        assert!(last["bytesTotal"].as_u64() >= Some(12 * MIB), "{last}");
        assert_eq!(last["bytesDone"], last["bytesTotal"]);
        assert!(before.iter().all(|data| data["imageState"] == "creating"));
        let updates = attempt.updates();
        let percentages: Vec<f64> = updates.iter().filter_map(|told| told.percentage).collect();
        assert!(percentages.is_sorted(), "{percentages:?}");
        for update in updates {
            let description = update.description.expect("description");
            assert!(DESCRIPTIONS.contains(&&*description), "{description}");
        }
    }
    assert_eq!(site.files(), [".qcow2/b", ".qcow2/c", "a", "d"]);
    let source = fs::read(site.path("a")).expect("read");
    assert!(source == content(&site, "b") && source == content(&site, "c"));
    assert!(source == fs::read(site.path("d")).expect("read"));
    for path in [site.qcow2("b"), site.qcow2("c"), site.path("d")] {
        assert!(allocated_bytes(&path) < 14 * MIB, "{path:?}");
    }
}

/// A guest can write what looks like the beginning of another format.
#[tokio::test]
async fn a_raw_image_that_looks_like_qcow2_stays_raw() {
    let Some(site) = qemu::site() else { return };
    let secret = site.root.path().join("secret");
    fs::write(&secret, vec![b'!'; MIB as usize]).expect("write");
    let trap = site.path("trap");
    run_qemu(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", "-F", "raw", "-b"],
        &[&secret, &trap],
    );
    let length = fs::metadata(&trap).expect("image").len();
    assert_eq!(site.info("trap").await.expect("info")["sizeBytes"], length);
    for kwargs in [
        json!({"source": "trap", "target": "converted", "format": "qcow2"}),
        json!({"source": "trap", "target": "copied"}),
    ] {
        let copied = site.run("storage.copyImage", kwargs).await;
        copied.expect("copied");
    }
    let overlay = json!({"image": "overlay", "backingImage": "trap"});
    let made = site.run("storage.createOverlay", overlay).await;
    made.expect("created");
    let trap = fs::read(trap).expect("read");
    for copy in [
        content(&site, "converted"),
        fs::read(site.path("copied")).expect("read"),
        content(&site, "overlay"),
    ] {
        assert!(copy.starts_with(&trap), "the secret came through");
    }
}

#[tokio::test]
async fn an_overlay_reads_as_its_backing_image_until_it_is_written_to() {
    let Some(site) = qemu::site() else { return };
    write_sparse(&site.path("base")).expect("write");
    let overlay = |image: &str, backing: &str| json!({"image": image, "backingImage": backing});
    let result = site.run("storage.createOverlay", overlay("middle", "base"));
    let expected = json!({"image": "middle", "sizeBytes": 64 * MIB});
    assert_eq!(result.await.expect("created"), expected);
    let mut larger = overlay("top", "middle");
    larger["sizeBytes"] = json!(70 * MIB);
    let result = site.run("storage.createOverlay", larger).await;
    let expected = json!({"image": "top", "sizeBytes": 70 * MIB});
    assert_eq!(result.expect("created"), expected);
    write(&site, "top", "write -q -P 9 1M 1M");
    let base = fs::read(site.path("base")).expect("read");
    assert!(base == content(&site, "middle"), "nobody wrote to it");

    let info = site.info("middle").await.expect("info");
    assert_eq!(
        (&info["backingImage"], &info["dependants"]),
        (&json!("base"), &json!(["top"]))
    );
    assert_eq!(
        site.info("base").await.expect("info")["dependants"],
        json!(["middle"])
    );

    // A copy has all of it and is built on nothing.
    let kwargs = json!({"source": "top", "target": "whole"});
    let result = site.run("storage.copyImage", kwargs).await.expect("copied");
    assert_eq!(result["sizeBytes"], 70 * MIB);
    assert!(
        site.info("whole")
            .await
            .expect("info")
            .get("backingImage")
            .is_none()
    );
    let mut expected = base;
    expected.resize(70 * MIB as usize, 0);
    expected[MIB as usize..2 * MIB as usize].fill(9);
    assert!(content(&site, "whole") == expected);
}

/// The names of images in a pool do not change when the pool has another path.
#[tokio::test]
async fn a_pool_can_be_moved() {
    let Some(site) = qemu::site() else { return };
    write_sparse(&site.path("base")).expect("write");
    for (image, backing) in [("middle", "base"), ("top", "middle")] {
        let kwargs = json!({"image": image, "backingImage": backing});
        let made = site.run("storage.createOverlay", kwargs).await;
        made.expect("created");
    }
    let moved = site.root.path().join("moved");
    let mut site = site;
    fs::rename(&site.config.pool, &moved).expect("moved");
    site.config.pool = moved;
    // The open pool is the same folder still, whatever its path is now.
    let kwargs = json!({"source": "top", "target": "a"});
    site.run("storage.copyImage", kwargs).await.expect("copied");
    let site = site.reopen(|_| {});
    let kwargs = json!({"source": "top", "target": "b"});
    site.run("storage.copyImage", kwargs).await.expect("copied");
    let base = fs::read(site.path("base")).expect("read");
    assert!(base == content(&site, "a") && base == content(&site, "b"));
}

#[tokio::test]
async fn an_image_that_others_are_built_on_stays_as_it_is() {
    let Some(site) = qemu::site() else { return };
    for (image, backing) in [("middle", "base"), ("top", "middle"), ("other", "base")] {
        if backing == "base" && !site.path("base").exists() {
            fs::write(site.path("base"), vec![1; MIB as usize]).expect("write");
        }
        let kwargs = json!({"image": image, "backingImage": backing});
        let made = site.run("storage.createOverlay", kwargs).await;
        made.expect("created");
    }
    let before = fs::read(site.path("base")).expect("read");
    for (method, kwargs, dependants) in [
        (
            "deleteImage",
            json!({"image": "base"}),
            json!(["middle", "other"]),
        ),
        ("deleteImage", json!({"image": "middle"}), json!(["top"])),
        (
            "resizeImage",
            json!({"image": "base", "sizeBytes": 2 * MIB}),
            json!(["middle", "other"]),
        ),
        (
            "resizeImage",
            json!({"image": "middle", "sizeBytes": 2 * MIB}),
            json!(["top"]),
        ),
        (
            "mergeImage",
            json!({"image": "middle", "backingImage": "base"}),
            json!(["top"]),
        ),
        (
            "mergeImage",
            json!({"image": "other", "backingImage": "base"}),
            json!(["middle"]),
        ),
    ] {
        let outcome = site.run(&format!("storage.{method}"), kwargs.clone()).await;
        let failure = outcome.expect_err("refused");
        let data: Value = failure.data.as_ref().expect("data").parse().expect("data");
        assert_eq!(data["dependants"], dependants, "{method} {kwargs}");
        assert_eq!(refusal(Err(failure)), is(3008, "imageHasDependants"));
    }
    assert!(fs::read(site.path("base")).expect("read") == before);
    assert_eq!(site.info("base").await.expect("info")["imageState"], "ok");
    // From the top down it goes.
    for image in ["top", "middle", "other", "base"] {
        let deleted = site
            .run("storage.deleteImage", json!({"image": image}))
            .await;
        deleted.expect("deleted");
    }
    assert!(site.files().is_empty());
}

#[tokio::test]
async fn a_qcow2_image_grows_and_shrinks_at_its_end() {
    let Some(site) = qemu::site() else { return };
    write_sparse(&site.path("a")).expect("write");
    let kwargs = json!({"source": "a", "target": "b", "format": "qcow2"});
    site.run("storage.copyImage", kwargs).await.expect("copied");
    let mut expected = fs::read(site.path("a")).expect("read");
    for mebibytes in [80, 30, 30] {
        let kwargs = json!({"image": "b", "sizeBytes": mebibytes * MIB});
        let result = site.run("storage.resizeImage", kwargs.clone()).await;
        assert_eq!(result.expect("resized")["sizeBytes"], kwargs["sizeBytes"]);
        expected.resize((mebibytes * MIB) as usize, 0);
        assert!(content(&site, "b") == expected, "{mebibytes}");
    }
    // Up to a whole sector, as a new image.
    let kwargs = json!({"image": "b", "sizeBytes": 1000});
    let result = site.run("storage.resizeImage", kwargs).await;
    let expected = json!({"image": "b", "sizeBytes": 1024, "previousSizeBytes": 30 * MIB});
    assert_eq!(result.expect("resized"), expected);
}

/// A read that begins while an update runs waits for it, however it got there first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_and_resizing_do_not_meet() {
    let Some(site) = qemu::site() else { return };
    write_sparse(&site.path("a")).expect("write");
    let kwargs = json!({"source": "a", "target": "b", "format": "qcow2"});
    site.run("storage.copyImage", kwargs).await.expect("copied");
    for round in 0..8 {
        let resize = json!({"image": "b", "sizeBytes": (64 + round) * MIB});
        let copy = json!({"source": "b", "target": format!("copy{round}")});
        let (resized, copied, checked) = tokio::join!(
            site.run("storage.resizeImage", resize),
            site.run("storage.copyImage", copy),
            site.run("storage.checkImage", json!({"image": "b"})),
        );
        resized.expect("resized");
        copied.expect("copied");
        assert_eq!(checked.expect("checked")["imageState"], "ok");
    }
}

#[tokio::test]
async fn info_of_an_image_says_what_its_object_says() {
    let Some(site) = qemu::site() else { return };
    let kwargs = json!({"image": "a", "sizeBytes": MIB, "format": "qcow2"});
    let created = site.run("storage.createImage", kwargs).await;
    created.expect("created");
    let objects = OneObject("storage.Image.a", r#"{"percentage":50}"#);
    let info = site.info_with("a", objects).await.expect("info");
    assert_eq!(info["operationInfo"], json!({"percentage": 50}));
}

/// Only what we wrote ourselves is followed.
#[tokio::test]
async fn an_overlay_that_leads_out_of_the_pool_is_broken() {
    let Some(site) = qemu::site() else { return };
    let secret = site.root.path().join("secret");
    fs::write(&secret, vec![b'!'; MIB as usize]).expect("write");
    fs::write(site.path("base"), vec![1; MIB as usize]).expect("write");
    let elsewhere: [(&str, &Path); 3] = [
        ("absolute", &secret),
        ("relative", Path::new("../../secret")),
        (
            "json",
            Path::new(r#"json:{"driver":"raw","file":{"driver":"file","filename":"../base"}}"#),
        ),
    ];
    for (image, backing) in elsewhere {
        let path = site.qcow2(image);
        run_qemu(
            "qemu-img",
            &["create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b"],
            &[backing, &path, Path::new("1M")],
        );
    }
    let path = site.qcow2("guessed");
    run_qemu(
        "qemu-img",
        &["create", "-q", "-f", "qcow2"],
        &[&path, Path::new("1M")],
    );
    // A backing file without a format: no tool writes that any more, so the bytes are put there.
    let mut bytes = fs::read(&path).expect("read");
    bytes[8..16].copy_from_slice(&0x200_u64.to_be_bytes());
    bytes[16..20].copy_from_slice(&7_u32.to_be_bytes());
    bytes[0x200..0x207].copy_from_slice(b"../base");
    fs::write(&path, bytes).expect("write");
    for image in ["absolute", "relative", "json", "guessed"] {
        let kwargs = json!({"source": image, "target": "copy", "format": "raw"});
        let outcome = site.run("storage.copyImage", kwargs).await;
        assert_eq!(refusal(outcome), is(3011, "imageBroken"), "{image}");
        let kwargs = json!({"image": image});
        let checked = site.run("storage.checkImage", kwargs).await;
        assert_eq!(checked.expect("checked")["imageState"], "broken", "{image}");
    }
    assert!(!site.path("copy").exists());
}
