//! Names: nothing reaches outside the pool, whether by a name or by a symlink in it. The code holds
//! without the schema, which these tests go around.

use std::fs;
use std::os::unix::fs::symlink;

use opstead::subsystems::storage::Storage;
use serde_json::json;

use crate::support::{Site, is, refusal};

pub(crate) fn bad_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        ".",
        "..",
        "../x",
        "/x",
        "a/b",
        "a/../b",
        ".hidden",
        ".partial",
        ".origin",
        ".qcow2",
        ".damage",
        ".resize",
        "-option",
        "nul\0l",
        "a\n",
        "\na",
        "a b",
        "ä",
        "a\\b",
        "a:b",
        "*",
        "a\u{202e}",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(129));
    names
}

#[tokio::test]
async fn bad_names_are_refused_by_the_code_too() {
    let site = Site::new();
    fs::write(site.path("good"), "content").expect("write");
    fs::write(site.root.path().join("x"), "outside").expect("write");
    for bad in bad_names() {
        for (method, kwargs) in [
            ("storage.createImage", json!({"image": bad, "sizeBytes": 1})),
            ("storage.copyImage", json!({"source": bad, "target": "new"})),
            (
                "storage.copyImage",
                json!({"source": "good", "target": bad}),
            ),
            ("storage.resizeImage", json!({"image": bad, "sizeBytes": 1})),
            ("storage.deleteImage", json!({"image": bad})),
            ("storage.checkImage", json!({"image": bad})),
            (
                "storage.createOverlay",
                json!({"image": "new", "backingImage": bad}),
            ),
            (
                "storage.mergeImage",
                json!({"image": bad, "backingImage": "good"}),
            ),
            (
                "storage.importImage",
                json!({"image": bad, "path": site.imports()}),
            ),
        ] {
            let outcome = site.run(method, kwargs).await;
            assert_eq!(
                refusal(outcome),
                is(-32602, "invalidParams"),
                "{method} {bad:?}"
            );
        }
        assert_eq!(refusal(site.info(&bad).await), is(-32602, "invalidParams"));
    }
    for kwargs in [
        json!({"image": "a", "sizeBytes": 0}),
        json!({"image": "a", "sizeBytes": 1e300}),
        json!({"image": "a", "sizeBytes": 1, "more": 1}),
        json!({}),
    ] {
        let outcome = site.run("storage.createImage", kwargs).await;
        assert_eq!(refusal(outcome), is(-32602, "invalidParams"));
    }
    assert_eq!(site.files(), ["good"]);
    assert_eq!(
        fs::read(site.root.path().join("x")).expect("read"),
        b"outside"
    );
}

#[tokio::test]
async fn the_longest_and_oddest_good_names_work() {
    let site = Site::new();
    for good in [&*"x".repeat(128), "_", "a..b", "0", "a-.", "CON"] {
        let kwargs = json!({"image": good, "sizeBytes": 1});
        site.run("storage.createImage", kwargs).await.expect(good);
        assert!(site.path(good).exists(), "{good}");
    }
}

#[tokio::test]
async fn a_symlink_or_folder_in_the_pool_is_no_image() {
    let site = Site::new();
    let outside = site.root.path().join("outside");
    fs::write(&outside, "outside").expect("write");
    symlink(&outside, site.path("link")).expect("link");
    symlink(site.root.path().join("new"), site.path("dangling")).expect("link");
    fs::create_dir(site.path("folder")).expect("folder");
    for name in ["link", "dangling", "folder"] {
        for (method, kwargs) in [
            (
                "storage.createImage",
                json!({"image": name, "sizeBytes": 1}),
            ),
            (
                "storage.copyImage",
                json!({"source": name, "target": "new"}),
            ),
            (
                "storage.resizeImage",
                json!({"image": name, "sizeBytes": 1}),
            ),
            ("storage.deleteImage", json!({"image": name})),
        ] {
            let outcome = site.run(method, kwargs).await;
            assert_eq!(refusal(outcome), is(3007, "notAnImage"), "{method} {name}");
        }
        assert_eq!(refusal(site.info(name).await), is(3007, "notAnImage"));
    }
    assert_eq!(fs::read(&outside).expect("read"), b"outside");
    assert!(!site.root.path().join("new").exists());
    assert_eq!(site.files(), ["dangling", "folder", "link"]);
}

#[test]
fn a_pool_whose_own_folder_is_a_symlink_is_refused() {
    let site = Site::new();
    let Site {
        root,
        config,
        storage,
    } = site;
    drop(storage);
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("folder");
    fs::write(elsewhere.join("precious"), "").expect("write");
    fs::remove_dir(config.pool.join(".partial")).expect("remove");
    symlink(&elsewhere, config.pool.join(".partial")).expect("link");
    assert!(Storage::open(config).is_err());
    assert!(elsewhere.join("precious").exists());
}
