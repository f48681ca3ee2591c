//! The sample: a base image, an import, two copies in parallel, a resize; and the same with a step
//! that fails, after which all images are gone again. Also with kill -9 at a random moment.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::load::{Noise, rounds};
use crate::program::{Daemon, Home};
use crate::session::Session;

const MIB: u64 = 1 << 20;

/// What is in the way of the last step: it must stay as it is.
const TAKEN: &str = "somebody else's";

/// A home that images may be imported into, with a file to import, and an image `taken`.
fn home() -> Home {
    let home = Home::new();
    let imports = home.folder.path().join("imports");
    fs::create_dir(&imports).unwrap();
    fs::write(imports.join("file"), vec![7; MIB as usize]).unwrap();
    fs::create_dir_all(home.data.join("pool")).unwrap();
    fs::write(home.data.join("pool/taken"), TAKEN).unwrap();
    home.configure(&format!("[storage]\nimport_folders = [{imports:?}]\n"));
    home
}

/// The flow, with or without its last step, which fails because its target is there already.
fn sample(home: &Home, id: &str, fails: bool) -> Value {
    let path = home.folder.path().join("imports/file");
    let copy = |name: &str, source: &str, target: &str, requires: &[&str]| {
        json!({"name": name, "methodName": "storage.copyImage",
            "kwargs": {"source": source, "target": target}, "requires": requires})
    };
    let mut steps = vec![
        json!({"name": "base", "methodName": "storage.createImage",
            "kwargs": {"image": "base", "sizeBytes": 4 * MIB}}),
        json!({"name": "import", "methodName": "storage.importImage",
            "kwargs": {"image": "imported", "path": path}}),
        copy("first", "imported", "first", &["base", "import"]),
        copy("second", "imported", "second", &["base", "import"]),
        json!({"name": "resize", "methodName": "storage.resizeImage", "requires": ["first"],
            "kwargs": {"image": "first", "sizeBytes": {"$result": "base#/sizeBytes"}}}),
    ];
    if fails {
        steps.push(copy("taken", "second", "taken", &["resize", "second"]));
    }
    json!({"id": id, "name": "sample", "steps": steps})
}

/// The images in the pool with their sizes.
fn images(home: &Home) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(home.data.join("pool")).unwrap();
    let entries = entries.map(Result::unwrap);
    let images = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let image = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, entry.metadata().unwrap().len())
    };
    images.map(image).collect()
}

fn check_made(home: &Home) {
    let expected = [
        ("base", 4 * MIB),
        ("first", 4 * MIB),
        ("imported", MIB),
        ("second", MIB),
        ("taken", TAKEN.len() as u64),
    ];
    let expected: BTreeMap<String, u64> =
        expected.map(|(name, size)| (name.to_owned(), size)).into();
    assert_eq!(images(home), expected);
}

fn check_gone(home: &Home) {
    let expected = BTreeMap::from([("taken".to_owned(), TAKEN.len() as u64)]);
    assert_eq!(images(home), expected);
    let taken = fs::read_to_string(home.data.join("pool/taken")).unwrap();
    assert_eq!(taken, TAKEN);
}

/// The flow's own record and those of its steps, by name.
async fn records(session: &mut Session, id: &str) -> (Value, BTreeMap<String, Value>) {
    let flow = session.done(id).await;
    let list = session.ok("operations.list", json!({"parent": id})).await;
    let steps = list["operations"].as_array().unwrap().iter();
    let name = |step: &Value| {
        let whole = step["id"].as_str().unwrap();
        whole.strip_prefix(&format!("{id}.")).unwrap().to_owned()
    };
    let steps = steps.map(|step| (name(step), step.clone())).collect();
    (flow, steps)
}

async fn run(daemon: &Daemon, flow: Value) -> (Value, BTreeMap<String, Value>) {
    let mut session = daemon.connect().await;
    let id = flow["id"].as_str().unwrap().to_owned();
    let registered = session.ok("flows.register", flow).await;
    assert_eq!(registered["id"], *id);
    records(&mut session, &id).await
}

#[tokio::test]
async fn a_flow_completes() {
    let home = home();
    let daemon = home.start();
    let (flow, steps) = run(&daemon, sample(&home, "f", false)).await;
    assert_eq!(flow["state"], "completed", "{flow}");
    assert_eq!(flow["methodName"], "flow.sample");
    assert_eq!(flow["alertName"], "flow.task.f");
    assert_eq!(
        flow["operationInfo"]["stage"],
        json!({"number": 5, "total": 5})
    );
    let ids = ["base", "import", "first", "second", "resize"].map(|name| format!("f.{name}"));
    assert_eq!(flow["spawnedTasks"], json!(ids));
    for (name, step) in &steps {
        assert_eq!(step["state"], "completed", "{name}: {step}");
        assert_eq!(
            (&step["parent"], &step["done"]),
            (&json!("f"), &json!(true))
        );
    }
    // What it was handed is not what it was registered with: that still names the result.
    let kwargs = json!({"image": "first", "sizeBytes": {"$result": "base#/sizeBytes"}});
    assert_eq!(steps["resize"]["kwargs"], kwargs);
    assert_eq!(steps["resize"]["result"]["previousSizeBytes"], MIB);
    check_made(&home);
}

#[tokio::test]
async fn a_flow_with_a_step_that_fails_leaves_nothing() {
    let home = home();
    let daemon = home.start();
    let (flow, steps) = run(&daemon, sample(&home, "f", true)).await;
    assert_eq!(flow["state"], "reverted", "{flow}");
    let error = &flow["error"];
    assert_eq!(error["code"], 3002, "{flow}");
    assert_eq!(error["data"]["reason"], "imageExists", "{flow}");
    assert!(error["data"].get("notReverted").is_none(), "{flow}");
    assert_eq!(flow["operationInfo"]["lastError"]["code"], 3002);
    for (name, step) in &steps {
        assert_eq!(step["state"], "reverted", "{name}: {step}");
    }
    assert_eq!(steps["taken"]["error"]["code"], 3002);
    check_gone(&home);
}

/// Afterwards the images are free for others, and the flow is remembered under its id.
#[tokio::test]
async fn a_reverted_flow_is_done_with() {
    let home = home();
    let daemon = home.start();
    run(&daemon, sample(&home, "f", true)).await;
    let mut session = daemon.connect().await;
    let again = session.ok("flows.register", sample(&home, "f", true)).await;
    assert_eq!(
        (&again["existing"], &again["state"]),
        (&json!(true), &json!("reverted"))
    );
    let other = session
        .error("flows.register", sample(&home, "f", false))
        .await;
    assert_eq!(other["data"]["reason"], "idReused");
    let (flow, _) = run(&daemon, sample(&home, "g", false)).await;
    assert_eq!(flow["state"], "completed");
    check_made(&home);
}

/// Protocol §6: a finished step is never run again, what ran is reverted or completed for good.
#[tokio::test]
async fn kill_9_at_a_random_moment_changes_nothing() {
    let mut noise = Noise::seeded();
    for round in 1..=rounds("OPSTEAD_FLOW_ROUNDS", 4) {
        for fails in [false, true] {
            let home = home();
            // About as many alerts as there are, so that any of them may be the last.
            let moment = 1 + noise.below(if fails { 40 } else { 22 });
            killed_after(&home, sample(&home, "f", fails), moment).await;
            let daemon = home.start();
            let mut session = daemon.connect().await;
            let (flow, _) = records(&mut session, "f").await;
            let wanted = if fails { "reverted" } else { "completed" };
            assert_eq!(
                flow["state"], wanted,
                "killed after {moment} alerts: {flow}"
            );
            check_alerts(&session.read_all("*", 0).await);
            match fails {
                true => check_gone(&home),
                false => check_made(&home),
            }
            println!("round {round}: killed after {moment} alerts, {wanted}");
        }
    }
}

/// Registers the flow and kills the daemon when it has told of so much, or of the flow's end.
async fn killed_after(home: &Home, flow: Value, alerts: usize) {
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.ok("alerts.subscribe", json!({"filter": "*"})).await;
    session.ok("flows.register", flow).await;
    let ends = ["completed", "reverted"];
    for _ in 0..alerts {
        let alert = session.alert().await;
        let event = alert["event"].as_str().unwrap();
        if alert["operationId"] == "f" && ends.contains(&event) {
            break;
        }
    }
    daemon.kill();
}

/// Nothing is started again once it has completed, nor reverted again once it is reverted.
fn check_alerts(alerts: &[Value]) {
    let mut over: BTreeMap<(String, &str), ()> = BTreeMap::new();
    for alert in alerts {
        let Some(id) = alert["operationId"].as_str() else {
            continue;
        };
        let (end, begin) = match alert["event"].as_str().unwrap() {
            "completed" => ("completed", None),
            "reverted" => ("reverted", None),
            "started" => ("", Some("completed")),
            "reverting" => ("", Some("reverted")),
            _ => continue,
        };
        if let Some(over_by) = begin {
            let again = over.contains_key(&(id.to_owned(), over_by));
            assert!(!again, "{id} is begun again: {alert}");
        } else {
            let before = over.insert((id.to_owned(), end), ());
            assert!(before.is_none(), "{id} is {end} twice");
        }
    }
}
