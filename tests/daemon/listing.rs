//! Protocol §3: tasks, objects, pages, dismissing, trying filters.

use serde_json::{Value, json};

use crate::program::Home;
use crate::session::{Session, claim, hold};

fn ids(operations: &Value) -> Vec<&str> {
    let operations = operations.as_array().unwrap().iter();
    operations
        .map(|operation| operation["id"].as_str().unwrap())
        .collect()
}

/// §3, `getRunningTasks`: every operation that is not done and whose **id** matches, in
/// registration order, by glob and by regexp.
#[tokio::test]
async fn running_tasks_are_those_not_done_by_id() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.noop("b.done").await;
    session.done("b.done").await;
    session.hold("b.2", json!([claim("x", "update")])).await;
    session.hold("a.1", json!([])).await;
    session.hold("b.1", json!([claim("x", "update")])).await;
    for (params, expected) in [
        (json!({}), vec!["b.2", "a.1", "b.1"]),
        (json!({"filter": "b.*"}), vec!["b.2", "b.1"]),
        (json!({"filter": "*.1"}), vec!["a.1", "b.1"]),
        (
            json!({"filter": "b.(1|2)", "filterType": "regexp"}),
            vec!["b.2", "b.1"],
        ),
        (json!({"filter": "b", "filterType": "regexp"}), vec![]),
        (json!({"filter": "B.*"}), vec![]),
    ] {
        let tasks = session.ok("getRunningTasks", params.clone()).await;
        assert_eq!(ids(&tasks), expected, "{params}");
    }
}

/// §3, `getOperationInfo` and `objects.list`: an object's info is that of its latest-started
/// operation, else of the last end; waiting ones do not show (§2).
#[tokio::test]
async fn objects_show_their_latest_started_operation() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for image in ["a", "b", "c"] {
        let kwargs = json!({"image": image, "sizeBytes": 4096});
        let made = session.ok("storage.createImage", kwargs).await;
        session.done(made["id"].as_str().unwrap()).await;
    }
    let params = json!({"alertName": "storage.Image.a"});
    let info = session.ok("getOperationInfo", params.clone()).await;
    assert_eq!(info["operationInfo"]["extraData"]["imageState"], "ok");
    assert_eq!(
        info["operationInfo"]["stage"],
        json!({"number": 1, "total": 1})
    );
    let members: Vec<_> = info.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        members,
        [
            "alertName",
            "cursor",
            "operationId",
            "operationInfo",
            "updatedAt"
        ]
    );
    // One that waits behind a claim on the image's resource does not show.
    let claims = session.ok("methods.list", json!({})).await;
    let kind = claims["methods"]
        .as_array()
        .unwrap()
        .iter()
        .find(|method| method["name"] == "storage.resizeImage")
        .unwrap()["claims"][0]["type"]
        .clone();
    let holder = json!([{"type": kind, "id": "a", "operation": "update"}]);
    session.hold("holder", holder).await;
    let resize = json!({"methodName": "storage.resizeImage", "id": "resize",
        "kwargs": {"image": "a", "sizeBytes": 8192}});
    let registration = session.ok("operations.register", resize).await;
    assert_eq!(registration["response"], "postponed");
    let still = session.ok("getOperationInfo", params.clone()).await;
    assert_eq!(still["operationId"], info["operationId"]);
    session
        .ok("operations.cancel", json!({"id": "holder"}))
        .await;
    session.done("resize").await;
    let resized = session.ok("getOperationInfo", params).await;
    assert_eq!(resized["operationId"], "resize");
    assert!(resized["operationInfo"]["operationDescription"].is_string());
    let all = session
        .ok(
            "objects.list",
            json!({"filter": "storage.Image.*", "pageSize": 2}),
        )
        .await;
    assert_eq!(all["objects"].as_array().unwrap().len(), 2);
    let query =
        json!({"filter": "storage.Image.*", "pageSize": 2, "pageToken": all["nextPageToken"]});
    let rest = session.ok("objects.list", query).await;
    assert_eq!(rest["objects"][0]["alertName"], "storage.Image.c");
    assert!(rest.get("nextPageToken").is_none() && rest["logId"].is_string());
    let error = session
        .error("getOperationInfo", json!({"alertName": "storage.Image.z"}))
        .await;
    assert_eq!(error["data"]["reason"], "objectNotFound");
}

/// §3: pages of `operations.list` are in registration order, open and ended ones as one list;
/// a page token belongs to its query; `pageSize` is reduced to 1,000.
#[tokio::test]
async fn pages_go_through_all_operations_once() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let mut expected = Vec::new();
    for index in 0..25 {
        let id = format!("n{index:02}");
        if index % 3 == 0 {
            session.hold(&id, json!([])).await;
        } else {
            session.noop(&id).await;
            session.done(&id).await;
        }
        expected.push(id);
    }
    let query = json!({"filter": "diagnostic.*", "pageSize": 4});
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let mut params = query.clone();
        params["pageToken"] = token.clone().unwrap_or_default();
        let page = session.ok("operations.list", params).await;
        found.extend(ids(&page["operations"]).into_iter().map(str::to_owned));
        token = page.get("nextPageToken").cloned();
        if token.is_none() {
            break;
        }
        let mut other = json!({"filter": "other.*", "pageSize": 4});
        other["pageToken"] = token.clone().unwrap();
        let error = session.error("operations.list", other).await;
        assert_eq!(error["data"]["reason"], "invalidPageToken");
    }
    assert_eq!(found, expected);
    let large = session
        .ok("operations.list", json!({"pageSize": 100_000}))
        .await;
    assert_eq!(ids(&large["operations"]), expected);
}

/// §3, `operations.list`: states, subsystem, methodName, tags; those of one `resource` running
/// first, then in the order in which they will execute.
#[tokio::test]
async fn lists_are_narrowed_by_what_is_asked() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for (id, operation) in [
        ("r1", "read"),
        ("u1", "update"),
        ("r2", "read"),
        ("u2", "update"),
    ] {
        session.hold(id, json!([claim("x", operation)])).await;
    }
    let tagged = json!({"methodName": "diagnostic.noop", "id": "n", "tags": ["blue", "green"]});
    session.ok("operations.register", tagged).await;
    session.done("n").await;
    for (params, expected) in [
        (
            json!({"resource": {"type": "thing", "id": "x"}}),
            vec!["r1", "r2", "u1", "u2"],
        ),
        (json!({"states": ["waiting"]}), vec!["u1", "u2"]),
        (
            json!({"states": ["running", "completed"]}),
            vec!["r1", "r2", "n"],
        ),
        (json!({"methodName": "diagnostic.noop"}), vec!["n"]),
        (json!({"subsystem": "storage"}), vec![]),
        (json!({"tags": ["green"]}), vec!["n"]),
        (json!({"tags": ["green", "red"]}), vec![]),
        (json!({"filter": "diagnostic.task.r?"}), vec!["r1", "r2"]),
    ] {
        let page = session.ok("operations.list", params.clone()).await;
        assert_eq!(ids(&page["operations"]), expected, "{params}");
        assert!(page["cursor"].is_u64() && page["logId"].is_string());
    }
}

/// §3, `operations.dismiss`: done ones only, by id or by time and state.
#[tokio::test]
async fn what_is_done_can_be_dismissed() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for id in ["a", "b"] {
        session.noop(id).await;
        session.done(id).await;
    }
    session.hold("open", json!([])).await;
    // Who repeats the call after a lost connection is not refused for what is gone already.
    let params = json!({"ids": ["a", "open", "a", "none"]});
    for dismissed in [1, 0] {
        assert_eq!(
            session.ok("operations.dismiss", params.clone()).await,
            json!({"dismissed": dismissed})
        );
    }
    assert_eq!(session.get("open").await["state"], "running");
    let many: Vec<_> = (0..10_001).map(|number| format!("n{number}")).collect();
    let error = session
        .error("operations.dismiss", json!({"ids": many}))
        .await;
    assert_eq!(error["data"]["faults"][0]["pointer"], "/ids", "{error}");
    let later = "2999-01-01T00:00:00.000Z";
    let params = json!({"finishedBefore": later, "states": ["failed"]});
    assert_eq!(
        session.ok("operations.dismiss", params).await,
        json!({"dismissed": 0})
    );
    let params = json!({"finishedBefore": later});
    assert_eq!(
        session.ok("operations.dismiss", params).await,
        json!({"dismissed": 1})
    );
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let kept = session.ok("operations.list", json!({})).await;
    assert_eq!(ids(&kept["operations"]), ["open"]);
}

/// §3, `filters.test`: which of the names … match, in the order given; without names, of the
/// present alert names. §4: both kinds match the whole name, case-sensitively.
#[tokio::test]
async fn filters_can_be_tried() {
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let names = [
        "vdsm.VM.other_vm",
        "vdsm.VM.best_vm",
        "vdsm.VM.best_vm.disk",
        "vdsm.vm.x",
    ];
    for (filter, filter_type, expected) in [
        ("vdsm.VM.*", "glob", &names[..3]),
        ("vdsm.VM.(best_vm|other_vm)", "regexp", &names[..2]),
        ("vdsm.VM.(best_vm|other_vm)", "regex", &names[..2]),
        ("vdsm.VM.{best,other}_vm", "glob", &names[..2]),
        ("VM", "regexp", &[]),
    ] {
        let params = json!({"filter": filter, "filterType": filter_type, "names": names});
        let answer = session.ok("filters.test", params).await;
        assert_eq!(answer, json!({"matches": expected}), "{filter}");
    }
    session.hold("h", json!([])).await;
    let present = session.ok("filters.test", json!({"filter": "*.h"})).await;
    assert_eq!(present, json!({"matches": ["diagnostic.task.h"]}));
    let error = session.error("filters.test", json!({"names": names})).await;
    assert_eq!(error["code"], -32602, "the filter is required here");
}

/// §9: an answer over the size limit is `answerTooLarge` and names the paged method, which then
/// gives everything.
#[tokio::test]
async fn what_is_too_large_at_once_comes_in_pages() {
    let home = Home::with("[limits]\nanswer_bytes = 20000\n");
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for index in 0..400 {
        let params = hold(&format!("n{index:03}"), json!([])).to_string();
        session.send("operations.register", &params).await;
    }
    for _ in 0..400 {
        session.receive().await.unwrap();
    }
    let error = session.error("getRunningTasks", json!({})).await;
    assert_eq!(
        (&error["code"], &error["data"]["use"]),
        (&json!(1020), &json!("operations.list"))
    );
    let all = json!({"pageSize": 1000});
    for (method, member) in [
        ("operations.list", "operations"),
        ("objects.list", "objects"),
    ] {
        let pages = pages(&mut session, method, member, all.clone()).await;
        assert_eq!(pages.iter().sum::<usize>(), 400, "{method}");
    }
    let registered = session.read_all("*", 0).await;
    let registered = registered
        .iter()
        .filter(|alert| alert["event"] == "registered");
    assert_eq!(registered.count(), 400);
}

/// A filter that matches little costs no call more than the look at a bounded number of operations:
/// a page may be empty and yet not the last.
#[tokio::test]
async fn a_page_that_looked_at_many_may_be_empty() {
    const COUNT: usize = 5_500;
    let home = Home::new();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    for batch in 0..COUNT / 500 {
        for index in 0..500 {
            let id = format!("n{}", batch * 500 + index);
            let params = json!({"methodName": "diagnostic.noop", "id": id}).to_string();
            session.send("operations.register", &params).await;
        }
        for _ in 0..500 {
            session.receive().await.unwrap();
        }
    }
    session.ok("operations.wait", json!({})).await;
    for (filter, expected) in [("nobody.*", [0, 0]), ("*.n5499", [0, 1]), ("*.n7", [1, 0])] {
        let params = json!({"filter": filter});
        let found = pages(&mut session, "operations.list", "operations", params).await;
        assert_eq!(found, expected, "{filter}");
    }
    let params = json!({"finishedBefore": "2999-01-01T00:00:00.000Z"});
    assert_eq!(
        session.ok("operations.dismiss", params).await,
        json!({"dismissed": COUNT})
    );
}

/// How many each page holds.
async fn pages(session: &mut Session, method: &str, member: &str, mut params: Value) -> Vec<usize> {
    let mut counts = Vec::new();
    loop {
        let page = session.ok(method, params.clone()).await;
        counts.push(page[member].as_array().unwrap().len());
        match page.get("nextPageToken") {
            Some(token) => params["pageToken"] = token.clone(),
            None => return counts,
        }
    }
}
