//! The Python client: as a package that is built and installed, against the real daemon, typed, and
//! generated from the schema as it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/venv.rs"]
mod venv;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const CLIENT: &str = "clients/python";
const TESTS: &str = "tests/python";

/// Its wheel is built and installed; its own tests run with that.
#[test]
fn the_installed_package_passes_its_tests() {
    let Some(python) = python() else { return };
    let folder = TempDir::new().unwrap();
    let installed = install(&python, folder.path());
    let mut tests = module(&python, "pytest");
    tests
        .args([
            "-p",
            "no:cacheprovider",
            "-W",
            "error",
            "--quiet",
            TESTS,
            "--basetemp",
        ])
        .arg(folder.path().join("tests"))
        .env("PYTHONPATH", installed)
        .env("OPSTEAD_PROGRAM", env!("CARGO_BIN_EXE_opstead"));
    for variable in ["OPSTEAD_TOKEN", "OPSTEAD_TOKEN_FILE"] {
        tests.env_remove(variable);
    }
    run(&mut tests);
}

/// Strictly typed also where it is used, formatted, and of no newer Python than it says.
#[test]
fn the_sources_are_typed_and_tidy() {
    let Some(python) = python() else { return };
    let cache = TempDir::new().unwrap();
    let config = format!("{CLIENT}/pyproject.toml");
    for check in [&["format", "--check"][..], &["check"]] {
        run(module(&python, "ruff").args(check).args([
            "--no-cache",
            "--quiet",
            "--config",
            &config,
            CLIENT,
            TESTS,
        ]));
    }
    run(module(&python, "mypy")
        .args(["--config-file", &config, "--cache-dir"])
        .arg(cache.path())
        .args(["--no-error-summary", CLIENT, TESTS])
        .env("MYPYPATH", format!("{CLIENT}/src")));
}

/// What the client knows of the wire is what `schema/openrpc.json` says.
#[test]
fn the_generated_sources_are_fresh() {
    let Some(python) = python() else { return };
    run(command(&python).args([&format!("{CLIENT}/generate.py"), "--check"]));
}

fn python() -> Option<PathBuf> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join(TESTS);
    venv::venv("python", &requirements.join("requirements.txt"))
}

/// Where the package is installed, apart from the environment: test programs that run at once do
/// not disturb each other.
fn install(python: &Path, folder: &Path) -> PathBuf {
    let wheels = folder.join("wheels");
    let offline = [
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
    ];
    run(module(python, "pip")
        .arg("wheel")
        .args(offline)
        .args(["--no-build-isolation", "--wheel-dir"])
        .arg(&wheels)
        .arg(CLIENT));
    let installed = folder.join("installed");
    let wheel = std::fs::read_dir(wheels).unwrap().next().unwrap().unwrap();
    run(module(python, "pip")
        .arg("install")
        .args(offline)
        .arg("--target")
        .arg(&installed)
        .arg(wheel.path()));
    installed
}

fn module(python: &Path, name: &str) -> Command {
    let mut command = command(python);
    command.args(["-m", name]);
    command
}

fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
