//! A full disk. Needs root, to mount a small one; says so and passes elsewhere.

use serde_json::{Value, json};

use crate::power_cut::Disk;
use crate::program::Home;
use crate::session::Session;

pub(crate) fn disk(mebibytes: u64) -> Option<Disk> {
    Disk::new(mebibytes)
        .inspect_err(|reason| println!("skipped: no disk image could be mounted: {reason}"))
        .ok()
}

/// Fills the disk until so many mebibytes are left.
fn fill(disk: &Disk, left: u64) -> std::path::PathBuf {
    let free = rustix::fs::statvfs(disk.path()).unwrap();
    let bytes = (free.f_bavail * free.f_frsize).saturating_sub(left << 20);
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; bytes as usize]).unwrap();
    filler
}

/// Registers one after another until the answer is as wished; returns that, and who was
/// acknowledged meanwhile.
async fn register_until(
    session: &mut Session,
    name: &str,
    kwargs: &Value,
    wished: impl Fn(&Value) -> bool,
) -> (Value, Vec<String>) {
    let mut acknowledged = Vec::new();
    for index in 0..100_000 {
        let id = format!("{name}{index}");
        let params = json!({"methodName": "diagnostic.noop", "id": id, "kwargs": kwargs});
        let request = session
            .send("operations.register", &params.to_string())
            .await;
        let Some(text) = session.receive().await else {
            return (Value::Null, acknowledged);
        };
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["id"], request);
        if answer.get("error").is_none() {
            acknowledged.push(id);
        }
        if wished(&answer) {
            return (answer, acknowledged);
        }
    }
    panic!("never answered as wished");
}

/// Law 3: "A guard refuses new operations, with `overloaded`, while the disk still has room to
/// finish": running ones still end, repeats are still answered, a restart is still possible, and
/// with room again it goes on.
#[tokio::test]
async fn a_nearly_full_disk_refuses_what_is_new_and_finishes_the_rest() {
    let Some(disk) = disk(160) else { return };
    let home = Home::at(
        &disk.path().join("data"),
        "[limits]\nleast_free_bytes = 41943040\n",
    );
    let daemon = home.start();
    let mut session = daemon.connect().await;
    session.hold("running", json!([])).await;
    let filler = fill(&disk, 30);
    let is_refused = |answer: &Value| answer["error"]["data"]["reason"] == "overloaded";
    let (refused, mut acknowledged) =
        register_until(&mut session, "low", &json!({}), is_refused).await;
    assert_eq!(refused["error"]["code"], 1009);
    assert!(
        refused["error"]["data"]["retryAfterMs"].is_u64(),
        "{refused}"
    );
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("disk"),
        "{refused}"
    );
    let repeated = session.hold("running", json!([])).await;
    assert_eq!(repeated["existing"], true, "a repeat takes no room");
    session
        .ok("operations.cancel", json!({"id": "running"}))
        .await;
    assert_eq!(session.done("running").await["state"], "canceled");
    daemon.kill();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    assert_eq!(session.get("running").await["state"], "canceled");
    std::fs::remove_file(filler).unwrap();
    let is_taken = |answer: &Value| answer.get("error").is_none();
    let (_, more) = register_until(&mut session, "room", &json!({}), is_taken).await;
    acknowledged.extend(more);
    for id in acknowledged {
        assert_eq!(session.get(&id).await["id"], id);
    }
}

/// Law 3: when the disk is full after all, nothing more is acknowledged, callers get
/// `storageFailed`, the process ends with a clear message, and what was acknowledged is on disk.
#[tokio::test]
async fn a_full_disk_ends_the_daemon_and_keeps_what_was_acknowledged() {
    let Some(disk) = disk(64) else { return };
    let home = Home::at(
        &disk.path().join("data"),
        "[limits]\nleast_free_bytes = 0\n",
    );
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let filler = fill(&disk, 4);
    let mut noise = crate::load::Noise(3);
    let text: String = (0..4_000)
        .map(|_| format!("{:016x}", noise.next()))
        .collect();
    let has_failed = |answer: &Value| answer.get("error").is_some();
    let (failed, acknowledged) =
        register_until(&mut session, "n", &json!({"text": text}), has_failed).await;
    if failed != Value::Null {
        assert_eq!(failed["error"]["code"], 1014, "{failed}");
        assert_eq!(
            failed["error"]["data"],
            json!({"reason": "storageFailed", "retryable": true})
        );
    }
    let status = daemon.wait().await;
    assert!(!status.success(), "{status}");
    let errors = std::fs::read_to_string(home.folder.path().join("stderr")).unwrap();
    assert!(errors.contains("the journal"), "{errors}");
    std::fs::remove_file(filler).unwrap();
    let daemon = home.start();
    let mut session = daemon.connect().await;
    assert!(!acknowledged.is_empty());
    for id in &acknowledged {
        assert_eq!(session.get(id).await["kwargs"]["text"], text);
    }
    println!(
        "{} acknowledged before the disk was full, all found",
        acknowledged.len()
    );
}
