//! One set of behaviours for executors within the daemon and for those that attach: whoever carries
//! an operation out, a manager sees the same.

mod behaviour;
mod world;

use opstead_client::schema::{Operation, OperationState};
use serde_json::json;

use world::{Place, World};

/// Runs a story for an executor in each place.
macro_rules! everywhere {
    ($($name:ident)*) => {
        mod inside {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::World::new(super::Place::Inside).await).await;
                }
            )*
        }

        mod outside {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::World::new(super::Place::Outside).await).await;
                }
            )*
        }
    };
}

everywhere! {
    a_result_is_kept_as_it_is
    a_failure_is_the_result
    a_panic_fails_one_operation
    what_is_reported_shows
    a_canceled_one_stops
    one_that_ends_although_it_was_to_stop_has_ended
    one_that_fails_although_it_was_to_stop_has_failed
    one_that_took_too_long_has_no_say
    the_interrupted_go_on_as_declared
    no_more_than_the_capacity_run
    a_query_is_answered
}

async fn a_result_is_kept_as_it_is(world: World) {
    let text = r#"{"z":18446744073709551615,"a":[1.0,null]}"#;
    let kwargs = json!({"do": "complete", "text": text});
    let done = world.run("suite.run", kwargs).await;
    assert_eq!(done.state, OperationState::Completed);
    assert_eq!(done.result.unwrap().get(), text);
    assert_eq!(
        done.operation_info.operation_description.as_str(),
        "Completed"
    );
}

async fn a_failure_is_the_result(world: World) {
    let done = world.run("suite.run", json!({"do": "fail"})).await;
    assert_eq!(done.state, OperationState::Failed);
    let error = done.error.as_ref().unwrap();
    assert_eq!((error.code, error.message.as_str()), (3123, "as asked"));
    assert_eq!(error.data.as_ref().unwrap().get(), r#"{"x":1}"#);
    assert_eq!(done.operation_info.last_error.code, 3123);
}

async fn a_panic_fails_one_operation(world: World) {
    let done = world.run("suite.run", json!({"do": "panic"})).await;
    assert_eq!(reason(&done), "executorPanicked");
    let done = world
        .run("suite.run", json!({"do": "complete", "text": "1"}))
        .await;
    assert_eq!(done.state, OperationState::Completed);
}

async fn what_is_reported_shows(world: World) {
    let done = world.run("suite.run", json!({"do": "report"})).await;
    assert_eq!(done.state, OperationState::Completed);
    let info = done.operation_info;
    assert_eq!(info.operation_description.as_str(), "Copying");
    assert_eq!(info.stage_description, "second half");
    assert_eq!((info.stage.number, info.stage.total), (2, 2));
    assert_eq!(info.extra_data.get(), r#"{"y":2}"#);
    let errors: Vec<_> = done
        .non_fatal_errors
        .iter()
        .map(|error| error.code)
        .collect();
    assert_eq!(errors, [3001, 3002]);
}

async fn a_canceled_one_stops(world: World) {
    world.begin("suite.run", "a", json!({"do": "hold"})).await;
    world.client.cancel("a").await.unwrap();
    let done = world.done("a").await;
    assert_eq!(done.state, OperationState::Canceled);
    assert_eq!(reason(&done), "canceled");
}

async fn one_that_ends_although_it_was_to_stop_has_ended(world: World) {
    world
        .begin("suite.run", "a", json!({"do": "stubborn"}))
        .await;
    world.client.cancel("a").await.unwrap();
    assert_eq!(world.done("a").await.state, OperationState::Completed);
}

async fn one_that_fails_although_it_was_to_stop_has_failed(world: World) {
    world.begin("suite.run", "a", json!({"do": "break"})).await;
    world.client.cancel("a").await.unwrap();
    let done = world.done("a").await;
    assert_eq!(done.state, OperationState::Failed);
    assert_eq!(done.error.unwrap().code, 3124);
}

async fn one_that_took_too_long_has_no_say(world: World) {
    world
        .begin("suite.brief", "a", json!({"do": "stubborn"}))
        .await;
    // It is told to stop and completes, but the attempt is over.
    let done = world.done("a").await;
    assert_eq!(reason(&done), "attemptTimedOut");
    world.puppet.returned().await;
    let later = world
        .run("suite.run", json!({"do": "complete", "text": "1"}))
        .await;
    assert_eq!(later.state, OperationState::Completed);
    let still = world.client.operation("a").await.unwrap();
    assert_eq!((still.state, still.cursor), (done.state, done.cursor));
}

async fn the_interrupted_go_on_as_declared(mut world: World) {
    world
        .begin("suite.run", "again", json!({"do": "hold"}))
        .await;
    world
        .begin("suite.once", "once", json!({"do": "hold"}))
        .await;
    world.interrupt().await;
    assert_eq!(reason(&world.done("once").await), "executorLost");
    assert_eq!(world.puppet.started().await, "again");
    let again = world.client.operation("again").await.unwrap();
    assert_eq!((again.attempt, again.state), (2, OperationState::Running));
}

async fn no_more_than_the_capacity_run(world: World) {
    for id in ["1", "2", "3", "4"] {
        world.begin("suite.run", id, json!({"do": "hold"})).await;
    }
    let request = world::request("suite.run", "5", json!({"do": "hold"}));
    let waits = world.client.register(&request).await.unwrap();
    assert_eq!(waits.reasons[0].detail.as_deref(), Some("busy"));
    world.client.cancel("3").await.unwrap();
    assert_eq!(world.puppet.started().await, "5");
}

async fn a_query_is_answered(world: World) {
    let answer: String = world
        .client
        .call("suite.ask", &json!({"word": "x"}))
        .await
        .unwrap();
    assert_eq!(answer, "x?");
}

fn reason(operation: &Operation) -> String {
    let error = operation.error.as_ref().expect("it has an error");
    error.details().expect("an error of the daemon").reason
}
