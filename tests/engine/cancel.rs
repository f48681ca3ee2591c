//! Canceling: what reaches the executor, and whose word counts.

use opstead::engine::EngineError;
use opstead_core::{Failure, Json, OperationState, Refusal};

use super::world::{Setup, World, failure, request};

/// Protocol §8: a running one is canceling until its executor answers, and its answer counts.
#[test]
fn the_executor_has_the_last_word() {
    let own_words = Failure {
        message: "the disk is gone".into(),
        ..Failure::canceled()
    };
    let verdicts: [(Result<Json, Failure>, &str); 4] = [
        (Err(Failure::canceled()), "canceled"),
        (Ok(Json::null()), "completed"),
        (Err(failure(3001)), "failed"),
        (Err(own_words), "failed"),
    ];
    for (verdict, word) in verdicts {
        let world = World::new();
        let attempt = world.run("a", "test.run");
        assert!(!attempt.task.is_canceled());
        let canceling = world.cancel("a").unwrap();
        assert_eq!(canceling.state, OperationState::Canceling);
        world.wait(attempt.task.canceled());
        let again = world.cancel("a").unwrap();
        assert_eq!(again.state, OperationState::Canceling);
        attempt.answer(verdict);
        world.event("a", word);
        assert_eq!(
            world.words("a"),
            ["registered", "started", "canceling", word]
        );
    }
}

#[test]
fn one_that_waits_is_canceled_at_once_and_never_starts() {
    let world = Setup {
        capacity: 1,
        ..Setup::default()
    }
    .start();
    let first = world.run("a", "test.run");
    assert_eq!(
        world
            .register(request("b", "test.run"))
            .unwrap()
            .reasons
            .len(),
        1
    );
    world.register(request("c", "test.run")).unwrap();
    assert_eq!(world.cancel("b").unwrap().state, OperationState::Canceled);
    first.complete();
    assert_eq!(world.attempt().task.operation_id(), "c");
    assert_eq!(world.words("b"), ["registered", "postponed", "canceled"]);
}

#[test]
fn what_cannot_be_canceled_is_refused() {
    let world = World::new();
    let attempt = world.run("a", "test.stubborn");
    assert!(matches!(
        world.cancel("a"),
        Err(EngineError::Refused(Refusal::NotCancelable { .. }))
    ));
    attempt.complete();
    world.event("a", "completed");
    assert!(matches!(
        world.cancel("a"),
        Err(EngineError::Refused(Refusal::OperationEnded {
            state: OperationState::Completed
        }))
    ));
}
