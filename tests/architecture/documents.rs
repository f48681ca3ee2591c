//! What the documents name exists.

use crate::workspace::{read, read_toml};

#[test]
fn the_changelog_has_the_present_version() {
    let manifest = read_toml("Cargo.toml");
    let version = manifest["workspace"]["package"]["version"]
        .as_str()
        .unwrap();
    let heading = format!("## {version}");
    assert!(
        read("CHANGELOG.md")
            .lines()
            .any(|line| line == heading || line.starts_with(&format!("{heading} "))),
        "CHANGELOG.md has no heading {heading:?}"
    );
}
