//! A full disk: a clear error, and nothing left behind. Needs a small file system of its own, which
//! only root can mount; elsewhere the test says that it is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::support::{Attempt, MIB, Site, is, refusal};

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).expect("folder");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since an open pool still uses it. Failing leaves a mount behind, not a red test.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_nothing_is_left_behind() {
    let root = tempfile::tempdir().expect("folder");
    let Some(disk) = SmallDisk::mount(&root.path().join("disk")) else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let pool = disk.0.join("pool");
    let site = Site::with(|config| config.pool = pool);
    fs::write(site.path("a"), vec![7; 5 * MIB as usize]).expect("write");
    fs::write(site.imports().join("file"), vec![7; 9 * MIB as usize]).expect("write");
    let free_before = rustix::fs::statvfs(&disk.0).expect("statvfs").f_bfree;
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
        let free = rustix::fs::statvfs(&disk.0).expect("statvfs").f_bfree;
        assert_eq!(free, free_before, "{method} left blocks behind");
    }
    site.run("storage.deleteImage", json!({"image": "a"}))
        .await
        .expect("deleted");
}
