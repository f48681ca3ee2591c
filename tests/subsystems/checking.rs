//! Checks: what is found is the result, and it is kept in mind.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::qemu::{self, OpenImage, content, corrupt, run_qemu, write};
use crate::support::{Attempt, MIB, Site, is, refusal};

const CHECK: &str = "storage.checkImage";

async fn with_data(site: &Site, image: &str) {
    let kwargs = json!({"image": image, "sizeBytes": 8 * MIB, "format": "qcow2"});
    let created = site.run("storage.createImage", kwargs).await;
    created.expect("created");
    write(site, image, "write -q -P 9 1M 2M");
}

async fn check(site: &Site, image: &str) -> Value {
    let checked = site.run(CHECK, json!({"image": image})).await;
    checked.expect("checked")
}

#[tokio::test]
async fn a_good_image_is_found_good() {
    let Some(site) = qemu::site() else { return };
    with_data(&site, "a").await;
    let attempt = Arc::new(Attempt::of(CHECK));
    let result = attempt.run(&*site.storage, json!({"image": "a"})).await;
    let expected = json!({
        "image": "a", "format": "qcow2", "imageState": "ok",
        "checkErrors": 0, "corruptions": 0, "leaks": 0,
    });
    assert_eq!(result.expect("checked"), expected);
    let updates = attempt.updates();
    let told: Vec<_> = updates.iter().map(|update| update.percentage).collect();
    assert_eq!(told, [Some(-1.0), Some(100.0)]);
    assert_eq!(updates[0].description.as_deref(), Some("Verifying"));
}

/// What qemu-img would say of it does not matter: nothing in it is interpreted.
#[tokio::test]
async fn there_is_nothing_to_check_in_a_raw_image() {
    let site = Site::new();
    fs::write(site.path("a"), "QFI\u{fb}").expect("write");
    let result = check(&site, "a").await;
    assert_eq!(
        result,
        json!({"image": "a", "format": "raw", "imageState": "ok"})
    );
    let outcome = site.run(CHECK, json!({"image": "gone"})).await;
    assert_eq!(refusal(outcome), is(3001, "imageNotFound"));
}

#[tokio::test]
async fn a_corrupt_image_is_kept_in_mind_until_it_is_repaired() {
    let Some(site) = qemu::site() else { return };
    with_data(&site, "a").await;
    let kwargs = json!({"image": "top", "backingImage": "a"});
    let created = site.run("storage.createOverlay", kwargs).await;
    created.expect("created");
    corrupt(&site.qcow2("a"));
    let result = check(&site, "a").await;
    assert_eq!(result["imageState"], "broken");
    assert!(result["corruptions"].as_u64() > Some(0), "{result}");
    let site = site.reopen(|_| {});
    assert_eq!(site.info("a").await.expect("info")["imageState"], "broken");
    for (method, kwargs) in [
        ("copyImage", json!({"source": "a", "target": "b"})),
        ("copyImage", json!({"source": "top", "target": "b"})),
        ("createOverlay", json!({"image": "b", "backingImage": "a"})),
        (
            "createOverlay",
            json!({"image": "b", "backingImage": "top"}),
        ),
        ("mergeImage", json!({"image": "top", "backingImage": "a"})),
        ("resizeImage", json!({"image": "top", "sizeBytes": MIB})),
    ] {
        let outcome = site.run(&format!("storage.{method}"), kwargs.clone()).await;
        assert_eq!(
            refusal(outcome),
            is(3011, "imageBroken"),
            "{method} {kwargs}"
        );
    }
    run_qemu(
        "qemu-img",
        &["check", "-q", "-f", "qcow2", "-r", "all"],
        &[&site.qcow2("a")],
    );
    assert_eq!(check(&site, "a").await["imageState"], "ok");
    let kwargs = json!({"source": "top", "target": "b"});
    site.run("storage.copyImage", kwargs).await.expect("copied");
}

#[tokio::test]
async fn what_cannot_even_be_opened_is_broken_and_may_be_deleted() {
    let Some(site) = qemu::site() else { return };
    type Damaged = fn(&mut Vec<u8>);
    let damages: [(&str, Damaged); 5] = [
        ("empty", |bytes| bytes.clear()),
        ("cut", |bytes| bytes.truncate(60)),
        ("magic", |bytes| bytes[0] = b'X'),
        ("tables", |bytes| bytes[40..48].fill(0x77)),
        ("marked", |bytes| bytes[79] |= 2),
    ];
    for (image, damage) in damages {
        with_data(&site, image).await;
        let mut bytes = fs::read(site.qcow2(image)).expect("read");
        damage(&mut bytes);
        fs::write(site.qcow2(image), bytes).expect("write");
        let result = check(&site, image).await;
        assert_eq!(result["imageState"], "broken", "{result}");
        assert!(result["finding"].is_string(), "{result}");
        let info = site.info(image).await.expect("info");
        assert_eq!(info["imageState"], "broken", "{info}");
        let kwargs = json!({"image": image, "sizeBytes": 16 * MIB});
        let outcome = site.run("storage.resizeImage", kwargs).await;
        assert_eq!(refusal(outcome), is(3011, "imageBroken"), "{image}");
        let deleted = site
            .run("storage.deleteImage", json!({"image": image}))
            .await;
        deleted.expect("deleted");
    }
    assert!(site.files().is_empty());
}

#[tokio::test]
async fn an_overlay_without_its_backing_image_is_broken() {
    let Some(site) = qemu::site() else { return };
    with_data(&site, "base").await;
    let kwargs = json!({"image": "top", "backingImage": "base"});
    let created = site.run("storage.createOverlay", kwargs).await;
    created.expect("created");
    let hidden = site.root.path().join("hidden");
    fs::rename(site.qcow2("base"), &hidden).expect("moved away");
    let result = check(&site, "top").await;
    assert_eq!(result["imageState"], "broken");
    let finding = result["finding"].as_str().expect("finding");
    assert!(
        finding.contains("\"base\"") && finding.contains("gone"),
        "{finding}"
    );
    fs::rename(&hidden, site.qcow2("base")).expect("moved back");
    assert_eq!(check(&site, "top").await["imageState"], "ok");
    assert!(content(&site, "top")[MIB as usize] == 9);
}

/// A check that cannot be made fails, and says nothing of the image.
#[tokio::test]
async fn an_image_that_a_guest_uses_is_not_checked_copied_or_resized() {
    let Some(site) = qemu::site() else { return };
    with_data(&site, "a").await;
    let guest = OpenImage::open(&site.qcow2("a"));
    for (method, kwargs) in [
        ("checkImage", json!({"image": "a"})),
        ("copyImage", json!({"source": "a", "target": "b"})),
        ("resizeImage", json!({"image": "a", "sizeBytes": 16 * MIB})),
    ] {
        let outcome = site.run(&format!("storage.{method}"), kwargs).await;
        assert_eq!(refusal(outcome), is(3013, "imageInUse"), "{method}");
    }
    assert_eq!(site.info("a").await.expect("info")["imageState"], "ok");
    assert_eq!(site.files(), [".qcow2/a"]);
    drop(guest);
    assert_eq!(check(&site, "a").await["imageState"], "ok");
}
