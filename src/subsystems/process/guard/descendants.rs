//! The processes that descend from this one, as `/proc` shows them. Because a guard is the reaper of
//! all that it started, whatever leaves its parent becomes the guard's own child, so that nothing
//! gets away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use rustix::process::{Pid, getpid};

/// A process that runs.
pub(super) struct Descendant {
    pub(super) pid: Pid,
    /// Its process group.
    pub(super) group: i32,
}

struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    /// It waits for its parent to take note.
    is_dead: bool,
}

/// Every descendant that runs. More may be born meanwhile.
pub(super) fn descendants() -> io::Result<Vec<Descendant>> {
    let children = children()?;
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut next = vec![getpid().as_raw_pid()];
    while let Some(parent) = next.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if !seen.insert(child.pid) {
                continue;
            }
            next.push(child.pid);
            if let Some(pid) = Pid::from_raw(child.pid).filter(|_| !child.is_dead) {
                let group = child.group;
                found.push(Descendant { pid, group });
            }
        }
    }
    Ok(found)
}

/// All processes by their parents.
fn children() -> io::Result<BTreeMap<i32, Vec<Process>>> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has ended since has no file any more.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if let Some(process) = Process::parse(pid, &stat) {
            children.entry(process.parent).or_default().push(process);
        }
    }
    Ok(children)
}

impl Process {
    /// Reads `/proc/<pid>/stat`. The name of the program comes first, in brackets, and may hold
    /// brackets itself.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Self {
            pid,
            parent,
            group,
            is_dead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_confuse() {
        let process = Process::parse(7, "7 (a) Z 1 (b)) S 42 6 5 0").unwrap();
        let Process { parent, group, .. } = process;
        assert_eq!((parent, group, process.is_dead), (42, 6, false));
        assert!(Process::parse(7, "7 (a) Z 42 7").unwrap().is_dead);
        assert!(Process::parse(7, "").is_none());
    }
}
