//! A virtual environment of Python with pinned packages: made once, shared by all test processes.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Prints the version, if it can make virtual environments and is new enough for the client.
const PROBE: &str = "import ensurepip, sys, venv
if sys.version_info < (3, 9): sys.exit('it is older than 3.9')
print(sys.executable, sys.version)";

/// The `python` of an environment in which the packages of this `requirements.txt` are installed.
/// Nothing where there is no fitting `python3`; then it has been said on standard error, and the
/// test is to end.
///
/// # Panics
/// With the output of what failed: no index that can be reached, or no such package.
pub(crate) fn venv(name: &str, requirements: &Path) -> Option<PathBuf> {
    let version = version()?;
    let packages = fs::read_to_string(requirements)
        .unwrap_or_else(|error| panic!("{}: {error}", requirements.display()));
    let mut hasher = DefaultHasher::new();
    (&version, &packages).hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("venv-{name}-{:016x}", hasher.finish()));
    let python = folder.join("bin/python");
    // Whoever comes second waits. A process that dies gives its lock back.
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if !complete.exists() {
        // What another process did not finish.
        let _absent = fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--requirement",
            ])
            .arg(requirements)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1"));
        File::create(complete).unwrap();
    }
    Some(python)
}

/// Which `python3` there is; why it does not do, on standard error.
fn version() -> Option<String> {
    let probed = Command::new("python3").args(["-c", PROBE]).output();
    let why = match probed {
        Ok(output) if output.status.success() => {
            return Some(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("skipped: no python3 that can make virtual environments: {why}");
    None
}

fn run(command: &mut Command) {
    eprintln!("running {command:?}");
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
