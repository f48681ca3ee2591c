//! Handing over to executors outside of this process: what is told, and what is not.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use opstead::engine::{Assignment, AttachRequest, Outlet};
use opstead_core::{Lease, OnInterrupt};

use super::world::{World, declaration, request};

/// Keeps what the executor is told.
struct Post(Sender<Assignment>);

impl Outlet for Post {
    fn assign(&self, assignment: Assignment) {
        // The test may have seen enough.
        let _ = self.0.send(assignment);
    }

    fn close(&self) {}
}

/// What an executor comes with, and what it is told.
fn arrival() -> (AttachRequest, Receiver<Assignment>) {
    let (told, assignments) = channel();
    let request = AttachRequest {
        executor: "agent".into(),
        capacity: 10,
        declarations: vec![
            declaration("vm.again", OnInterrupt::Retry, None),
            declaration("vm.once", OnInterrupt::Fail, None),
        ],
        resume: Vec::new(),
        outlet: Arc::new(Post(told)),
    };
    (request, assignments)
}

/// The operation and the attempt that an executor is handed next.
fn handed(assignments: &Receiver<Assignment>) -> (String, u32) {
    match assignments.recv().unwrap() {
        Assignment::Execute(handed) => {
            let Lease { attempt, .. } = handed.lease;
            (handed.operation_id.to_string(), attempt)
        }
        other => panic!("{other:?} is no attempt"),
    }
}

/// Its executor comes again in the block that starts it, so that nobody has the first attempt.
#[test]
fn an_attempt_that_is_interrupted_in_the_block_that_starts_it_is_not_handed_out() {
    let world = World::new();
    let (arriving, before) = arrival();
    let (_, attached) = world.handle.attach(arriving).unwrap();
    world.wait(attached).unwrap();
    let paused = world.pause();
    for (id, method) in [("again", "vm.again"), ("once", "vm.once")] {
        drop(world.handle.register(request(id, method)));
    }
    let (arriving, after) = arrival();
    let (_, attached) = world.handle.attach(arriving).unwrap();
    drop(world.handle.register(request("later", "vm.once")));
    drop(paused);
    world.wait(attached).unwrap();
    assert_eq!(handed(&after), ("again".to_owned(), 2));
    assert_eq!(handed(&after), ("later".to_owned(), 1));
    assert!(before.try_recv().is_err(), "it was told of nothing");
    let (block, _) = world.event("again", "retrying");
    for id in ["again", "once"] {
        assert_eq!(world.event(id, "started").0.first, block.first);
    }
    assert_eq!(world.words("once"), ["registered", "started", "failed"]);
}
