//! The packages of the Node.js clients: installed once for each lock file, shared by all test
//! processes.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::script::{copy, finished, folder, have};

/// The oldest Node.js that all of the packages run on.
const OLDEST: u32 = 18;

/// A folder with a copy of the scripts and with the packages that they import; it is removed when
/// dropped. Nothing where Node.js or npm is missing or too old; then that has been said.
pub(crate) fn scripts() -> Option<TempDir> {
    let packages = packages()?;
    let scripts = TempDir::new().unwrap();
    copy(&folder().join("node"), scripts.path());
    symlink(
        packages.join("node_modules"),
        scripts.path().join("node_modules"),
    )
    .unwrap();
    Some(scripts)
}

/// Where the packages are installed.
fn packages() -> Option<PathBuf> {
    if !(have("npm") && have("node") && is_new_enough()) {
        return None;
    }
    let from = folder().join("node");
    let named = ["package.json", "package-lock.json", ".npmrc"];
    let mut hasher = DefaultHasher::new();
    for name in named {
        fs::read(from.join(name)).unwrap().hash(&mut hasher);
    }
    let to = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("node-foreign-{:016x}", hasher.finish()));
    // Whoever comes second waits. A process that dies gives its lock back.
    let lock = File::create(to.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let complete = to.join("complete");
    if !complete.exists() {
        // What another process did not finish.
        let _absent = fs::remove_dir_all(&to);
        fs::create_dir(&to).unwrap();
        for name in named {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
        install(&to);
        File::create(complete).unwrap();
    }
    Some(to)
}

/// Installs what the lock file names. No package runs a program of its own.
fn install(folder: &Path) {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder);
    eprintln!("running {npm:?}");
    let output = finished(&mut npm);
    assert!(
        output.status.success(),
        "{npm:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn is_new_enough() -> bool {
    let output = Command::new("node").arg("--version").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let major = version.trim().trim_start_matches('v').split('.').next();
    let new_enough = major.and_then(|major| major.parse().ok()) >= Some(OLDEST);
    if !new_enough {
        eprintln!("skipped: Node.js {} is older than {OLDEST}", version.trim());
    }
    new_enough
}
