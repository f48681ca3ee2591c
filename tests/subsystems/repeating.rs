//! Interruptions: what a crash leaves is removed, and an attempt that is made again takes its own
//! earlier work for done, but nobody else's.

use std::fs;
use std::sync::Arc;

use opstead_core::Failure;
use serde_json::{Value, json};

use crate::support::{Attempt, Site, is, names_in, refusal};

fn makers(site: &Site) -> [(&'static str, Value); 3] {
    fs::write(site.path("source"), "source").expect("write");
    fs::write(site.imports().join("file"), "import").expect("write");
    [
        (
            "storage.createImage",
            json!({"image": "made", "sizeBytes": 5}),
        ),
        (
            "storage.copyImage",
            json!({"source": "source", "target": "made"}),
        ),
        (
            "storage.importImage",
            json!({"image": "made", "path": site.imports().join("file")}),
        ),
    ]
}

async fn again(site: &Site, method: &str, id: &str, kwargs: Value) -> Result<Value, Failure> {
    let attempt = Arc::new(Attempt::of(method).operation(id).number(2));
    attempt.run(&*site.storage, kwargs).await
}

#[tokio::test]
async fn leftovers_are_removed_when_the_pool_is_opened() {
    let site = Site::new();
    let kwargs = json!({"image": "a", "sizeBytes": 1});
    site.run("storage.createImage", kwargs)
        .await
        .expect("created");
    let site = site.reopen(|pool| {
        fs::write(pool.join(".partial/1.b"), "half an image").expect("write");
        fs::write(pool.join(".partial/1.b.origin"), "{").expect("write");
        fs::write(pool.join(".origin/b"), "{}").expect("write");
    });
    assert_eq!(site.files(), ["a"]);
    assert_eq!(names_in(&site.path(".origin")), ["a"]);
}

/// The crash came after the image had its name and before the engine was told.
#[tokio::test]
async fn a_repeated_attempt_takes_its_own_image_for_done() {
    for which in 0..3 {
        let site = Site::new();
        let (method, kwargs) = makers(&site)[which].clone();
        let first = site.run(method, kwargs.clone()).await.expect(method);
        let content = fs::read(site.path("made")).expect("read");
        let site = site.reopen(|_| {});
        let attempt = Arc::new(Attempt::of(method).number(2));
        let second = attempt.run(&*site.storage, kwargs).await.expect(method);
        assert_eq!(first, second, "{method}");
        assert_eq!(fs::read(site.path("made")).expect("read"), content);
        assert_eq!(attempt.last_image_state(), "ok");
    }
}

/// The crash came before the image had its name.
#[tokio::test]
async fn a_repeated_attempt_that_finds_nothing_makes_the_image() {
    for which in 0..3 {
        let site = Site::new();
        let (method, kwargs) = makers(&site)[which].clone();
        let site = site.reopen(|pool| {
            fs::write(pool.join(".partial/1.made"), "half").expect("write");
        });
        again(&site, method, "operation/1", kwargs)
            .await
            .expect(method);
        assert_eq!(site.files(), ["made", "source"], "{method}");
    }
}

#[tokio::test]
async fn an_image_that_another_operation_made_is_never_taken_for_done() {
    let site = Site::new();
    let create = makers(&site)[0].1.clone();
    site.run("storage.createImage", create)
        .await
        .expect("created");
    for (method, kwargs) in makers(&site) {
        let outcome = again(&site, method, "operation/2", kwargs.clone()).await;
        assert_eq!(refusal(outcome), is(3002, "imageExists"), "{method}");
        // An id may come again once its operation is forgotten, from another log, or from this one
        // once it is put back from a copy.
        let again = || Attempt::of(method);
        for other in [
            again().registered_at(9),
            again().logged_in("other"),
            again().registered_later(),
        ] {
            let attempt = Arc::new(other.number(2));
            let outcome = attempt.run(&*site.storage, kwargs.clone()).await;
            assert_eq!(refusal(outcome), is(3002, "imageExists"), "{method}");
        }
        // A first attempt has made nothing.
        let outcome = site.run(method, kwargs).await;
        assert_eq!(refusal(outcome), is(3002, "imageExists"), "{method}");
    }
}

#[tokio::test]
async fn a_file_put_in_the_image_s_place_is_never_taken_for_done() {
    let site = Site::new();
    let create = makers(&site)[0].1.clone();
    site.run("storage.createImage", create.clone())
        .await
        .expect("created");
    // File systems like to give the next file the inode that has just become free.
    fs::remove_file(site.path("made")).expect("remove");
    fs::write(site.path("made"), "other").expect("write");
    let outcome = again(&site, "storage.createImage", "operation/1", create.clone()).await;
    assert_eq!(refusal(outcome), is(3002, "imageExists"));
    fs::write(site.path(".origin/made"), "not a record").expect("write");
    let outcome = again(&site, "storage.createImage", "operation/1", create).await;
    assert_eq!(refusal(outcome), is(3002, "imageExists"));
    assert_eq!(fs::read(site.path("made")).expect("read"), b"other");
}

#[tokio::test]
async fn deleting_and_resizing_can_be_repeated() {
    let site = Site::new();
    let create = json!({"image": "a", "sizeBytes": 5});
    site.run("storage.createImage", create)
        .await
        .expect("created");
    for number in [1, 2] {
        let attempt = Arc::new(Attempt::of("storage.resizeImage").number(number));
        let kwargs = json!({"image": "a", "sizeBytes": 9});
        attempt.run(&*site.storage, kwargs).await.expect("resized");
    }
    assert_eq!(fs::metadata(site.path("a")).expect("image").len(), 9);
    let delete = json!({"image": "a"});
    site.run("storage.deleteImage", delete.clone())
        .await
        .expect("deleted");
    assert!(names_in(&site.path(".origin")).is_empty());
    again(&site, "storage.deleteImage", "operation/1", delete)
        .await
        .expect("still deleted");
}
