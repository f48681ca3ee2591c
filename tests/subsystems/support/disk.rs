//! A small disk, to be filled. Only root can mount one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory, unmounted when dropped.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// Mounts one; says so where that cannot be.
    pub(crate) fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir(at).expect("folder");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: a small file system cannot be mounted here");
        }
        mounted.then(|| Self(at.to_owned()))
    }

    pub(crate) fn free_blocks(&self) -> u64 {
        rustix::fs::statvfs(&self.0).expect("statvfs").f_bfree
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since an open pool still uses it. Failing leaves a mount behind, not a red test.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
