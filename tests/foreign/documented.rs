//! The list of known clients in `PROTOCOL.md` names what was tested, in the versions that are pinned;
//! and the pins say nothing of where packages come from.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::script::folder;

/// What is pinned and is not a client: it stands under one.
const BENEATH: [&str; 1] = ["ws"];

#[test]
fn the_known_clients_are_the_pinned_ones() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("PROTOCOL.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("## Clients known to work").unwrap();
    for (name, version) in pinned() {
        let quoted = format!("`{name}`");
        let (_, after) = section.split_once(&quoted).expect(&name);
        let mut words = after.split([' ', ',', '|']);
        let told = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        assert_eq!(told.unwrap().trim_end_matches('.'), version, "{name}");
    }
}

#[test]
fn the_lock_file_names_no_registry() {
    let lock = read("node/package-lock.json");
    for (path, package) in lock["packages"].as_object().unwrap() {
        assert!(package.get("resolved").is_none(), "{path}");
        assert!(
            path.is_empty() || package.get("integrity").is_some(),
            "{path}"
        );
    }
}

/// The packages that are asked for by name, with their versions.
fn pinned() -> Vec<(String, String)> {
    let manifest = read("node/package.json");
    let node = manifest["dependencies"].as_object().unwrap();
    let mut pinned: Vec<(String, String)> = node
        .iter()
        .filter(|(name, _)| !BENEATH.contains(&name.as_str()))
        .map(|(name, version)| (name.clone(), version.as_str().unwrap().to_owned()))
        .collect();
    let requirements = fs::read_to_string(folder().join("python/requirements.txt")).unwrap();
    let client = requirements
        .lines()
        .find_map(|line| line.strip_prefix("jsonrpc-websocket=="))
        .unwrap();
    pinned.push(("jsonrpc-websocket".to_owned(), client.to_owned()));
    pinned
}

fn read(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder().join(path)).unwrap()).unwrap()
}
