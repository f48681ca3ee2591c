//! The subsystem `exec`: however an attempt ends, nothing of its program is left when it has
//! answered, or soon after when nobody waits for the answer any more.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use opstead_core::Failure;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::{Value, json};
use tokio::task::{spawn_blocking, yield_now};

use crate::exec_support::{Workplace, data, open, script};
use crate::support::{Attempt, is, reason, refusal};
use crate::witness::{Witness, processes_with};

/// Tells the witness that it runs, and runs until it is ended.
const WAITS: &str = r#"exec 3>"$1"; echo ready >&3; while :; do sleep 1000; done"#;

/// As stubborn as can be: it ignores SIGTERM, and so do a child and one in a session of its own.
const STUBBORN: &str = r#"exec 3>"$1"
    trap '' TERM HUP
    setsid sh -c 'echo away >&3; while :; do sleep 1000; done' &
    sh -c 'echo child >&3; while :; do sleep 1000; done' &
    while :; do sleep 1000; done"#;

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn a_canceled_program_has_its_time_to_clean_up() {
    let cleans = r#"exec 3>"$1"; trap 'echo cleaned >&3; exit 5' TERM; echo ready >&3
        while :; do sleep 0.01; done"#;
    let workplace = Workplace::new(&script(cleans, &["witness"]));
    let witness = Witness::new();
    let attempt = Arc::new(Attempt::of("exec.run"));
    let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
    let (_, met) = witness.met().await.line().await;
    attempt.cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err(), Failure::canceled());
    assert_eq!(met.ended(), "cleaned\n");
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_with_all_that_it_started() {
    let mut config = script(STUBBORN, &["witness"]);
    config.kill_after = Duration::from_millis(50);
    let workplace = Workplace::new(&config);
    let witness = Witness::new();
    let attempt = Arc::new(Attempt::of("exec.run"));
    let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
    let (_, met) = witness.met().await.line().await;
    let (_, met) = met.line().await;
    attempt.cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err(), Failure::canceled());
    assert_eq!(met.ended(), "");
}

#[tokio::test]
async fn an_attempt_that_is_canceled_before_it_begins_starts_nothing() {
    let workplace = Workplace::new(&script("exit 3", &[]));
    let attempt = Arc::new(Attempt::of("exec.run"));
    attempt.cancel.cancel();
    let outcome = attempt.run(&*workplace.executor(), json!({})).await;
    assert_eq!(outcome.unwrap_err(), Failure::canceled());
}

/// It writes for ever, and costs no memory.
#[tokio::test]
async fn endless_output_ends_when_it_is_canceled() {
    let workplace = Workplace::new(&script(
        r#"exec 3>"$1"; echo ready >&3; exec yes"#,
        &["witness"],
    ));
    let witness = Witness::new();
    let attempt = Arc::new(Attempt::of("exec.run"));
    let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
    let (_, met) = witness.met().await.line().await;
    attempt.cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err(), Failure::canceled());
    met.ended();
}

/// §9: 2002, when everything is gone.
#[tokio::test]
async fn an_attempt_that_takes_too_long_fails_with_its_output() {
    let mut config = script(
        "echo begun; trap '' TERM; while :; do sleep 1000; done",
        &[],
    );
    config.timeout = Some(Duration::from_millis(500));
    config.kill_after = Duration::from_millis(50);
    let workplace = Workplace::new(&config);
    // Another run of these tests may be under way.
    let id = format!("too long/{}", std::process::id());
    let attempt = Arc::new(Attempt::of("exec.run").operation(&id));
    let failure = attempt
        .run(&*workplace.executor(), json!({}))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code, reason(&failure)),
        is(2002, "attemptTimedOut")
    );
    assert!(failure.message.contains("500 ms"), "{}", failure.message);
    assert!(data(&failure)["output"].is_string());
    let left = processes_with("OPSTEAD_OPERATION_ID", &id);
    assert!(left.is_empty(), "{left:?}");
}

/// It forks and leaves: what it left is ended, told of, and does not hold up the answer.
#[tokio::test]
async fn what_a_program_leaves_running_is_ended() {
    let leaves = r#"exec 3>"$1"; sh -c 'echo child >&3; sleep 1000' &
        setsid sh -c 'echo away >&3; sleep 1000' & echo begun; exit "$2""#;
    let workplace = Workplace::new(&script(leaves, &["witness", "status"]));
    for status in ["0", "4"] {
        let witness = Witness::new();
        let attempt = Arc::new(Attempt::of("exec.run").taking_errors());
        let kwargs = json!({"witness": witness.path(), "status": status});
        let running = workplace.begin(&attempt, kwargs);
        let met = witness.met().await;
        let outcome = running.await.unwrap();
        match status {
            "0" => assert_eq!(outcome.unwrap()["output"], "begun\n"),
            _ => assert_eq!(refusal(outcome), is(3103, "programFailed")),
        }
        met.ended();
        let errors = attempt.errors();
        assert_eq!((errors.len(), errors[0].code), (1, 3105));
        assert_eq!(reason(&errors[0]), "processesLeft");
    }
}

/// Nobody waits for the answer: the daemon's runtime is gone.
#[tokio::test]
async fn a_program_ends_when_its_attempt_is_dropped() {
    let workplace = Workplace::new(&script(STUBBORN, &["witness"]));
    let witness = Witness::new();
    let attempt = Arc::new(Attempt::of("exec.run"));
    let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
    let (_, met) = witness.met().await.line().await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    met.end().await;
}

/// The daemon ends: who has not ended by then is killed, whatever its own time is.
#[tokio::test]
async fn the_end_of_the_daemon_ends_programs_soon() {
    let workplace = Workplace::new(&script(STUBBORN, &["witness"]));
    let witness = Witness::new();
    let attempt = Arc::new(Attempt::of("exec.run"));
    let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
    let (_, met) = witness.met().await.line().await;
    attempt.cancel.cancel();
    workplace.exec.end(Duration::from_millis(10)).await;
    met.end().await;
    assert_eq!(running.await.unwrap().unwrap_err(), Failure::canceled());
}

/// Somebody kills the guard alone: its program is found by its mark, and ended.
#[tokio::test]
async fn a_program_that_lost_its_guard_is_ended() {
    let tells_its_guard = WAITS.replace("ready", "$PPID");
    let workplace = Workplace::new(&script(&tells_its_guard, &["witness"]));
    let witness = Witness::new();
    let attempt = Arc::new(Attempt::of("exec.run"));
    let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
    let (guard, met) = witness.met().await.line().await;
    kill_process(pid(&guard), Signal::KILL).unwrap();
    assert_eq!(refusal(running.await.unwrap()), is(3106, "guardLost"));
    met.ended();
}

/// Somebody ends the guard politely: so it ends its program, which is told as it is.
#[tokio::test]
async fn a_guard_that_is_told_to_end_ends_its_program() {
    let tells_its_guard = WAITS.replace("ready", "$PPID");
    let workplace = Workplace::new(&script(&tells_its_guard, &["witness"]));
    for (daemon_ends, expected) in [
        (false, is(3104, "programKilled")),
        (true, is(2005, "canceled")),
    ] {
        let witness = Witness::new();
        let attempt = Arc::new(Attempt::of("exec.run"));
        let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
        let (guard, met) = witness.met().await.line().await;
        kill_process(pid(&guard), Signal::TERM).unwrap();
        met.end().await;
        if daemon_ends {
            attempt.cancel.cancel();
        }
        assert_eq!(refusal(running.await.unwrap()), expected);
    }
}

/// A daemon that starts ends what an earlier one on its folder left, and nobody else's.
#[tokio::test]
async fn a_start_ends_what_was_left_on_this_folder() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leave = |folder: &tempfile::TempDir| {
        let metadata = folder.path().metadata().unwrap();
        let mark = format!("{}:{}", metadata.dev(), metadata.ino());
        Command::new("sleep")
            .arg("1000")
            .env("OPSTEAD_FOLDER", mark)
            .spawn()
            .unwrap()
    };
    let (mut left, mut foreign) = (leave(&ours), leave(&other));
    let opened = spawn_blocking(move || open(&ours, Vec::new()));
    opened.await.unwrap();
    assert_eq!(left.wait().unwrap().signal(), Some(9));
    assert!(
        foreign.try_wait().unwrap().is_none(),
        "it is another daemon's"
    );
    foreign.kill().unwrap();
    foreign.wait().unwrap();
}

/// What a program says when it is done holds, also when it is canceled at that moment.
#[tokio::test]
async fn a_program_that_has_ended_is_not_canceled_any_more() {
    let done = r#"exec 3>"$1"; echo "$PPID" >&3; echo $$ >&3
        kill -STOP "$PPID"; echo done; exit 0"#;
    let workplace = Workplace::new(&script(done, &["witness"]));
    // Which of the two the guard sees first is a matter of chance.
    for _ in 0..10 {
        let witness = Witness::new();
        let attempt = Arc::new(Attempt::of("exec.run"));
        let running = workplace.begin(&attempt, json!({"witness": witness.path()}));
        let (guard, met) = witness.met().await.line().await;
        let (program, _) = met.line().await;
        // Its guard is stopped and takes no note of it, so the number stays its own.
        let program = pidfd_open(pid(&program), PidfdFlags::empty()).unwrap();
        let ended = spawn_blocking(move || poll(&mut [PollFd::new(&program, PollFlags::IN)], None));
        assert_eq!(ended.await.unwrap(), Ok(1));
        attempt.cancel.cancel();
        // The attempt runs on this thread, and tells its guard.
        for _ in 0..10 {
            yield_now().await;
        }
        kill_process(pid(&guard), Signal::CONT).unwrap();
        let result: Value = running.await.unwrap().unwrap();
        assert_eq!(result["output"], "done\n");
    }
}
