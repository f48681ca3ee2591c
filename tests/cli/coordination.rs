//! When an operation starts: what `call` can ask for, and how each reason to wait is told.

use opstead_client::schema::params::{InfoUpdate, RegisterParams};
use opstead_client::schema::{
    ErrorObject, Json, MethodDeclaration, MethodKind, OperationDescription, empty_object,
};
use opstead_client::{AttachOptions, Client, ClientConfig, Executor, Task};
use serde_json::json;

use super::support::{Daemon, Ran};

const POSTPONED: &str = "Postponed: it starts by itself when what it waits for is done.";

/// What a call of `diagnostic.wait` says, with these options.
fn call(daemon: &Daemon, id: &str, options: &[&str]) -> Vec<String> {
    let ran = daemon.run(&[&["call", "diagnostic.wait", "--id", id][..], options].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.lines()
}

fn show(daemon: &Daemon, id: &str) -> Vec<String> {
    daemon.run(&["show", id]).lines()
}

fn has(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(lines.contains(&(*line).to_owned()), "{line}: {lines:#?}");
    }
}

/// The progress that `tasks` tells of an operation.
fn task(daemon: &Daemon, id: &str) -> String {
    let lines = daemon.run(&["tasks", id]).lines();
    let beginning = format!("{id} diagnostic.wait ");
    let task = lines[1].strip_prefix(&beginning).unwrap();
    task.strip_suffix(" {}").unwrap().to_owned()
}

#[test]
fn a_call_can_start_at_a_time() {
    let daemon = Daemon::start();
    let arguments = [
        "call",
        "diagnostic.wait",
        "--id",
        "noon",
        "--at",
        "2100-12-01T12:00",
        "--before",
        "2100-12-01T12:30:00+01:00",
    ];
    let mut command = daemon.command(&arguments);
    let ran = Ran::of(command.env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3"));
    let why = "Waits for: its start time, 2100-12-01T11:00:00.000Z";
    assert_eq!(ran.lines(), ["Registered: noon", POSTPONED, why], "{ran:?}");
    let shown = show(&daemon, "noon");
    has(
        &shown,
        &[
            "State scheduled",
            "Not before 2100-12-01T11:00:00.000Z",
            "Not after 2100-12-01T11:30:00.000Z",
            why,
        ],
    );
    assert_eq!(
        task(&daemon, "noon"),
        "scheduled Waits for 2100-12-01T11:00:00.000Z"
    );
    assert_eq!(
        daemon.run(&["list"]).lines()[1],
        "diagnostic.wait diagnostic.task.noon scheduled Not before 2100-12-01T11:00:00.000Z \
         Incomplete noon"
    );
    // From now on, and over before anybody could look.
    assert_eq!(
        call(&daemon, "soon", &["seconds=0", "--at", "0s", "--wait"])[1],
        "Completed."
    );
}

#[test]
fn what_says_when_to_start_is_checked() {
    let daemon = Daemon::start();
    for (options, code, told) in [
        (
            &["--at", "noon"][..],
            2,
            "invalid value 'noon' for '--at <TIME>': expected a local time like 2026-12-01T12:00",
        ),
        (
            &["--before", "2020-01-01T00:00Z"],
            2,
            "startBefore: is past: the operation could never start",
        ),
        (
            &["--at", "2100-01-02T00:00Z", "--before", "2100-01-01T00:00Z"],
            2,
            "startBefore: must be later than startAt",
        ),
        (
            &["--after", "nobody"],
            65,
            "there is no operation \"nobody\"",
        ),
        (
            &["--weight", "10"],
            2,
            "weight: 10 is over the whole capacity of 9",
        ),
        (
            &["--weight", "x"],
            2,
            "invalid value 'x' for '--weight <N>'",
        ),
    ] {
        let ran = daemon.run(&[&["call", "diagnostic.wait"][..], options].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{ran:?}");
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
    assert_eq!(daemon.json(&["list", "--all"]), json!([]));
    let query = ["call", "storage.getImageInfo", "image=a", "--weight", "1"];
    assert_eq!(daemon.run(&query).code, 2);
}

/// One that follows another waits for its end, and is skipped if that is not as it should be.
#[test]
fn a_call_can_follow_others() {
    let daemon = Daemon::start();
    call(&daemon, "first", &[]);
    call(&daemon, "second", &[]);
    let why = "Waits for: the end of first, second";
    let after = ["--after", "first", "--after-any", "second"];
    assert_eq!(
        call(&daemon, "next", &after),
        ["Registered: next", POSTPONED, why]
    );
    has(
        &show(&daemon, "next"),
        &[
            "State waiting",
            "After first (completed), second (completed or failed or canceled or skipped or reverted)",
            why,
        ],
    );
    assert_eq!(task(&daemon, "next"), "waiting Waits for first, second");
    daemon.json(&["cancel", "second"]);
    daemon.json(&["cancel", "first"]);

    // The same call again, now that its end is known.
    let again = [
        &["call", "diagnostic.wait", "--id", "next", "--wait"][..],
        &after,
    ]
    .concat();
    let ran = daemon.run(&again);
    assert_eq!(ran.code, 1, "{ran:?}");
    let skipped = "\"first\", which it was to follow, is canceled (dependencyFailed, 2004)";
    assert_eq!(*ran.lines().last().unwrap(), format!("Skipped: {skipped}"));
    has(
        &show(&daemon, "next"),
        &["State skipped", &format!("Error: {skipped}")],
    );
    // A new one is skipped at once, and that is told as its end.
    for options in [&[][..], &["--wait"]] {
        let id = format!("late{}", options.len());
        let call = ["call", "diagnostic.wait", "--id", &id, "--after", "first"];
        let ran = daemon.run(&[&call[..], options].concat());
        let told = [format!("Registered: {id}"), format!("Skipped: {skipped}")];
        assert_eq!((ran.code, ran.lines()), (1, told.to_vec()));
    }
    let call = ["call", "diagnostic.wait", "--after", "first", "--json"];
    let ran = daemon.run(&call);
    assert_eq!((ran.code, &ran.document()["state"]), (1, &json!("skipped")));
    let listed = daemon
        .run(&["list", "--state", "skipped", "diagnostic.task.next"])
        .lines();
    assert!(
        listed[1].starts_with("diagnostic.wait diagnostic.task.next skipped Never 2"),
        "{listed:?}"
    );
}

/// One that has no claim yet comes after those that have.
#[test]
fn tasks_of_a_resource_tell_of_scheduled_ones() {
    let daemon = Daemon::start();
    daemon.hold("reader", "a", "read");
    daemon.json(&[
        "call",
        "storage.deleteImage",
        "image=a",
        "--id",
        "gone",
        "--at",
        "2100-01-01T00:00Z",
    ]);
    daemon.hold("other", "b", "read");
    daemon.hold("late", "a", "read");
    let lines = daemon.run(&["tasks", "--resource", "image:a"]).lines();
    let ids = lines
        .iter()
        .map(|line| line.split(' ').next_back().unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), ["ID", "reader", "late", "gone"]);
    assert_eq!(
        lines[3],
        "delete image a scheduled Not before 2100-01-01T00:00:00.000Z Incomplete gone"
    );
    let ran = daemon.run(&["tasks", "--resource", "image:a", "--limit", "2", "--json"]);
    assert_eq!(ran.document().as_array().unwrap().len(), 2);
    assert!(ran.stderr.starts_with("There are others"), "{ran:?}");
}

#[test]
fn weight_waits_for_capacity() {
    let daemon = Daemon::start();
    assert_eq!(
        call(&daemon, "heavy", &["--weight", "9"]),
        ["Registered: heavy"]
    );
    has(&show(&daemon, "heavy"), &["Weight 9"]);
    let why = [
        "Waits for: capacity; too much is running",
        "Taken by: heavy",
    ];
    let light = call(&daemon, "light", &["--weight", "1"]);
    assert_eq!(light, ["Registered: light", POSTPONED, why[0], why[1]]);
    has(&show(&daemon, "light"), &why);
    assert_eq!(task(&daemon, "light"), "waiting Waits for capacity");
}

const PROGRAMS: &str = r#"
[exec.long]
argv = ["sleep", "1000000"]

[exec.wrong]
argv = ["false"]
"#;

/// An executor that is busy, a delay before another attempt, and an executor that is away.
#[test]
fn executors_and_delays_are_waited_for() {
    let mut daemon = Daemon::start();
    daemon.configure(PROGRAMS);
    daemon.kill_and_start();
    daemon.json(&["call", "exec.long", "--id", "busy"]);
    let why = "Waits for: an executor; those that carry out its method are busy";
    let ran = daemon.run(&["call", "exec.long", "--id", "next"]);
    assert_eq!(ran.lines(), ["Registered: next", POSTPONED, why]);

    let mut alerts = daemon.spawn(&["watch", "exec.*", "--after", "0"]);
    daemon.json(&[
        "call",
        "operations.register",
        "methodName=exec.wrong",
        "id=again",
        r#"retry:={"maxAttempts": 3, "initialMs": 86400000, "factor": 1, "maxMs": 86400000}"#,
    ]);
    assert!(alerts.stdout().any(|line| line.contains("retrying")));
    let shown = show(&daemon, "again");
    has(&shown, &["State waiting", "Attempt 1 of 3"]);
    for told in [
        "Last error the program exited with status 1 (3103)",
        "Waits for: the delay before its next attempt, until 2",
    ] {
        assert!(
            shown.iter().any(|line| line.starts_with(told)),
            "{told}: {shown:#?}"
        );
    }
    // Who waits for it is told of the failed attempt.
    let mut waiting = daemon.spawn(&["call", "exec.wrong", "--id", "again", "--wait"]);
    let retrying = "Retrying: the program exited with status 1 (3103)";
    assert!(waiting.stderr().any(|line| line == retrying));
    drop(waiting);

    daemon.configure("");
    daemon.kill_and_start();
    has(
        &show(&daemon, "next"),
        &["Waits for: an executor; none that carries out its method is attached and takes work"],
    );
    let executors = daemon.json(&["executors"]);
    let names = executors.as_array().unwrap().iter();
    let away: Vec<_> = names.filter(|known| known["attached"] == false).collect();
    assert!(!away.is_empty(), "{executors}");
}

#[test]
fn executors_are_listed_with_their_methods() {
    let daemon = Daemon::start();
    daemon.hold("h", "x", "read");
    let ran = daemon.run(&["executors"]);
    let lines = ran.lines();
    assert_eq!(lines[0], "NAME ATTACHED CAPACITY RUNNING METHOD VERSION");
    has(
        &lines,
        &[
            "diagnostic yes 10000 1 diagnostic.noop 1",
            "diagnostic.wait 1",
            "storage.copyImage 1",
        ],
    );
    let executors = daemon.json(&["executors"]);
    assert_eq!(executors[0]["executor"], "diagnostic");
    assert_eq!(executors[0]["running"], 1);
}

/// Moves a machine in parts, of which it registers one and waits.
struct Mover;

impl Executor for Mover {
    async fn execute(&self, task: Task, _kwargs: Json) -> Result<Json, ErrorObject> {
        if task.method_name() == "vm.move" {
            let part = RegisterParams::new("vm.movePart", empty_object()).with_id("part");
            task.register(part).await.unwrap();
        } else {
            task.progress(InfoUpdate {
                operation_description: Some(OperationDescription::Moving),
                percentage: Some(25.0),
                ..InfoUpdate::default()
            });
        }
        task.canceled().await;
        Err(Task::stopped())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_are_shown_with_how_far_they_are() {
    let daemon = Daemon::start();
    let socket = daemon.folder().join("data/opstead.sock");
    let target = format!("unix:{}", socket.display()).parse().unwrap();
    let client = Client::connect(target, ClientConfig::default());
    let client = client.await.unwrap();
    let method = |name| MethodDeclaration::new(name, MethodKind::Operation, "Moves.");
    let options = AttachOptions {
        executor: "mover".to_owned(),
        methods: vec![method("vm.move"), method("vm.movePart")],
        capacity: 2,
    };
    let _attachment = client.attach(options, Mover).await.unwrap();
    let mut alerts = daemon.spawn(&["watch", "vm.*", "--after", "0"]);
    daemon.json(&["call", "vm.move", "--id", "whole"]);
    assert!(alerts.stdout().any(|line| line.contains("Moving, 25 %")));
    has(
        &show(&daemon, "whole"),
        &[
            "Executor mover",
            "CHILD METHOD STATE PROGRESS",
            "└─ part vm.movePart running [###-------] Moving, 25 %",
        ],
    );
    has(&show(&daemon, "part"), &["Parent whole"]);
    has(
        &daemon.run(&["executors"]).lines(),
        &["mover yes 2 2 vm.move 1", "vm.movePart 1"],
    );
}
