//! Frozen samples: events and records as they were first written are read for ever. A file is never
//! written again; what comes later gets one of its own beside it (`OPSTEAD_FREEZE=1` writes it where
//! there is none).

use std::path::Path;

use opstead_core::checkpoint::Record;
use opstead_core::{Event, State};

use crate::play;
use crate::world::World;

/// One of each event of coordination, and in the end a record of each kind.
const COORDINATION: &[&str] = &[
    "method s.work cancelable weight=1 timeout=9000 attempts=3 initial=100 factor=2 max=500",
    "method s.read claim=read:thing:{thing} holds",
    "method s.update claim=update:thing:{thing} cancelable retry",
    "attach pool capacity=300",
    "capacity 10",
    "register s.work {} id=parent",
    "register s.work {} id=child lease=parent",
    "register s.work {} id=heavy weight=9",
    "fail child 3000 again",
    "register s.work {} id=scheduled start=5000 before=9000",
    r#"register s.update {"thing":"a"} id=follower after=scheduled:completed,failed"#,
    "register s.work {} id=skipped after=parent:failed weight=0",
    r#"register s.update {"thing":"b"} id=holder"#,
    "repeat 1..70 register s.work {} id=f# after=holder weight=0",
    "after 100",
    "continue",
    "complete parent",
    "after 5000",
    "continue",
    "complete child",
    r#"register s.read {"thing":"c"} id=held start=9000"#,
    "register s.work {} id=next start=99000",
    "register s.work {} id=big weight=10",
    "detach pool keep=30000",
    "attach pool capacity=300 resume=holder resume=scheduled",
    "cancel next",
    "complete holder",
    "detach pool keep=30000",
];

/// Objects as their subsystem tells of them, without operations.
const PUBLISHED: &[&str] = &[
    "method vm.run object=VM.{vm}",
    "attach one capacity=2",
    "publish vm.VM.a Running",
    "publish vm.VM.b Stopped",
    r#"register vm.run {"vm":"c"} id=c"#,
    "publish vm.VM.c Paused",
    "retire vm.VM.a",
    "retire vm.VM.c",
];

/// Flows: one in each of its states, and every event of theirs.
const FLOWS: &[&str] = &[
    "method s.make object=vm.{vm} claim=update:vm:{vm} cancelable revertible weight=1 timeout=9000",
    "method s.keep",
    "method s.take integer=size revertible attempts=2 initial=100",
    "attach pool capacity=300",
    r#"step a s.make {"vm":"a"}"#,
    r#"step b s.make {"vm":"a"} requires=a"#,
    "step c s.keep",
    r#"step d s.take {"size":{"$result":"c#/size"}} attempts=3 initial=50"#,
    "flow deploy id=done tag=blue",
    "complete done.a",
    r#"complete done.c {"size":5}"#,
    "fail done.d 3000 again",
    "after 50",
    "continue",
    "complete done.d",
    "complete done.b",
    r#"step a s.make {"vm":"b"}"#,
    "step b s.keep requires=a",
    r#"step c s.take {"size":1} requires=b"#,
    r#"step d s.take {"size":1} requires=b"#,
    "step e s.keep requires=c",
    "flow deploy id=stuck start=100 before=9000",
    "after 100",
    "continue",
    "complete stuck.a",
    "complete stuck.b",
    r#"fail stuck.d 3001 broken data={"retryable":false}"#,
    r#"complete stuck.c {"made":1}"#,
    r#"update stuck.c {"operationDescription":"Removing","stage":[1,2]} flush"#,
    "fail stuck.c 3002 no",
    "fail stuck.d 3002 no",
    "retry stuck.c",
    "complete stuck.c",
    "skip stuck.d",
    "fail stuck.a 3003 no",
    r#"step a s.take {"size":1}"#,
    r#"step b s.take {"size":1}"#,
    "flow deploy id=back",
    "complete back.a",
    r#"fail back.b 3001 broken data={"retryable":false}"#,
    "complete back.b",
    "detach pool",
    "attach pool capacity=300",
    r#"step a s.make {"vm":"b"}"#,
    "flow deploy id=waits",
    r#"step a s.make {"vm":"d"}"#,
    "step b s.keep requires=a",
    "flow deploy id=stops after=done",
    "cancel stops",
    r#"step a s.make {"vm":"c"}"#,
    "flow deploy id=runs",
    "step a s.keep",
    "flow deploy id=gone",
    "fail gone.a 3001 broken",
];

#[test]
fn what_coordination_wrote_first_is_read() {
    check("coordination", COORDINATION);
}

#[test]
fn what_flows_wrote_first_is_read() {
    check("flows", FLOWS);
}

#[test]
fn what_was_published_first_is_read() {
    check("published", PUBLISHED);
}

fn check(name: &str, story: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/frozen");
    let path = folder.join(format!("{name}.jsonl"));
    if std::env::var_os("OPSTEAD_FREEZE").is_some() && !path.exists() {
        std::fs::write(&path, written(story)).expect("the samples can be written");
    }
    let text = std::fs::read_to_string(&path).expect("the samples");
    let (events, records) = text.split_once("\n\n").expect("events, then records");
    let (mut live, mut restored) = (State::new(), State::new());
    for line in events.lines() {
        let event: Event = serde_json::from_str(line).expect("an event");
        assert_eq!(serde_json::to_string(&event).expect("it is JSON"), line);
        live.apply(&event);
    }
    for line in records.lines() {
        let record: Record = serde_json::from_str(line).expect("a record");
        assert_eq!(serde_json::to_string(&record).expect("it is JSON"), line);
        restored.restore(record);
    }
    crate::world::assert_same(&live, &restored, Default::default(), "what was frozen");
}

/// The story's events, and the records of the state after them.
fn written(story: &[&str]) -> String {
    let mut world = World::new();
    for line in story {
        play(&mut world, line);
    }
    let events = world.log.iter().map(serde_json::to_string);
    let events: Result<Vec<_>, _> = events.collect();
    let records = world.state.records();
    let records: Result<Vec<_>, _> = records
        .map(|record| serde_json::to_string(&record))
        .collect();
    let (events, records) = (events.expect("JSON"), records.expect("JSON"));
    format!("{}\n\n{}\n", events.join("\n"), records.join("\n"))
}
