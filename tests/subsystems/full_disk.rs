//! A full disk: a clear error, and nothing left behind. Needs a small file system of its own, which
//! only root can mount; elsewhere the test says that it is skipped.

use std::fs;
use std::sync::Arc;

use serde_json::json;

use crate::support::disk::SmallDisk;
use crate::support::{Attempt, MIB, Site, is, refusal};

#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_nothing_is_left_behind() {
    let root = tempfile::tempdir().expect("folder");
    let Some(disk) = SmallDisk::mount(&root.path().join("disk"), "8m") else {
        return;
    };
    let pool = disk.0.join("pool");
    let site = Site::with(|config| config.pool = pool);
    fs::write(site.path("a"), vec![7; 5 * MIB as usize]).expect("write");
    fs::write(site.imports().join("file"), vec![7; 9 * MIB as usize]).expect("write");
    let free_before = disk.free_blocks();
    for (method, kwargs) in [
        ("storage.copyImage", json!({"source": "a", "target": "b"})),
        (
            "storage.importImage",
            json!({"image": "b", "path": site.imports().join("file")}),
        ),
    ] {
        let attempt = Arc::new(Attempt::of(method));
        let outcome = attempt.run(&*site.storage, kwargs).await;
        assert_eq!(refusal(outcome), is(3004, "noSpace"), "{method}");
        assert_eq!(site.files(), ["a"]);
        assert_eq!(attempt.last_image_state(), "deleted");
        assert_eq!(
            disk.free_blocks(),
            free_before,
            "{method} left blocks behind"
        );
    }
    site.run("storage.deleteImage", json!({"image": "a"}))
        .await
        .expect("deleted");
}
