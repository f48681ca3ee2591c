//! Reverts: what an operation made is removed and what it resized gets its size back, as often as it
//! is asked for; what it did not do is left alone.

use std::fs;
use std::sync::Arc;

use opstead::engine::executor::Executor;
use opstead_core::Failure;
use serde_json::{Value, json};

use crate::support::qemu;
use crate::support::{Attempt, MIB, Site, is, reason};

/// Every method that makes the image `made`, with its kwargs.
fn makers(site: &Site) -> [(&'static str, Value); 3] {
    fs::write(site.path("source"), "source").expect("write");
    fs::write(site.imports().join("file"), "import").expect("write");
    [
        (
            "storage.createImage",
            json!({"image": "made", "sizeBytes": 5}),
        ),
        (
            "storage.copyImage",
            json!({"source": "source", "target": "made"}),
        ),
        (
            "storage.importImage",
            json!({"image": "made", "path": site.imports().join("file")}),
        ),
    ]
}

fn refused(outcome: Result<(), Failure>) -> (i32, String) {
    let failure = outcome.expect_err("should have failed");
    (failure.code, reason(&failure))
}

async fn revert(
    site: &Site,
    method: &str,
    kwargs: &Value,
    outcome: Result<Value, Failure>,
) -> Result<(), Failure> {
    let attempt = Arc::new(Attempt::of(method).number(2));
    attempt
        .revert(&*site.storage, kwargs.clone(), outcome)
        .await
}

fn size_of(site: &Site, image: &str) -> u64 {
    fs::metadata(site.path(image)).expect("image").len()
}

#[test]
fn what_makes_or_resizes_an_image_is_revertible_and_nothing_else() {
    let declared = Site::new().storage.declarations();
    let revertible = declared.iter().filter(|method| method.revertible);
    let names: Vec<&str> = revertible.map(|method| &*method.name).collect();
    assert_eq!(
        names,
        [
            "storage.createImage",
            "storage.createOverlay",
            "storage.copyImage",
            "storage.importImage",
            "storage.resizeImage"
        ]
    );
}

#[tokio::test]
async fn an_image_that_was_made_is_removed_again_however_often() {
    for which in 0..3 {
        let site = Site::new();
        let (method, kwargs) = makers(&site)[which].clone();
        let result = site.run(method, kwargs.clone()).await.expect(method);
        // The daemon was killed in between, too.
        let site = site.reopen(|_| {});
        for _ in 0..2 {
            let attempt = Arc::new(Attempt::of(method).number(2));
            let reverted = attempt
                .revert(&*site.storage, kwargs.clone(), Ok(result.clone()))
                .await;
            assert_eq!(reverted, Ok(()), "{method}");
            assert_eq!(attempt.last_image_state(), "deleted", "{method}");
            assert_eq!(site.files(), ["source"], "{method}");
        }
    }
}

/// It failed because its target was there: that one is somebody else's.
#[tokio::test]
async fn an_image_that_was_there_before_is_left_alone() {
    for which in 0..3 {
        let site = Site::new();
        let (method, kwargs) = makers(&site)[which].clone();
        let before = Attempt::of("storage.createImage").operation("somebody else's");
        let created = json!({"image": "made", "sizeBytes": 9});
        let made = Arc::new(before).run(&*site.storage, created).await;
        made.expect("made before");
        let failure = site.run(method, kwargs.clone()).await.expect_err("taken");
        assert_eq!(failure.code, 3002);
        let attempt = Arc::new(Attempt::of(method).number(2));
        let reverted = attempt.revert(&*site.storage, kwargs, Err(failure)).await;
        assert_eq!(reverted, Ok(()), "{method}");
        assert_eq!(attempt.last_image_state(), "ok", "{method}");
        assert_eq!(size_of(&site, "made"), 9, "{method}");
    }
}

#[tokio::test]
async fn a_file_that_was_put_in_the_image_s_place_is_left_alone() {
    let site = Site::new();
    let (method, kwargs) = makers(&site)[0].clone();
    let result = site.run(method, kwargs.clone()).await.expect("made");
    fs::remove_file(site.path("made")).expect("remove");
    fs::write(site.path("made"), "other").expect("write");
    assert_eq!(revert(&site, method, &kwargs, Ok(result)).await, Ok(()));
    assert_eq!(fs::read(site.path("made")).expect("read"), b"other");
}

/// An id comes again once its operation is forgotten, and with its place once the log is put back
/// from a copy; the image stays with its record.
#[tokio::test]
async fn an_image_that_an_earlier_operation_of_the_same_id_made_is_left_alone() {
    for which in 0..3 {
        let site = Site::new();
        let (method, kwargs) = makers(&site)[which].clone();
        site.run(method, kwargs.clone()).await.expect(method);
        let elsewhere = || Attempt::of(method).registered_at(9);
        let put_back = || Attempt::of(method).registered_later();
        for (first, second) in [(elsewhere(), elsewhere()), (put_back(), put_back())] {
            let taken = Arc::new(first).run(&*site.storage, kwargs.clone()).await;
            let failure = taken.expect_err("taken");
            let attempt = Arc::new(second.number(2));
            let reverted = attempt
                .revert(&*site.storage, kwargs.clone(), Err(failure))
                .await;
            assert_eq!(reverted, Ok(()), "{method}");
            assert_eq!(attempt.last_image_state(), "ok", "{method}");
            assert_eq!(site.files(), ["made", "source"], "{method}");
        }
    }
}

/// Earlier versions knew only the id of who made or resized an image, or not when it was registered.
#[tokio::test]
async fn a_record_that_does_not_tell_all_of_who_it_was_proves_nothing() {
    let place = [("logId", json!("log")), ("sequence", json!(1))];
    let time = [("registeredAt", json!(1_800_000_000_000_u64))];
    proves_nothing_without(&place).await;
    proves_nothing_without(&time).await;
}

async fn proves_nothing_without(missing: &[(&str, Value)]) {
    let site = Site::new();
    let create = json!({"image": "made", "sizeBytes": 10});
    let created = site.run("storage.createImage", create.clone()).await;
    let resize = json!({"image": "made", "sizeBytes": 20});
    let resized = site.run("storage.resizeImage", resize.clone()).await;
    resized.expect("resized");
    for record in [".origin/made", ".resize/made"].map(|path| site.path(path)) {
        let text = fs::read(&record).expect("record");
        let mut old: Value = serde_json::from_slice(&text).expect("JSON");
        let members = old.as_object_mut().expect("members");
        for (member, value) in missing {
            assert_eq!(members.remove(*member).as_ref(), Some(value));
        }
        fs::write(&record, old.to_string()).expect("write");
    }
    let failure = Failure::new(2001, "lost", "executorLost", true);
    let reverted = revert(&site, "storage.resizeImage", &resize, Err(failure)).await;
    assert_eq!(reverted, Ok(()));
    let reverted = revert(&site, "storage.createImage", &create, created).await;
    assert_eq!(reverted, Ok(()));
    assert_eq!(size_of(&site, "made"), 20);
}

#[tokio::test]
async fn a_resized_image_gets_its_size_back_in_either_direction() {
    for size in [2, 40] {
        let site = Site::new();
        fs::write(site.path("a"), "0123456789").expect("write");
        let kwargs = json!({"image": "a", "sizeBytes": size});
        let resized = site.run("storage.resizeImage", kwargs.clone()).await;
        let result = resized.expect("resized");
        for _ in 0..2 {
            let reverted = revert(&site, "storage.resizeImage", &kwargs, Ok(result.clone())).await;
            assert_eq!(reverted, Ok(()));
            assert_eq!(size_of(&site, "a"), 10);
        }
    }
}

/// The attempt before had resized it when the daemon was killed: the size before is on record.
#[tokio::test]
async fn a_repeated_resize_still_knows_the_size_before() {
    let site = Site::new();
    fs::write(site.path("a"), "0123456789").expect("write");
    let kwargs = json!({"image": "a", "sizeBytes": 40});
    let resized = site.run("storage.resizeImage", kwargs.clone()).await;
    resized.expect("resized");
    let site = site.reopen(|_| {});
    let attempt = Arc::new(Attempt::of("storage.resizeImage").number(2));
    let repeated = attempt.run(&*site.storage, kwargs.clone()).await;
    assert_eq!(repeated.expect("resized")["previousSizeBytes"], 10);
    let failure = Failure::new(2002, "took too long", "attemptTimedOut", true);
    let reverted = revert(&site, "storage.resizeImage", &kwargs, Err(failure)).await;
    assert_eq!(reverted, Ok(()));
    assert_eq!(size_of(&site, "a"), 10);
}

/// The attempt of the later one died before it put anything on record.
#[tokio::test]
async fn a_resize_knows_nothing_of_an_earlier_one_of_the_same_id() {
    let site = Site::new();
    fs::write(site.path("a"), "0123456789").expect("write");
    let kwargs = json!({"image": "a", "sizeBytes": 20});
    let resized = site.run("storage.resizeImage", kwargs.clone()).await;
    resized.expect("resized");
    let again = || {
        let again = || Attempt::of("storage.resizeImage").number(2);
        [again().registered_at(9), again().registered_later()].map(Arc::new)
    };
    for attempt in again() {
        let failure = Failure::new(2001, "lost", "executorLost", true);
        let reverted = attempt
            .revert(&*site.storage, kwargs.clone(), Err(failure))
            .await;
        assert_eq!(reverted, Ok(()));
        assert_eq!(attempt.last_image_state(), "ok");
        assert_eq!(size_of(&site, "a"), 20);
    }
    for (attempt, previous) in again().iter().zip([20, 30]) {
        let kwargs = json!({"image": "a", "sizeBytes": previous + 10});
        let repeated = attempt.run(&*site.storage, kwargs).await;
        assert_eq!(repeated.expect("resized")["previousSizeBytes"], previous);
    }
}

/// Both as large as the image was left and of any other size.
#[tokio::test]
async fn a_file_that_was_put_in_a_resized_image_s_place_keeps_its_size() {
    let lost = || Err(Failure::new(2001, "lost", "executorLost", true));
    for (size, is_told) in [(20, true), (20, false), (15, true), (15, false)] {
        let site = Site::new();
        fs::write(site.path("a"), "0123456789").expect("write");
        let kwargs = json!({"image": "a", "sizeBytes": 20});
        let resized = site.run("storage.resizeImage", kwargs.clone()).await;
        let outcome = if is_told { resized } else { lost() };
        fs::remove_file(site.path("a")).expect("remove");
        fs::write(site.path("a"), vec![7; size]).expect("write");
        let attempt = Arc::new(Attempt::of("storage.resizeImage").number(2));
        let reverted = attempt.revert(&*site.storage, kwargs, outcome).await;
        assert_eq!(reverted, Ok(()), "{size}, told: {is_told}");
        assert_eq!(attempt.last_image_state(), "ok");
        assert_eq!(fs::read(site.path("a")).expect("read"), vec![7; size]);
    }
}

#[tokio::test]
async fn an_image_that_was_resized_by_several_gets_each_size_back() {
    let site = Site::new();
    fs::write(site.path("a"), "0123456789").expect("write");
    let mut resized = Vec::new();
    for (sequence, size) in [(1, 20), (2, 5), (3, 30)] {
        let step = move || Attempt::of("storage.resizeImage").registered_at(sequence);
        let kwargs = json!({"image": "a", "sizeBytes": size});
        let result = Arc::new(step()).run(&*site.storage, kwargs.clone()).await;
        resized.push((step, kwargs, result));
    }
    for (size, (step, kwargs, result)) in [5, 20, 10].into_iter().zip(resized.into_iter().rev()) {
        let attempt = Arc::new(step().number(2));
        let reverted = attempt.revert(&*site.storage, kwargs, result).await;
        assert_eq!((reverted, size_of(&site, "a")), (Ok(()), size));
    }
}

/// It was put in the image's place between the two steps: that the later one resized this very file
/// says nothing of the earlier one.
#[tokio::test]
async fn a_file_that_a_later_step_resized_is_not_taken_for_the_earlier_one_s() {
    let site = Site::new();
    fs::write(site.path("a"), "0123456789").expect("write");
    let step = |sequence| Attempt::of("storage.resizeImage").registered_at(sequence);
    let first = json!({"image": "a", "sizeBytes": 20});
    let resized = Arc::new(step(1)).run(&*site.storage, first.clone()).await;
    // Both are there at once, so that they cannot be the same.
    fs::write(site.path("other"), [7; 20]).expect("write");
    fs::rename(site.path("other"), site.path("a")).expect("rename");
    let second = json!({"image": "a", "sizeBytes": 30});
    let again = Arc::new(step(2)).run(&*site.storage, second.clone()).await;
    for (sequence, kwargs, result) in [(2, second, again), (1, first, resized)] {
        let attempt = Arc::new(step(sequence).number(2));
        let reverted = attempt.revert(&*site.storage, kwargs, result).await;
        assert_eq!(reverted, Ok(()));
        assert_eq!(fs::read(site.path("a")).expect("read"), [7; 20]);
    }
}

/// Ids as long as they may be, so that the record is as long as it may be.
#[tokio::test]
async fn the_last_100_that_resized_an_image_are_remembered() {
    let site = Site::new();
    fs::write(site.path("a"), "").expect("write");
    let id = "\"\u{1f4be}".repeat(100);
    let step = |sequence| {
        let attempt = Attempt::of("storage.resizeImage").operation(&id);
        attempt.registered_at(sequence)
    };
    let kwargs = |sequence| json!({"image": "a", "sizeBytes": sequence});
    for sequence in 1..=101 {
        let attempt = Arc::new(step(sequence));
        let resized = attempt.run(&*site.storage, kwargs(sequence)).await;
        resized.expect("resized");
    }
    // That of the first is forgotten.
    for (sequence, size) in (1..=101).rev().zip((1..=100).rev().chain([1])) {
        let attempt = Arc::new(step(sequence).number(2));
        let lost = Err(Failure::new(2001, "lost", "executorLost", true));
        let reverted = attempt.revert(&*site.storage, kwargs(sequence), lost).await;
        assert_eq!((reverted, size_of(&site, "a")), (Ok(()), size));
    }
}

/// Whatever is on record: it has done nothing yet.
#[tokio::test]
async fn a_first_attempt_believes_no_record_of_its_id() {
    let site = Site::new();
    fs::write(site.path("a"), "0123456789").expect("write");
    for (size, previous) in [(40, 10), (50, 40)] {
        let kwargs = json!({"image": "a", "sizeBytes": size});
        let resized = site.run("storage.resizeImage", kwargs).await;
        assert_eq!(resized.expect("resized")["previousSizeBytes"], previous);
    }
}

#[tokio::test]
async fn a_resize_that_failed_before_it_began_is_reverted_by_nothing() {
    let site = Site::new();
    let kwargs = json!({"image": "a", "sizeBytes": 40});
    let failed = site.run("storage.resizeImage", kwargs.clone()).await;
    let failure = failed.expect_err("there is none");
    let reverted = revert(&site, "storage.resizeImage", &kwargs, Err(failure.clone())).await;
    assert_eq!(reverted, Ok(()));
    fs::write(site.path("a"), "0123456789").expect("write");
    let reverted = revert(&site, "storage.resizeImage", &kwargs, Err(failure)).await;
    assert_eq!(reverted, Ok(()));
    assert_eq!(size_of(&site, "a"), 10);
}

#[tokio::test]
async fn an_image_that_somebody_resized_since_keeps_its_size() {
    let site = Site::new();
    fs::write(site.path("a"), "0123456789").expect("write");
    let kwargs = json!({"image": "a", "sizeBytes": 40});
    let resized = site.run("storage.resizeImage", kwargs.clone()).await;
    let result = resized.expect("resized");
    fs::write(site.path("a"), "somebody else's").expect("write");
    let reverted = revert(&site, "storage.resizeImage", &kwargs, Ok(result)).await;
    let failure = reverted.clone().expect_err("resized since");
    assert_eq!(refused(reverted), is(3017, "imageResized"));
    assert!(
        failure.message.contains("15 bytes") && failure.message.contains("10 bytes"),
        "{}",
        failure.message
    );
    assert_eq!(size_of(&site, "a"), 15);
}

#[tokio::test]
async fn an_overlay_is_removed_and_an_image_that_others_are_built_on_is_not() {
    let Some(site) = qemu::site() else { return };
    let base = json!({"image": "base", "sizeBytes": MIB, "format": "qcow2"});
    let create = "storage.createImage";
    let made = site.run(create, base.clone()).await.expect("made");
    let overlay = json!({"image": "top", "backingImage": "base"});
    let attempt = Arc::new(Attempt::of("storage.createOverlay").operation("top"));
    let result = attempt.run(&*site.storage, overlay.clone()).await;
    let result = result.expect("made");
    let reverted = revert(&site, create, &base, Ok(made.clone())).await;
    assert_eq!(refused(reverted), is(3008, "imageHasDependants"));
    let attempt = Arc::new(
        Attempt::of("storage.createOverlay")
            .operation("top")
            .number(2),
    );
    let reverted = attempt.revert(&*site.storage, overlay, Ok(result)).await;
    assert_eq!(reverted, Ok(()));
    assert_eq!(site.files(), [".qcow2/base"]);
    assert_eq!(revert(&site, create, &base, Ok(made)).await, Ok(()));
    assert!(site.files().is_empty());
}

#[tokio::test]
async fn a_qcow2_image_gets_its_size_back() {
    let Some(site) = qemu::site() else { return };
    let create = json!({"image": "a", "sizeBytes": MIB, "format": "qcow2"});
    let made = site.run("storage.createImage", create).await;
    made.expect("made");
    // Rounded up to whole sectors.
    let kwargs = json!({"image": "a", "sizeBytes": 2 * MIB + 5});
    let resized = site.run("storage.resizeImage", kwargs.clone()).await;
    assert_eq!(resized.expect("resized")["sizeBytes"], 2 * MIB + 512);
    let failure = Failure::new(2001, "lost", "executorLost", true);
    let reverted = revert(&site, "storage.resizeImage", &kwargs, Err(failure)).await;
    assert_eq!(reverted, Ok(()));
    assert_eq!(site.info("a").await.expect("info")["sizeBytes"], MIB);
}

#[tokio::test]
async fn what_cannot_be_reverted_says_so() {
    let site = Site::new();
    let kwargs = json!({"image": "a"});
    let reverted = revert(&site, "storage.deleteImage", &kwargs, Ok(json!({}))).await;
    assert_eq!(refused(reverted), is(-32601, "methodNotFound"));
}
