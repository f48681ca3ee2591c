//! The files of the workspace. It does not look into them.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders that hold Rust sources.
const SOURCE_FOLDERS: [&str; 5] = ["src", "schema", "clients", "tests", "benches"];

/// The top folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path from the top.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file as TOML.
pub(crate) fn read_toml(path: &str) -> toml::Table {
    read(path)
        .parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths from the top of all Rust sources, in order.
pub(crate) fn sources() -> Vec<String> {
    let mut found = Vec::new();
    for folder in SOURCE_FOLDERS {
        walk(&root().join(folder), &mut found);
    }
    found.sort();
    found
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() != "target" {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(root()).unwrap();
            found.push(path.to_str().unwrap().to_owned());
        }
    }
}
