//! `tasks --resource`, `list`, `objects`: tables, filters and limits.

use serde_json::{Value, json};

use super::support::{Daemon, words_of};

fn ids(list: &Value) -> Vec<&str> {
    let entries = list.as_array().unwrap().iter();
    entries.map(|entry| entry["id"].as_str().unwrap()).collect()
}

/// Two copies read an image, a deletion waits for both; another image is made meanwhile.
fn crowd(daemon: &Daemon) {
    daemon.json(&[
        "call",
        "storage.createImage",
        "image=a",
        "sizeBytes=4096",
        "--wait",
    ]);
    daemon.hold("reader", "a", "read");
    daemon.register(
        "writer",
        &[("image", "b", "update"), ("image", "a", "read")],
    );
    daemon.json(&["call", "storage.deleteImage", "image=a", "--id", "gone"]);
    daemon.register("later", &[("image", "a", "create")]);
}

/// What runs comes first, then what waits, in the order in which it will run.
#[test]
fn tasks_of_a_resource_are_in_the_order_of_execution() {
    let daemon = Daemon::start();
    crowd(&daemon);
    let ran = daemon.run(&["tasks", "--resource", "image:a"]);
    let shown: Vec<Vec<String>> = ran.stdout.lines().map(columns).collect();
    let [header, reader, writer, gone, later] = &shown[..] else {
        panic!("{ran:?}");
    };
    assert_eq!(
        header[..],
        ["OPERATION", "RESOURCE", "STATE", "START", "FINISH", "ID"]
    );
    let but_start = |row: &[String]| [&row[..3], &row[4..]].concat();
    assert_eq!(
        but_start(reader),
        ["read", "image a", "running", "Incomplete", "reader"]
    );
    assert_eq!(
        but_start(writer),
        [
            "read, update",
            "image a, image b",
            "running",
            "Incomplete",
            "writer"
        ]
    );
    assert!(reader[3].ends_with('Z'), "{ran:?}");
    assert_eq!(
        gone[..],
        [
            "delete",
            "image a",
            "waiting",
            "Unstarted",
            "Incomplete",
            "gone"
        ]
    );
    assert_eq!(
        later[..],
        [
            "create",
            "image a",
            "waiting",
            "Unstarted",
            "Incomplete",
            "later"
        ]
    );

    let tasks = daemon.json(&["tasks", "--resource", "image:a", "*er"]);
    assert_eq!(ids(&tasks), ["reader", "writer", "later"]);
    assert_eq!(tasks[1]["claims"].as_array().unwrap().len(), 2);
    let none = daemon.run(&["tasks", "--resource", "image:c"]);
    assert_eq!(none.stdout, "Nothing is outstanding on image c.\n");
}

/// The cells of a row: two blanks stand between them, and single ones within.
fn columns(line: &str) -> Vec<String> {
    let cells = line.split("  ").map(str::trim);
    cells
        .filter(|cell| !cell.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn list_shows_open_operations_and_with_all_the_others() {
    let daemon = Daemon::start();
    crowd(&daemon);
    daemon.json(&[
        "call",
        "diagnostic.noop",
        "--id",
        "done",
        "--tag",
        "x",
        "--tag",
        "y",
        "--wait",
    ]);
    let list = |arguments: &[&str]| {
        let list = daemon.json(&[&["list"][..], arguments].concat());
        ids(&list).join(" ")
    };
    assert_eq!(list(&[]), "reader writer gone later");
    let all = list(&["--all"]);
    assert!(all.starts_with("storage.Image.a.") && all.ends_with(" reader writer gone later done"));
    assert_eq!(list(&["--state", "waiting"]), "gone later");
    assert_eq!(
        list(&["--state", "waiting", "--state", "running"]),
        "reader writer gone later"
    );
    assert_eq!(
        list(&["--state", "completed", "--tag", "y", "--tag", "x"]),
        "done"
    );
    assert_eq!(list(&["--all", "--tag", "z"]), "");
    assert_eq!(
        list(&["--all", "--state", "completed", "--tag", "x"]),
        "done"
    );
    assert_eq!(list(&["--subsystem", "storage"]), "gone");
    assert_eq!(
        list(&["--method", "diagnostic.wait"]),
        "reader writer later"
    );
    assert_eq!(list(&["--resource", "image:b"]), "writer");
    assert_eq!(list(&["--parent", "reader"]), "");
    assert_eq!(list(&["storage.Image.*"]), "gone");
    assert_eq!(list(&["storage[.].*", "--type", "regexp"]), "gone");

    let ran = daemon.run(&["list", "--method", "storage.deleteImage"]);
    assert_eq!(
        ran.lines(),
        [
            "METHOD NAME STATE START FINISH ID",
            "storage.deleteImage storage.Image.a waiting Unstarted Incomplete gone",
        ]
    );
    let none = daemon.run(&["list", "nothing.*"]);
    assert_eq!(none.stdout, "There is no such operation.\n");
}

/// Pages are read until the limit, and what is left out is said.
#[test]
fn a_limit_is_said_when_it_is_reached() {
    let daemon = Daemon::start();
    crowd(&daemon);
    let ran = daemon.run(&["list", "--limit", "2", "--json"]);
    assert_eq!(ids(&ran.document()), ["reader", "writer"]);
    assert_eq!(
        words_of(&ran.stderr),
        ["There are others: these are the first 2. --limit N shows more."]
    );
    let ran = daemon.run(&["list", "--limit", "4"]);
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (5, ""));
    let ran = daemon.run(&["tasks", "--resource", "image:a", "--limit", "1", "--json"]);
    assert_eq!(ids(&ran.document()), ["reader"]);
    assert!(ran.stderr.starts_with("There are others"), "{ran:?}");
}

#[test]
fn objects_are_listed_with_how_they_stand() {
    let daemon = Daemon::start();
    for image in ["image=a", "image=b"] {
        daemon.json(&[
            "call",
            "storage.createImage",
            image,
            "sizeBytes=4096",
            "--wait",
        ]);
    }
    daemon.run(&[
        "call",
        "storage.createImage",
        "image=b",
        "sizeBytes=4096",
        "--wait",
    ]);
    let ran = daemon.run(&["objects"]);
    let shown: Vec<Vec<String>> = ran.stdout.lines().map(columns).collect();
    assert_eq!(shown[0], ["NAME", "HOW IT STANDS", "UPDATED"]);
    assert_eq!(shown[1][..2], ["storage.Image.a", "Creating, 100 %"]);
    let failed = "Failed; there is an image \"b\" in the pool already (3002)";
    assert_eq!(shown[2][..2], ["storage.Image.b", failed]);
    assert!(shown[2][2].ends_with('Z'), "{ran:?}");

    let objects = daemon.json(&["objects", "*.[b-z]"]);
    assert_eq!(objects.as_array().unwrap().len(), 1);
    assert_eq!(
        objects[0]["operationInfo"]["lastError"]["code"],
        json!(3002)
    );
    assert_eq!(
        daemon.run(&["objects", "vm.*"]).stdout,
        "There is no such object.\n"
    );
}
