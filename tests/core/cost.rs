//! What one operation costs does not grow with how many others wait: the same story beside 100 and
//! beside 100,000, told in records touched rather than in time.

use std::fmt::Write;

use crate::play;
use crate::world::World;

/// One story: what comes before it, and the orders whose cost is counted.
struct Story {
    what: &'static str,
    before: &'static [&'static str],
    counted: &'static [&'static str],
}

const METHODS: [&str; 4] = [
    "method s.update object=Thing.{thing} claim=update:thing:{thing} cancelable",
    "method s.read object=Thing.{thing} claim=read:thing:{thing}",
    "method s.delete object=Thing.{thing} claim=delete:thing:{thing}",
    "method s.work weight=1 cancelable attempts=2 initial=0 max=0",
];

/// `N` is how many wait.
const STORIES: [Story; 6] = [
    Story {
        what: "updates that wait for one resource",
        before: &[
            r#"register s.update {"thing":"a"} id=first"#,
            r#"repeat 1..N register s.update {"thing":"a"} id=u#"#,
        ],
        counted: &[
            r#"register s.update {"thing":"a"} id=late"#,
            "complete first",
            "cancel u50",
            "complete u1",
        ],
    },
    Story {
        what: "reads that wait for a delete",
        before: &[
            r#"register s.update {"thing":"a"} id=first"#,
            r#"register s.read {"thing":"b"} id=reading"#,
            r#"register s.update {"thing":"a"} id=second claim=create:thing:b"#,
            r#"repeat 1..N register s.read {"thing":"b"} id=r#"#,
        ],
        counted: &[r#"register s.read {"thing":"b"} id=late"#, "cancel second"],
    },
    Story {
        what: "operations that wait for weight",
        before: &[
            "register s.work {} id=heavy weight=10",
            "repeat 1..N register s.work {} id=w# weight=10",
        ],
        counted: &[
            "register s.work {} id=late weight=2",
            "register s.work {} id=light weight=0",
            "complete heavy",
            "fail w1 3000 again",
        ],
    },
    Story {
        what: "operations that follow one",
        before: &[
            "register s.work {} id=first",
            "repeat 1..N register s.work {} id=f# after=first weight=0",
        ],
        counted: &[
            "register s.work {} id=late after=first",
            "cancel f50",
            "complete first",
        ],
    },
    Story {
        what: "operations that wait for their time",
        before: &[
            "register s.work {} id=soon start=10",
            r#"repeat 1..N register s.update {"thing":"a"} id=s# start=1000"#,
        ],
        counted: &[
            "register s.work {} id=late start=20",
            "cancel s50",
            "wall 10",
            "continue",
        ],
    },
    Story {
        what: "operations that wait for an executor",
        before: &[
            "detach pool",
            "repeat 1..N register s.work {} id=e# weight=0",
        ],
        counted: &[
            "register s.work {} id=late",
            "cancel e50",
            "attach one capacity=1",
            "complete e1",
        ],
    },
];

/// The counts of a story beside so many that wait.
fn counts(story: &Story, waiting: u32) -> String {
    let mut world = World::new();
    world.keeps_log = false;
    for method in METHODS {
        play(&mut world, method);
    }
    play(&mut world, "attach pool capacity=70");
    play(&mut world, "capacity 10");
    for line in story.before {
        play(&mut world, &line.replace('N', &waiting.to_string()));
    }
    let mut text = format!("# {}\n", story.what);
    world.newly_touched();
    for line in story.counted {
        play(&mut world, line);
        let touched = world.newly_touched();
        writeln!(text, "> {line}\n  {touched} touched").expect("a string takes all");
    }
    text
}

#[test]
fn nothing_costs_more_beside_100_000_than_beside_100() {
    for story in &STORIES {
        let few = counts(story, 100);
        print!("{few}");
        assert_eq!(few, counts(story, 100_000), "{}", story.what);
    }
}
