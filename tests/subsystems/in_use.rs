//! Images that a guest has open: `qemu-io` holds them as QEMU does for a guest that runs.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::qemu::{self, OpenImage};
use crate::support::{Attempt, MIB, Site, is, refusal};

/// A site with a raw image `raw` and a qcow2 image `qcow2`.
async fn prepare() -> Option<Site> {
    let site = qemu::site()?;
    for format in ["raw", "qcow2"] {
        let kwargs = json!({"image": format, "sizeBytes": MIB, "format": format});
        let created = site.run("storage.createImage", kwargs).await;
        created.expect("created");
    }
    Some(site)
}

fn open(site: &Site, format: &str, options: &[&str]) -> OpenImage {
    let path = match format {
        "raw" => site.path(format),
        _ => site.qcow2(format),
    };
    OpenImage::open_as(&[&["-f", format], options].concat(), &path)
}

fn changing(image: &str) -> [(&'static str, Value); 2] {
    [
        ("resizeImage", json!({"image": image, "sizeBytes": 512})),
        ("deleteImage", json!({"image": image})),
    ]
}

fn reading(image: &str, target: &str) -> [(&'static str, Value); 4] {
    let copy = |format: &str| json!({"source": image, "target": format!("{target}-{format}"), "format": format});
    let overlay = json!({"image": format!("{target}-overlay"), "backingImage": image});
    [
        ("checkImage", json!({"image": image})),
        ("copyImage", copy("raw")),
        ("copyImage", copy("qcow2")),
        ("createOverlay", overlay),
    ]
}

#[tokio::test]
async fn an_image_that_a_guest_writes_to_is_neither_changed_nor_read() {
    let Some(site) = prepare().await else { return };
    for format in ["raw", "qcow2"] {
        let files = site.files();
        let guest = open(&site, format, &[]);
        for (method, kwargs) in changing(format).into_iter().chain(reading(format, "new")) {
            let attempt = Arc::new(Attempt::of(&format!("storage.{method}")));
            let outcome = attempt.run(&*site.storage, kwargs.clone()).await;
            let refused = refusal(outcome);
            assert_eq!(refused, is(3013, "imageInUse"), "{method} {kwargs}");
            let of_itself = kwargs["image"] == format;
            let wanted = if of_itself { "ok" } else { "deleted" };
            assert_eq!(attempt.last_image_state(), wanted, "{method} {kwargs}");
        }
        assert_eq!(site.files(), files);
        assert_eq!(site.info(format).await.expect("info")["sizeBytes"], MIB);
        drop(guest);
        for (method, kwargs) in changing(format) {
            let done = site.run(&format!("storage.{method}"), kwargs).await;
            done.expect(method);
        }
    }
}

/// As the backing image of other guests.
#[tokio::test]
async fn an_image_that_a_guest_only_reads_can_be_read_but_not_changed() {
    let Some(site) = prepare().await else { return };
    for format in ["raw", "qcow2"] {
        let _guest = open(&site, format, &["-r"]);
        for (method, kwargs) in changing(format) {
            let outcome = site.run(&format!("storage.{method}"), kwargs).await;
            assert_eq!(refusal(outcome), is(3013, "imageInUse"), "{method}");
        }
        for (method, kwargs) in reading(format, format) {
            let done = site.run(&format!("storage.{method}"), kwargs).await;
            done.expect(method);
        }
    }
}

/// The backing image is not even made as large as the overlay.
#[tokio::test]
async fn a_merge_into_an_image_that_a_guest_has_open_touches_nothing() {
    let Some(site) = prepare().await else { return };
    let kwargs = json!({"image": "overlay", "backingImage": "raw", "sizeBytes": 2 * MIB});
    let made = site.run("storage.createOverlay", kwargs).await;
    made.expect("created");
    let _guest = open(&site, "raw", &["-r"]);
    let kwargs = json!({"image": "overlay", "backingImage": "raw"});
    let outcome = site.run("storage.mergeImage", kwargs).await;
    assert_eq!(refusal(outcome), is(3013, "imageInUse"));
    let length = fs::metadata(site.path("raw")).expect("image").len();
    assert_eq!(length, MIB);
}
