//! What follows one command by itself is bounded in bytes too: operations may be large, and each
//! that ends is written whole.

use opstead_core::{Executed, OperationState, Order, Outcome};

use crate::script::{Step, parse};
use crate::{quiet, world::World};

/// About the most bytes that follow one command, and those of one operation here.
const MOST: usize = 128 << 10;
const LARGE: usize = 20_000;

fn order(world: &mut World, line: &str) -> Option<Executed> {
    match parse(line, world).expect("a command") {
        Step::Order(order) => Some(world.run(order).expect("nothing is refused")),
        step => {
            quiet(world, step);
            None
        }
    }
}

fn bytes(executed: &Executed) -> usize {
    let events = executed.events.iter().map(|event| event.text_bytes());
    let ended = executed.ended.iter().map(|record| record.text_bytes());
    events.chain(ended).sum()
}

#[test]
fn large_operations_end_a_few_at_a_time() {
    let mut world = World::new();
    let text = "x".repeat(LARGE);
    for line in [
        "method s.parent cancelable",
        "method s.work claim=update:thing:a",
        "attach one capacity=1",
        "register s.parent {} id=parent",
    ] {
        order(&mut world, line);
    }
    for number in 0..40 {
        let line = format!(r#"register s.work {{"text":"{text}"}} id=c{number} lease=parent"#);
        order(&mut world, &line);
    }
    let mut executed = order(&mut world, "cancel parent").expect("an order");
    let mut ended = 0;
    loop {
        assert!(bytes(&executed) < MOST + 2 * LARGE, "{}", bytes(&executed));
        ended += executed.ended.len();
        if world.state.is_settled(world.now) {
            break;
        }
        executed = world.run(Order::Continue).expect("never refused");
        assert!(!executed.events.is_empty(), "it goes on");
    }
    assert_eq!(ended, 40);
}

#[test]
fn what_an_executor_offers_counts() {
    let mut world = World::new();
    let name = format!("s.{}", "m".repeat(150));
    for number in 0..100 {
        order(&mut world, &format!("method {name}{number}"));
    }
    order(&mut world, "attach one capacity=1");
    let resized = order(&mut world, "resize one capacity=2").expect("an order");
    assert!(bytes(&resized) > 100 * name.len());
}

/// One result can be taken in many places; a step whose kwargs would be too long has failed.
#[test]
fn kwargs_with_results_are_bounded() {
    let mut world = World::new();
    let taken = [r#"{"$result":"a"}"#; 50].join(",");
    for line in [
        "method s.work",
        "attach one capacity=2",
        "step a s.work",
        &format!(r#"step b s.work {{"all":[{taken}]}}"#),
        "flow large id=f",
    ] {
        order(&mut world, line);
    }
    let result = format!(r#"["{}"]"#, "x".repeat(100_000));
    order(&mut world, &format!("complete f.a {result}"));
    let failed = world.known("f.b").expect("it has ended");
    let Some(Outcome::Failed(failure)) = &failed.outcome else {
        panic!("{failed:?}");
    };
    assert_eq!(failed.attempt, 0, "nobody was handed it");
    assert!(failure.message.contains("4194304 bytes"), "{failure:?}");
}

/// A result of a megabyte is read once, however many parts of it are taken, but not any number of
/// results: that would hold up everybody else.
#[test]
fn what_is_read_for_parts_of_results_is_bounded() {
    let numbers: Vec<_> = (0..130_000).map(|number| number.to_string()).collect();
    let result = format!("[{}]", numbers.join(","));
    let part = |number: usize| format!(r#"{{"$result":"a#/{number}"}}"#);
    let parts: Vec<_> = (0..50_000).map(part).collect();
    let mut world = World::new();
    world.keeps_log = false;
    order(&mut world, "method s.work");
    order(&mut world, "attach one capacity=2");
    order(&mut world, "step a s.work");
    let taking = format!(r#"step b s.work {{"all":[{}]}}"#, parts.join(","));
    order(&mut world, &taking);
    order(&mut world, "flow parts id=f");
    order(&mut world, &format!("complete f.a {result}"));
    let step = world.known("f.b").expect("it is registered");
    let bound = world.state.bound(step, &step.request.kwargs);
    let expected = format!(r#"{{"all":[{}]}}"#, numbers[..50_000].join(","));
    assert_eq!(bound.expect("bound").as_str(), expected);
    assert_eq!(step.state, OperationState::Running);

    for (sources, state) in [(30, OperationState::Failed), (10, OperationState::Running)] {
        let taken = |number: usize| format!(r#"{{"$result":"s{number}#/0"}}"#);
        let taken: Vec<_> = (0..sources).map(taken).collect();
        let flow = format!("g{sources}");
        order(&mut world, &format!("attach {flow} capacity={sources}"));
        for number in 0..sources {
            order(&mut world, &format!("step s{number} s.work"));
        }
        order(
            &mut world,
            &format!(r#"step all s.work {{"all":[{}]}}"#, taken.join(",")),
        );
        order(&mut world, &format!("flow many id={flow}"));
        for number in 0..sources {
            order(&mut world, &format!("complete {flow}.s{number} {result}"));
        }
        let step = world
            .known(&format!("{flow}.all"))
            .expect("it is registered");
        assert_eq!(step.state, state, "{sources}");
        if let Some(Outcome::Failed(failure)) = &step.outcome {
            assert!(
                failure.message.contains("16777216 bytes together"),
                "{failure:?}"
            );
        }
    }
}

/// Steps that take large results start a few at a time.
#[test]
fn results_that_are_taken_count() {
    let mut world = World::new();
    order(&mut world, "method s.work");
    order(&mut world, "attach one capacity=100");
    order(&mut world, "step a s.work");
    for number in 0..50 {
        let line = format!(r#"step b{number} s.work {{"part":{{"$result":"a#/0"}}}}"#);
        order(&mut world, &line);
    }
    order(&mut world, "flow fan id=f");
    let result = format!(r#"[1,"{}"]"#, "x".repeat(LARGE));
    let complete = format!("complete f.a {result}");
    world.newly_opened();
    order(&mut world, &complete);
    let mut most = world.newly_opened();
    while !world.state.is_settled(world.now) {
        let executed = world.run(Order::Continue).expect("never refused");
        assert!(!executed.events.is_empty(), "it goes on");
        most = most.max(world.newly_opened());
    }
    assert!(most * LARGE < MOST + 2 * LARGE, "{most}");
    let is_running = |number| {
        let step = world.known(&format!("f.b{number}")).expect("it is known");
        step.state == OperationState::Running
    };
    assert!((0..50).all(is_running));
}

/// Kwargs are put together for who is next, and for nobody else.
#[test]
fn no_results_are_taken_in_vain() {
    let mut world = World::new();
    for line in [
        "method s.work revertible",
        "method s.other",
        "attach one capacity=1 s.work",
        "attach two capacity=1 s.other",
        "step a s.work",
        "flow first id=f",
        "step a s.other",
        r#"step b s.work {"part":{"$result":"a"}}"#,
        "flow second id=g",
        "complete g.a 1",
    ] {
        order(&mut world, line);
    }
    world.newly_opened();
    // The revert is older than the step that waits for the same executor.
    order(&mut world, "fail f.a 3001 broken");
    let state = |id| world.known(id).expect("it is known").state;
    assert_eq!(state("f.a"), OperationState::Reverting);
    assert!(world.state.is_settled(world.now));
    assert_eq!(world.newly_opened(), 0);
    order(&mut world, "complete f.a");
    assert_eq!(
        world.known("g.b").expect("it is known").state,
        OperationState::Running
    );
    assert_eq!(world.newly_opened(), 1);
}

/// A flow tells of many reverts that failed, and of long messages, only the first part. It tells it
/// again after each that is tried again.
#[test]
fn what_is_told_of_reverts_that_failed_is_bounded() {
    const STEPS: usize = 130;
    let mut world = World::new();
    order(&mut world, "method s.work revertible");
    order(&mut world, "attach one capacity=200");
    for number in 0..STEPS {
        order(&mut world, &format!("step s{number} s.work"));
    }
    order(&mut world, "flow wide id=f");
    for number in 0..STEPS {
        order(&mut world, &format!("fail f.s{number} 3001 broken"));
    }
    while !world.state.is_settled(world.now) {
        world.run(Order::Continue).expect("never refused");
    }
    // No character begins at the byte where it is cut.
    let long = format!("-{}", "é".repeat(LARGE));
    for number in 0..STEPS {
        order(&mut world, &format!("fail f.s{number} 3002 {long}"));
    }
    let told = |world: &World| -> serde_json::Value {
        let flow = world.known("f").expect("it is open");
        assert_eq!(flow.state, OperationState::RevertFailed);
        let failure = flow.failure().expect("why it is stuck");
        let data = failure.data.as_ref().expect("reverts are named");
        data.parse().expect("JSON")
    };
    let data = told(&world);
    assert_eq!(data["moreReverts"], 30);
    let reverts = data["reverts"].as_array().expect("reverts");
    assert_eq!(reverts.len(), 100);
    assert_eq!(reverts[99]["step"], "s99");
    let short = format!("-{}…", "é".repeat(511));
    assert!(reverts.iter().all(|revert| revert["message"] == *short));
    for number in 0..30 {
        order(&mut world, &format!("skip f.s{number}"));
    }
    let data = told(&world);
    assert_eq!(data["reverts"].as_array().expect("reverts").len(), 100);
    assert!(data.get("moreReverts").is_none(), "{data}");
}
