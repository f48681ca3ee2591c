//! What every source file keeps to: it says first what it owns, and it is about one noun, so it is
//! short.

use crate::workspace::{read, sources};

const MOST_LINES: usize = 500;

/// Files that are longer, each with its reason.
const LONGER: &[(&str, &str)] = &[
    (
        "tests/engine/world.rs",
        "the fixture of all of the engine's tests, and no code of the daemon",
    ),
    (
        "tests/journal/suite.rs",
        "the one suite that every journal passes, each case a few lines",
    ),
];

#[test]
fn every_file_says_first_what_it_owns() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|path| !read(path).starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "without a first `//!` line: {silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    let mut faults = Vec::new();
    for path in sources() {
        let lines = read(&path).lines().count();
        let excused = LONGER.iter().any(|(longer, _)| *longer == path);
        if lines > MOST_LINES && !excused {
            faults.push(format!("{path} has {lines} lines; at most {MOST_LINES}"));
        }
        if lines <= MOST_LINES && excused {
            faults.push(format!("{path} needs no excuse any more"));
        }
    }
    for (path, _) in LONGER {
        if !sources().iter().any(|source| source == path) {
            faults.push(format!("{path} is excused, but does not exist"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
