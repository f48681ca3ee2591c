//! What the packages may depend on, and what their manifests share.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{read_toml, root};

/// Each package with its manifest and all that it may depend on; the package `opstead` may depend
/// on what it needs, as long as only one of its parts knows it (see `imports`).
const PACKAGES: &[(&str, &str, &[&str])] = &[
    (
        "opstead-core",
        "src/core/Cargo.toml",
        &["imbl", "serde", "serde_json", "thiserror"],
    ),
    (
        "opstead-schema",
        "schema/Cargo.toml",
        &["humantime", "serde", "serde_json"],
    ),
    (
        "opstead-client",
        "clients/rust/Cargo.toml",
        &[
            "opstead-schema",
            "serde",
            "serde_json",
            "soketto",
            "thiserror",
            "tokio",
            "tokio-util",
        ],
    ),
];

/// What must not come into these packages by any way round: what waits, stores, or speaks.
const PURE: &[(&str, &[&str])] = &[
    (
        "opstead-core",
        &[
            "tokio",
            "mio",
            "sled",
            "jsonrpsee",
            "hyper",
            "futures",
            "chrono",
            "time",
            "log",
            "tracing",
            "rustix",
            "libc",
            "opstead",
            "opstead-schema",
            "opstead-client",
        ],
    ),
    (
        "opstead-schema",
        &[
            "tokio",
            "mio",
            "sled",
            "jsonrpsee",
            "hyper",
            "opstead",
            "opstead-core",
        ],
    ),
    (
        "opstead-client",
        &["sled", "jsonrpsee", "hyper", "opstead", "opstead-core"],
    ),
];

#[test]
fn packages_depend_on_nothing_else() {
    for (package, manifest, may) in PACKAGES {
        let manifest = read_toml(manifest);
        assert_eq!(manifest["package"]["name"].as_str(), Some(*package));
        let depends = manifest["dependencies"].as_table().unwrap();
        let more: Vec<&String> = depends
            .keys()
            .filter(|name| !may.contains(&name.as_str()))
            .collect();
        assert!(more.is_empty(), "{package} may not depend on {more:?}");
        for section in ["build-dependencies", "target"] {
            assert!(!manifest.contains_key(section), "{package}: {section}");
        }
    }
}

#[test]
fn nothing_comes_in_by_a_way_round() {
    let lock = read_toml("Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    let depends: BTreeMap<&str, Vec<&str>> = packages
        .iter()
        .map(|package| {
            let named = package.get("dependencies").and_then(toml::Value::as_array);
            let depends = named
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str()?.split(' ').next())
                .collect();
            (package["name"].as_str().unwrap(), depends)
        })
        .collect();
    for (package, never) in PURE {
        let mut reached = BTreeSet::new();
        let mut next = vec![*package];
        while let Some(name) = next.pop() {
            for depended in &depends[name] {
                if reached.insert(*depended) {
                    next.push(depended);
                }
            }
        }
        let wrong: Vec<&&str> = never
            .iter()
            .filter(|name| reached.contains(**name))
            .collect();
        assert!(wrong.is_empty(), "{package} comes to depend on {wrong:?}");
    }
}

#[test]
fn every_member_shares_version_edition_licence_and_lints() {
    let top = read_toml("Cargo.toml");
    let members = top["workspace"]["members"].as_array().unwrap();
    assert_eq!(
        Some(members),
        top["workspace"]["default-members"].as_array()
    );
    for member in members {
        let member = member.as_str().unwrap();
        let manifest = read_toml(&format!("{member}/Cargo.toml"));
        for shared in [
            "version",
            "edition",
            "rust-version",
            "license",
            "repository",
        ] {
            let Some(value) = manifest["package"].get(shared) else {
                assert_eq!(shared, "repository", "{member} has no {shared}");
                continue;
            };
            let inherited = value.get("workspace").and_then(toml::Value::as_bool);
            assert_eq!(inherited, Some(true), "{member}: {shared}.workspace = true");
        }
        assert!(manifest["package"].get("description").is_some(), "{member}");
        let lints = manifest["lints"]["workspace"].as_bool();
        assert_eq!(lints, Some(true), "{member}: lints");
    }
    assert!(root().join("Cargo.lock").exists());
    assert_eq!(
        top["workspace"]["package"]["license"].as_str(),
        Some("Apache-2.0")
    );
}
