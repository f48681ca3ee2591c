//! Each method on an image, done right and refused.

use std::fs;
use std::io;
use std::sync::Arc;

use opstead::subsystems::storage::{Storage, StorageConfig};
use opstead_core::operation::DESCRIPTIONS;
use serde_json::json;

use crate::support::{Attempt, MIB, OneObject, PROGRAM, Site, allocated_bytes, is, refusal};

#[tokio::test]
async fn a_created_image_is_large_and_takes_no_space() {
    let site = Site::new();
    let attempt = Arc::new(Attempt::of("storage.createImage"));
    let kwargs = json!({"image": "a", "sizeBytes": 100 * MIB});
    let result = attempt.run(&*site.storage, kwargs).await.expect("created");
    assert_eq!(result, json!({"image": "a", "sizeBytes": 100 * MIB}));
    assert_eq!(
        fs::metadata(site.path("a")).expect("image").len(),
        100 * MIB
    );
    assert!(allocated_bytes(&site.path("a")) < MIB);
    assert_eq!(site.files(), ["a"]);
    let states: Vec<_> = attempt.extra_data();
    assert_eq!(
        states,
        [
            json!({"imageState": "creating"}),
            json!({"imageState": "ok"})
        ]
    );
    for update in attempt.updates() {
        assert_eq!(update.description.as_deref(), Some("Creating"));
        let stage = update.stage.expect("stage");
        assert_eq!((stage.number, stage.total), (0, 1));
    }
}

#[tokio::test]
async fn a_size_may_be_written_as_json_schema_writes_integers() {
    let site = Site::new();
    for (image, size) in [("a", json!(4096.0)), ("b", json!(1e9))] {
        let kwargs = json!({"image": image, "sizeBytes": size});
        site.run("storage.createImage", kwargs)
            .await
            .expect("created");
    }
    assert_eq!(fs::metadata(site.path("a")).expect("image").len(), 4096);
    assert_eq!(
        fs::metadata(site.path("b")).expect("image").len(),
        1_000_000_000
    );
}

#[tokio::test]
async fn a_taken_name_is_refused_and_its_image_left_alone() {
    let site = Site::new();
    fs::write(site.path("a"), "content").expect("write");
    fs::write(site.path("b"), "source").expect("write");
    fs::write(site.imports().join("file"), "import").expect("write");
    for (method, kwargs) in [
        ("storage.createImage", json!({"image": "a", "sizeBytes": 1})),
        ("storage.copyImage", json!({"source": "b", "target": "a"})),
        ("storage.copyImage", json!({"source": "a", "target": "a"})),
        (
            "storage.importImage",
            json!({"image": "a", "path": site.imports().join("file")}),
        ),
    ] {
        assert_eq!(
            refusal(site.run(method, kwargs).await),
            is(3002, "imageExists")
        );
    }
    assert_eq!(fs::read(site.path("a")).expect("read"), b"content");
    assert_eq!(site.files(), ["a", "b"]);
}

/// The last word on an image is how it stands, also where nothing was done to it.
#[tokio::test]
async fn what_is_refused_leaves_the_state_of_the_image_true() {
    let site = Site::new();
    fs::write(site.path("a"), "content").expect("write");
    for (method, kwargs, wanted) in [
        ("createImage", json!({"image": "a", "sizeBytes": 1}), "ok"),
        ("copyImage", json!({"source": "b", "target": "a"}), "ok"),
        (
            "importImage",
            json!({"image": "a", "path": "/nowhere"}),
            "ok",
        ),
        (
            "importImage",
            json!({"image": "b", "path": "/nowhere"}),
            "deleted",
        ),
        (
            "resizeImage",
            json!({"image": "b", "sizeBytes": 1}),
            "deleted",
        ),
    ] {
        let attempt = Arc::new(Attempt::of(&format!("storage.{method}")));
        let outcome = attempt.run(&*site.storage, kwargs.clone()).await;
        outcome.expect_err("refused");
        assert_eq!(attempt.last_image_state(), wanted, "{method} {kwargs}");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_meanwhile_is_not_replaced() {
    let site = Site::new();
    let path = site.path("a");
    let attempt = Attempt::of("storage.createImage").on_progress(move |extra_data| {
        if extra_data["imageState"] == "creating" {
            fs::write(&path, "somebody else's").expect("write");
        }
    });
    let attempt = Arc::new(attempt);
    let kwargs = json!({"image": "a", "sizeBytes": 1});
    let outcome = attempt.run(&*site.storage, kwargs).await;
    assert_eq!(refusal(outcome), is(3002, "imageExists"));
    assert_eq!(attempt.last_image_state(), "ok", "there is an image");
    assert_eq!(fs::read(site.path("a")).expect("read"), b"somebody else's");
    assert_eq!(site.files(), ["a"]);
}

#[tokio::test]
async fn an_image_grows_and_shrinks_at_its_end() {
    let site = Site::new();
    fs::write(site.path("a"), "0123456789").expect("write");
    let mut previous = 10;
    for (size, content) in [(12, &b"0123456789\0\0"[..]), (4, b"0123"), (4, b"0123")] {
        let kwargs = json!({"image": "a", "sizeBytes": size});
        let attempt = Arc::new(Attempt::of("storage.resizeImage"));
        let result = attempt.run(&*site.storage, kwargs).await;
        let told = json!({"image": "a", "sizeBytes": size, "previousSizeBytes": previous});
        assert_eq!(result.expect("resized"), told);
        previous = size;
        assert_eq!(fs::read(site.path("a")).expect("read"), content);
        assert_eq!(attempt.last_image_state(), "ok");
    }
}

#[tokio::test]
async fn a_deleted_image_is_gone_and_its_name_free() {
    let site = Site::new();
    let create = json!({"image": "a", "sizeBytes": 1});
    site.run("storage.createImage", create.clone())
        .await
        .expect("created");
    let attempt = Arc::new(Attempt::of("storage.deleteImage"));
    let result = attempt.run(&*site.storage, json!({"image": "a"})).await;
    assert_eq!(result.expect("deleted"), json!({"image": "a"}));
    assert_eq!(attempt.last_image_state(), "deleted");
    assert!(site.files().is_empty());
    site.run("storage.createImage", create)
        .await
        .expect("created again");
}

#[tokio::test]
async fn an_unknown_image_is_an_error_of_the_subsystem() {
    let site = Site::new();
    for (method, kwargs) in [
        ("storage.copyImage", json!({"source": "a", "target": "b"})),
        ("storage.resizeImage", json!({"image": "a", "sizeBytes": 1})),
        ("storage.deleteImage", json!({"image": "a"})),
    ] {
        assert_eq!(
            refusal(site.run(method, kwargs).await),
            is(3001, "imageNotFound")
        );
    }
    assert_eq!(refusal(site.info("a").await), is(3001, "imageNotFound"));
    assert!(site.files().is_empty());
}

#[tokio::test]
async fn image_info_says_how_the_image_stands_and_what_its_object_says() {
    let site = Site::new();
    let create = json!({"image": "a", "sizeBytes": 10 * MIB});
    site.run("storage.createImage", create)
        .await
        .expect("created");
    let plain = json!({
        "image": "a", "format": "raw", "sizeBytes": 10 * MIB, "allocatedBytes": 0,
        "imageState": "ok",
    });
    assert_eq!(site.info("a").await.expect("info"), plain);
    let objects = OneObject("storage.Image.a", r#"{"percentage":50}"#);
    let mut with_info = plain;
    with_info["operationInfo"] = json!({"percentage": 50});
    assert_eq!(site.info_with("a", objects).await.expect("info"), with_info);
}

#[tokio::test]
async fn a_size_that_the_file_system_cannot_hold_is_refused() {
    let site = Site::new();
    let kwargs = json!({"image": "a", "sizeBytes": 1_u64 << 50});
    let attempt = Arc::new(Attempt::of("storage.createImage"));
    match attempt.run(&*site.storage, kwargs).await {
        Err(failure) => {
            assert_eq!(refusal(Err(failure)), is(3006, "imageTooLarge"));
            assert!(site.files().is_empty());
            assert_eq!(attempt.last_image_state(), "deleted");
        }
        Ok(_) => println!("skipped: this file system holds files of 1 PiB"),
    }
}

#[tokio::test]
async fn methods_of_others_are_refused() {
    let site = Site::new();
    let outcome = site.run("storage.formatDisk", json!({})).await;
    assert_eq!(refusal(outcome), is(-32601, "methodNotFound"));
}

#[tokio::test]
async fn every_description_is_on_the_agreed_list() {
    let site = Site::new();
    fs::write(site.imports().join("file"), "import").expect("write");
    for (method, kwargs) in [
        ("storage.createImage", json!({"image": "a", "sizeBytes": 1})),
        ("storage.copyImage", json!({"source": "a", "target": "b"})),
        (
            "storage.importImage",
            json!({"image": "c", "path": site.imports().join("file")}),
        ),
        ("storage.resizeImage", json!({"image": "a", "sizeBytes": 2})),
        ("storage.deleteImage", json!({"image": "a"})),
    ] {
        let attempt = Arc::new(Attempt::of(method));
        attempt.run(&*site.storage, kwargs).await.expect(method);
        let updates = attempt.updates();
        assert_eq!(updates.last().and_then(|last| last.percentage), Some(100.0));
        for update in updates {
            let description = update.description.expect("description");
            assert!(DESCRIPTIONS.contains(&&*description), "{description}");
        }
    }
}

#[test]
fn a_pool_in_use_is_refused() {
    let site = Site::new();
    let second = Storage::open(site.config).err().expect("in use");
    assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_rate_of_nothing_and_a_missing_import_folder_are_refused() {
    let root = tempfile::tempdir().expect("folder");
    let mut config = StorageConfig::new(root.path().join("pool"), PROGRAM);
    config.copy_bytes_per_second = Some(0);
    let error = Storage::open(config.clone()).err().expect("refused");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    config.copy_bytes_per_second = None;
    config.import_folders = vec![root.path().join("nowhere")];
    let error = Storage::open(config).err().expect("refused");
    assert!(error.to_string().contains("nowhere"), "{error}");
}
