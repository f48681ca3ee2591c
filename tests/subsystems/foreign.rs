//! Imports of qcow2 files: only what is whole by itself, and what the file says it is built on is
//! never opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opstead_core::Failure;
use serde_json::{Value, json};

use crate::support::qemu::{self, content, corrupt, run_qemu};
use crate::support::{Attempt, MIB, Site, is, refusal, write_sparse};

async fn import(site: &Site, path: &Path, format: &str) -> Result<Value, Failure> {
    let kwargs = json!({"image": "a", "path": path, "format": format});
    site.run("storage.importImage", kwargs).await
}

/// A qcow2 file to import, with these options.
fn make(site: &Site, name: &str, options: &[&str]) -> PathBuf {
    let path = site.imports().join(name);
    let create = [&["create", "-q", "-f", "qcow2"], options].concat();
    run_qemu("qemu-img", &create, &[&path, Path::new("8M")]);
    path
}

#[tokio::test]
async fn an_imported_qcow2_file_stays_as_it_is() {
    let Some(site) = qemu::site() else { return };
    let raw = site.root.path().join("raw");
    write_sparse(&raw).expect("write");
    for options in [&["-o", "compat=0.10"][..], &["-c"], &[]] {
        let path = site.imports().join("file");
        let convert = [&["convert", "-f", "raw", "-O", "qcow2"], options].concat();
        run_qemu("qemu-img", &convert, &[&raw, &path]);
        let attempt = Arc::new(Attempt::of("storage.importImage"));
        let kwargs = json!({"image": "a", "path": path, "format": "qcow2"});
        let result = attempt.run(&*site.storage, kwargs).await;
        let expected = json!({"image": "a", "sizeBytes": 64 * MIB});
        assert_eq!(result.expect("imported"), expected);
        assert_eq!(attempt.last_image_state(), "ok");
        assert!(fs::read(&path).expect("read") == fs::read(site.qcow2("a")).expect("read"));
        assert!(content(&site, "a") == fs::read(&raw).expect("read"));
        let deleted = site.run("storage.deleteImage", json!({"image": "a"})).await;
        deleted.expect("deleted");
    }
}

/// Without a word about its format a file is raw, whatever it looks like.
#[tokio::test]
async fn nobody_guesses_what_a_file_is() {
    let Some(site) = qemu::site() else { return };
    let path = make(&site, "file", &[]);
    let kwargs = json!({"image": "a", "path": path});
    let result = site.run("storage.importImage", kwargs).await;
    let length = fs::metadata(&path).expect("file").len();
    assert_eq!(result.expect("imported")["sizeBytes"], length);
    assert_eq!(site.info("a").await.expect("info")["format"], "raw");
}

#[tokio::test]
async fn a_file_that_would_have_other_files_read_is_refused() {
    let Some(site) = qemu::site() else { return };
    let secret = site.root.path().join("secret");
    fs::write(&secret, vec![b'!'; 8 * MIB as usize]).expect("write");
    let secret = secret.to_str().expect("UTF-8");
    let json =
        format!(r#"json:{{"driver":"raw","file":{{"driver":"file","filename":"{secret}"}}}}"#);
    let data_file = format!("data_file={secret},data_file_raw=on");
    for (name, options, wanted) in [
        ("absolute", &["-F", "raw", "-b", secret][..], "built on"),
        ("json", &["-u", "-F", "raw", "-b", &json], "built on"),
        ("outside", &["-u", "-F", "raw", "-b", "../base"], "built on"),
        ("data", &["-o", &data_file], "in another file"),
    ] {
        let path = make(&site, name, options);
        let failure = import(&site, &path, "qcow2").await.expect_err(name);
        assert!(failure.message.contains(wanted), "{name}: {failure:?}");
        assert_eq!(refusal(Err(failure)), is(3016, "notImportable"), "{name}");
        assert!(site.files().is_empty());
    }
}

#[tokio::test]
async fn a_file_that_is_no_whole_qcow2_image_is_refused() {
    let Some(site) = qemu::site() else { return };
    let path = site.imports().join("file");
    type Spoil = fn(&mut Vec<u8>);
    let spoils: [(&str, Spoil); 6] = [
        ("raw", |bytes| bytes.fill(1)),
        ("empty", |bytes| bytes.clear()),
        ("short", |bytes| bytes.truncate(80)),
        ("version", |bytes| bytes[7] = 1),
        ("feature", |bytes| bytes[72] = 1),
        ("encrypted", |bytes| bytes[35] = 1),
    ];
    for (name, spoil) in spoils {
        let mut bytes = fs::read(make(&site, "good", &[])).expect("read");
        spoil(&mut bytes);
        fs::write(&path, bytes).expect("write");
        let outcome = import(&site, &path, "qcow2").await;
        assert_eq!(refusal(outcome), is(3016, "notImportable"), "{name}");
    }
    let good = make(&site, "good", &[]);
    run_qemu(
        "qemu-io",
        &["-f", "qcow2", "-c", "write -q -P 9 1M 2M"],
        &[&good],
    );
    corrupt(&good);
    let failure = import(&site, &good, "qcow2").await.expect_err("corrupt");
    assert!(failure.message.contains("corrupt"), "{failure:?}");
    assert_eq!(refusal(Err(failure)), is(3016, "notImportable"));
    // It says that it is larger than anything can be.
    let mut bytes = fs::read(make(&site, "good", &[])).expect("read");
    bytes[24..32].copy_from_slice(&(1_u64 << 60).to_be_bytes());
    fs::write(&path, bytes).expect("write");
    let outcome = import(&site, &path, "qcow2").await;
    assert_eq!(refusal(outcome), is(3006, "imageTooLarge"));
    assert!(site.files().is_empty());
}
