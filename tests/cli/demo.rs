//! The demo itself.

use super::support::{Ran, program};

/// It ends with its evidence, and leaves nothing behind.
#[test]
fn the_demo_shows_that_nothing_is_lost() {
    let folder = tempfile::TempDir::new().unwrap();
    let ran = Ran::of(program().arg("demo").env("TMPDIR", folder.path()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let last = ran.stdout.lines().last().unwrap();
    let (count, rest) = last.split_once(' ').unwrap();
    assert_eq!(rest, "alerts received, 0 lost, 0 repeated");
    assert!(count.parse::<u32>().unwrap() > 20, "{last}");
    for shown in [
        "Postponed: it starts by itself",
        "Operation: read",
        "Rejected: it cannot be queued behind that",
        "Operation: delete",
        "attempt 2",
    ] {
        assert!(ran.stdout.contains(shown), "{shown}: {ran:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
