//! A copy of an image with real data, interrupted in the middle: it goes on after the restart.

use serde_json::{Value, json};

use crate::load::Noise;
use crate::program::{Daemon, Home};
use crate::session::{Session, cursors, events};

const IMAGE_BYTES: usize = 6 << 20;

/// A rate at which a copy of the image has told of its middle long before it is over.
pub(crate) const ENDLESS: u64 = 32 << 10;

/// A home with an image `a` of real data, and a daemon that copies at this rate.
pub(crate) async fn home_with_image(copy_bytes_per_second: u64) -> (Home, Daemon) {
    let home = Home::new();
    let imports = home.folder.path().join("imports");
    std::fs::create_dir(&imports).unwrap();
    let mut noise = Noise(7);
    let data: Vec<u8> = (0..IMAGE_BYTES / 8)
        .flat_map(|_| noise.next().to_le_bytes())
        .collect();
    std::fs::write(imports.join("a"), data).unwrap();
    configure(&home, None);
    let daemon = home.start();
    let mut session = daemon.connect().await;
    let kwargs = json!({"image": "a", "path": imports.join("a")});
    let imported = session.ok("storage.importImage", kwargs).await;
    let done = session.done(imported["id"].as_str().unwrap()).await;
    assert_eq!(done["state"], "completed", "{done}");
    daemon.stop().await;
    configure(&home, Some(copy_bytes_per_second));
    let daemon = home.start();
    (home, daemon)
}

/// Says how fast copies are at the next start.
pub(crate) fn configure(home: &Home, copy_bytes_per_second: Option<u64>) {
    let imports = home.folder.path().join("imports");
    let speed = copy_bytes_per_second.map(|bytes| format!("copy_bytes_per_second = {bytes}\n"));
    home.configure(&format!(
        "[storage]\nimport_folders = [{imports:?}]\n{}",
        speed.unwrap_or_default()
    ));
}

/// Whether an alert tells of a copy that is in the middle.
fn is_in_the_middle(alert: &Value) -> bool {
    let percentage = alert["operationInfo"]["percentage"].as_f64().unwrap();
    alert["event"] == "progress" && percentage > 0.0 && percentage < 100.0
}

/// Waits until the copy `copy` is in the middle; returns the cursor.
pub(crate) async fn until_the_middle(session: &mut Session) -> u64 {
    let params = json!({"filter": "storage.Image.b", "after": 0});
    session.ok("alerts.subscribe", params).await;
    let alerts = session.alerts_until(is_in_the_middle).await;
    *cursors(&alerts).last().unwrap()
}

/// That `b` is the same as `a`, and nothing else is left of the copying.
pub(crate) fn check_copied(home: &Home) {
    let pool = home.data.join("pool");
    let source = std::fs::read(pool.join("a")).unwrap();
    assert_eq!(source.len(), IMAGE_BYTES);
    assert!(
        source == std::fs::read(pool.join("b")).unwrap(),
        "the copy differs"
    );
    assert_eq!(std::fs::read_dir(pool.join(".partial")).unwrap().count(), 0);
}

/// A running copy goes on after restart: SIGTERM and kill -9 alike leave attempt 2 to the next
/// daemon, the subscription resumes, and the target is whole (protocol §7 Interrupted, §5.3).
#[tokio::test]
async fn a_copy_goes_on_after_a_restart() {
    for in_order in [true, false] {
        let (home, daemon) = home_with_image(ENDLESS).await;
        let mut session = daemon.connect().await;
        let params = json!({"methodName": "storage.copyImage", "id": "copy",
            "kwargs": {"source": "a", "target": "b"}});
        session.ok("operations.register", params).await;
        let place = until_the_middle(&mut session).await;
        assert!(
            !home.data.join("pool/b").exists(),
            "a target appears when it is whole"
        );
        if in_order {
            daemon.stop().await;
        } else {
            daemon.kill();
        }
        configure(&home, None);
        let daemon = home.start();
        let mut session = daemon.connect().await;
        let params = json!({"filter": "storage.Image.b", "after": place});
        session.ok("alerts.subscribe", params).await;
        let rest = session.alerts_until_event("copy", "completed").await;
        let told = events(&rest);
        assert!(
            told.contains(&"retrying") && told.contains(&"started"),
            "{told:?}"
        );
        let copied = session.get("copy").await;
        assert_eq!(
            (&copied["state"], &copied["attempt"]),
            (&json!("completed"), &json!(2))
        );
        check_copied(&home);
    }
}

/// Promise 6: "Progress…: an alert follows when stage, description or lastError changes, and when
/// percentage has moved by at least 1 point and 100 ms have passed".
#[tokio::test]
async fn progress_is_told_in_measure() {
    let (home, daemon) = home_with_image(2 << 20).await;
    let mut session = daemon.connect().await;
    let params = json!({"methodName": "storage.copyImage", "id": "copy",
        "kwargs": {"source": "a", "target": "b"}});
    session.ok("operations.register", params).await;
    session.done("copy").await;
    let alerts = session.read_all("storage.Image.b", 0).await;
    let progress: Vec<_> = alerts
        .iter()
        .filter(|alert| alert["event"] == "progress")
        .collect();
    assert!(progress.len() >= 3, "{}", progress.len());
    for pair in progress.windows(2) {
        let info = |index: usize, member: &str| pair[index]["operationInfo"][member].clone();
        let same = |member: &str| info(0, member) == info(1, member);
        let told = [
            "stage",
            "stageDescription",
            "operationDescription",
            "lastError",
        ];
        if told.into_iter().all(same) {
            let time = |index: usize| milliseconds(pair[index]["time"].as_str().unwrap());
            let passed = (time(1) + 60_000 - time(0)) % 60_000;
            assert!(passed >= 100, "after {passed} ms: {} {}", pair[0], pair[1]);
        }
        assert!(info(0, "percentage").as_f64() <= info(1, "percentage").as_f64());
    }
    check_copied(&home);
}

/// Milliseconds of the minute in `2026-02-03T04:05:06.789Z`.
fn milliseconds(time: &str) -> u64 {
    time[17..19].parse::<u64>().unwrap() * 1_000 + time[20..23].parse::<u64>().unwrap()
}
