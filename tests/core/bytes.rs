//! What follows one command by itself is bounded in bytes too: operations may be large, and each
//! that ends is written whole.

use opstead_core::{Executed, Order, Outcome};

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
