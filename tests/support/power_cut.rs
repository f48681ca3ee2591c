//! Power cuts without cutting power: a disk that is an image file, copied while its writer is
//! stopped. What the copy lacks, a power cut would have lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A disk with a file system, mounted until dropped.
pub(crate) struct Disk {
    image: PathBuf,
    mounted_at: PathBuf,
    _folder: TempDir,
}

impl Disk {
    /// A new disk; the reason why there is none, as where one is not root.
    pub(crate) fn new(mebibytes: u64) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let image = folder.path().join("image");
        run(
            "truncate",
            &[format!("--size={mebibytes}M").as_ref(), &image],
        )?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &image])?;
        Self::mount(image, folder)
    }

    /// The disk as a power cut would leave it now, mounted beside.
    pub(crate) fn cut(&self) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let image = folder.path().join("image");
        run("cp", &["--sparse=always".as_ref(), &self.image, &image])?;
        Self::mount(image, folder)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mounted_at
    }

    fn mount(image: PathBuf, folder: TempDir) -> Result<Self, String> {
        let mounted_at = folder.path().join("disk");
        std::fs::create_dir(&mounted_at).map_err(|error| error.to_string())?;
        run(
            "mount",
            &["-o".as_ref(), "loop".as_ref(), &image, &mounted_at],
        )?;
        Ok(Self {
            image,
            mounted_at,
            _folder: folder,
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if run("umount", &[&self.mounted_at]).is_err() {
            let _ = run("umount", &["--lazy".as_ref(), &self.mounted_at]);
        }
    }
}

fn run(program: &str, arguments: &[&Path]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
