//! The subsystem `exec` with the real daemon: what a configuration may say, and that no program is
//! left behind however the daemon ends.

use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::program::{Daemon, Home, NEVER};
use crate::session::Session;
use crate::witness::{Met, Witness, processes_with};

/// A program that tells the witness in the file `witness` who it and its guard are, and runs until
/// it is ended. `$1` says whether it ignores SIGTERM.
const WAITS: &str = r#"
[exec.NAME]
argv = ["sh", "-c", '''
exec 3>"$2"
if [ "$1" = stubborn ]; then trap "" TERM HUP INT; fi
setsid sh -c 'while :; do sleep 1000; done' &
echo $PPID $$ >&3
while :; do sleep 1000; done''', "sh", "{mood}", "{witness}"]
on_interrupt = "ON_INTERRUPT"
concurrency = 8
kill_after_ms = 300_000
[exec.NAME.kwargs]
mood = { enum = ["stubborn", "mild"] }
witness = { type = "string" }
"#;

fn waits(name: &str, on_interrupt: &str) -> String {
    WAITS
        .replace("NAME", name)
        .replace("ON_INTERRUPT", on_interrupt)
}

/// A program that runs.
struct Running {
    guard: Pid,
    program: Pid,
    witness: Witness,
    met: Met,
}

/// Registers `exec.<name>` under its name and waits until it runs.
async fn begin(session: &mut Session, name: &str, mood: &str) -> Running {
    let witness = Witness::new();
    let kwargs = json!({"mood": mood, "witness": witness.path()});
    let params = json!({"methodName": format!("exec.{name}"), "id": name, "kwargs": kwargs});
    session.ok("operations.register", params).await;
    running(witness).await
}

/// Waits until a program has come to the witness.
async fn running(witness: Witness) -> Running {
    let (line, met) = witness.met().await.line().await;
    let (guard, program) = line.split_once(' ').unwrap();
    let pid = |text: &str| Pid::from_raw(text.parse().unwrap()).unwrap();
    Running {
        guard: pid(guard),
        program: pid(program),
        witness,
        met,
    }
}

/// What was interrupted has failed, because so it was declared.
async fn has_failed(daemon: &Daemon, name: &str) {
    let operation = daemon.connect().await.get(name).await;
    let (state, code) = (&operation["state"], &operation["error"]["code"]);
    assert_eq!(
        (state, code),
        (&json!("failed"), &json!(2001)),
        "{operation}"
    );
}

/// What was interrupted runs again, because so it was declared.
async fn runs_again(daemon: &Daemon, name: &str, witness: Witness) {
    running(witness).await;
    let operation = daemon.connect().await.get(name).await;
    let (state, attempt) = (&operation["state"], &operation["attempt"]);
    assert_eq!(
        (state, attempt),
        (&json!("running"), &json!(2)),
        "{operation}"
    );
}

/// Every message names file, line, column, member, what is wrong and what is allowed; the data
/// folder is not made.
#[test]
fn a_wrong_configuration_starts_nothing() {
    let home = Home::new();
    let sound = "[exec.run]\nargv = [\"sh\"]\n";
    for (config, messages) in [
        (
            "[exec.run]\nargv = [\"sh\", \"{repo}\"]\nkwargs.repository = { type = \"string\" }\n",
            &["line 4, column 15: exec.run.argv: there is no kwarg `repo`, only `repository`"][..],
        ),
        (
            "[exec.run]\nargv = [\"/no/such\"]\nprogress = '(?<percent>.)'\nobject = \"A.{b}\"\n",
            &[
                "line 4, column 9: exec.run.argv: the program `/no/such` cannot be used",
                "line 5, column 12: exec.run.progress: there is no group `percent`; the groups are",
                "line 6, column 10: exec.run.object: there is no kwarg `b`; declare it",
            ],
        ),
        (
            "[exec.run]\nargv = [\"sh\"]\n[exec.run.kwargs]\nsize = { type = \"int\" }\n",
            &["line 6, column 1: exec.run.kwargs.size:", "integer"],
        ),
        (
            "[exec.run]\nargv = [\"sh\"]\nkwargs.day = { const = 2026-01-01 }\n",
            &["line 5, column 8: exec.run.kwargs.day: 2026-01-01 is no value of JSON"],
        ),
        (
            "[exec.run]\nsummary = \"x\"\n",
            &["line 3", "missing field `argv`"],
        ),
        (
            "[exec.run]\nargv = [\"sh\"]\nargs = []\n",
            &[
                "line 5, column 1",
                "unknown field `args`",
                "`kill_after_ms`",
            ],
        ),
        (
            "[exec.run]\nargv = [\"sh\"]\non_interrupt = \"ignore\"\n",
            &["line 5, column 16", "`fail` or `retry`"],
        ),
        (
            "[exec.run]\nargv = [\"sh\"]\nclaims = [{ type = \"a\", id = \"b\", operation = \"write\" }]\n",
            &[
                "line 5",
                "unknown variant `write`",
                "`read`, `update`, `create`, `delete`",
            ],
        ),
        (
            "[exec.run]\nargv = [\"sh\"]\nconcurrency = 0\n",
            &["line 5, column 15", "at least 1"],
        ),
        (
            "[exec.\"a b\"]\nargv = [\"sh\"]\n",
            &["line 3, column 7: exec.a b:", "letters, digits"],
        ),
        (
            "[exec.run]\nargv = [\"sh\"]\nkwargs.a = { type = \"string\", patern = \"x\" }\n",
            &[
                "line 5, column 8: exec.run.kwargs.a: `patern` is no keyword",
                "`pattern`",
                "line 5, column 8: exec.run.kwargs.a: no argument, object or claim uses it",
            ],
        ),
        (sound, &[]),
    ] {
        home.configure(config);
        if messages.is_empty() {
            home.start();
            continue;
        }
        let ended = home.fail();
        assert_eq!(ended.status.code(), Some(2));
        let file = home.config();
        for message in [file.to_str().unwrap()].iter().chain(messages) {
            assert!(
                ended.errors.contains(message),
                "{message}: {}",
                ended.errors
            );
        }
        assert!(!home.data.exists(), "{config}");
    }
}

/// From registration to result, with progress on the way, and a refusal that names its place.
#[tokio::test]
async fn a_program_is_called_as_any_method() {
    let home = Home::with(
        r#"
        [exec.greet]
        argv = ["sh", "-c", 'echo "50 % hello"; echo "$1"', "sh", "{name}"]
        kwargs.name = { type = "string" }
        object = "Person.{name}"
        claims = [{ type = "person", id = "{name}", operation = "update" }]
        progress = '(?<percentage>\d+) % (?<stage>.*)'
        "#,
    );
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let registration = session.ok("exec.greet", json!({"name": "Ann"})).await;
    assert_eq!(registration["alertName"], "exec.Person.Ann");
    let done = session.done(registration["id"].as_str().unwrap()).await;
    let result = json!({"exitStatus": 0, "output": "50 % hello\nAnn\n", "outputTruncated": false});
    assert_eq!(
        (&done["state"], &done["result"]),
        (&json!("completed"), &result)
    );
    assert_eq!(done["operationInfo"]["stageDescription"], "hello");
    assert_eq!(done["executor"], "exec.greet");
    let refused = session.error("exec.greet", json!({"name": "-n"})).await;
    let fault = &refused["data"]["faults"][0];
    assert_eq!(fault["pointer"], "/name");
    let message = fault["message"].as_str().unwrap();
    assert!(
        message.starts_with("must not begin with a dash"),
        "{message}"
    );
    assert!(message.contains("may_begin_with_dash"), "{message}");
}

/// `concurrency` is each program's own.
#[tokio::test]
async fn programs_wait_for_a_free_place() {
    let home = Home::with(&waits("one", "fail").replace("concurrency = 8", "concurrency = 1"));
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let first = begin(&mut session, "one", "mild").await;
    let second = Witness::new();
    let kwargs = json!({"mood": "mild", "witness": second.path()});
    let params = json!({"methodName": "exec.one", "id": "second", "kwargs": kwargs});
    let registration = session.ok("operations.register", params).await;
    assert_eq!(
        registration["reasons"],
        json!([{"cause": "executor", "detail": "busy"}])
    );
    session.ok("operations.cancel", json!({"id": "one"})).await;
    assert_eq!(session.done("one").await["state"], "canceled");
    first.met.ended();
    let second = running(second).await;
    session
        .ok("operations.cancel", json!({"id": "second"}))
        .await;
    assert_eq!(session.done("second").await["state"], "canceled");
    second.met.ended();
}

/// kill -9 of the daemon alone: its guards end everything, before anybody starts it again.
#[tokio::test]
async fn a_killed_daemon_leaves_no_program() {
    let home = Home::with(&(waits("again", "retry") + &waits("never", "fail")));
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let again = begin(&mut session, "again", "stubborn").await;
    let never = begin(&mut session, "never", "stubborn").await;
    daemon.kill();
    again.met.end().await;
    never.met.end().await;
    let daemon = home.start();
    has_failed(&daemon, "never").await;
    runs_again(&daemon, "again", again.witness).await;
}

/// kill -9 of everything that is called opstead: the next daemon ends the programs before it tries
/// anything again.
#[tokio::test]
async fn what_outlived_daemon_and_guard_is_ended_at_the_next_start() {
    let home = Home::with(&waits("again", "retry"));
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let again = begin(&mut session, "again", "stubborn").await;
    // Stopped, it cannot do its work meanwhile.
    kill_process(again.guard, Signal::STOP).unwrap();
    daemon.kill();
    kill_process(again.guard, Signal::KILL).unwrap();
    let metadata = home.data.metadata().unwrap();
    let mark = format!("{}:{}", metadata.dev(), metadata.ino());
    let left = processes_with("OPSTEAD_FOLDER", &mark);
    assert!(left.contains(&again.program.as_raw_pid()), "{left:?}");
    let daemon = home.start();
    let now = processes_with("OPSTEAD_FOLDER", &mark);
    assert!(left.is_disjoint(&now), "{left:?} {now:?}");
    runs_again(&daemon, "again", again.witness).await;
}

/// SIGTERM interrupts what runs, as declared, long before the time that a program has to end by
/// itself is over, also who ignores it.
#[tokio::test]
async fn sigterm_interrupts_programs_as_declared() {
    let home =
        Home::with(&(waits("again", "retry") + &waits("never", "fail") + &waits("mild", "retry")));
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let again = begin(&mut session, "again", "stubborn").await;
    let never = begin(&mut session, "never", "stubborn").await;
    let mild = begin(&mut session, "mild", "mild").await;
    let told = Instant::now();
    daemon.terminate();
    let status = daemon.wait().await;
    let took = told.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < NEVER, "{took:?}");
    for met in [again.met, never.met, mild.met] {
        met.ended();
    }
    let daemon = home.start();
    has_failed(&daemon, "never").await;
    runs_again(&daemon, "again", again.witness).await;
    runs_again(&daemon, "mild", mild.witness).await;
}

/// A service manager may tell every process of a service at once. Then a program's end is no
/// failure of it.
#[tokio::test]
async fn sigterm_for_everybody_is_an_interruption_too() {
    let home = Home::with(&waits("again", "retry"));
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let again = begin(&mut session, "again", "mild").await;
    kill_process(again.program, Signal::TERM).unwrap();
    // What it left behind is told of as soon as it is known that it has ended.
    let mut operation = session.get("again").await;
    while operation["nonFatalErrors"] == json!([]) {
        let params = json!({"ids": ["again"], "until": "change", "after": operation["cursor"]});
        let answer = session.ok("operations.wait", params).await;
        operation = answer["operations"][0].clone();
    }
    again.met.ended();
    daemon.terminate();
    assert!(daemon.wait().await.success());
    let daemon = home.start();
    runs_again(&daemon, "again", again.witness).await;
}
