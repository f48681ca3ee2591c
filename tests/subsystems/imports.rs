//! Imports: only regular files that really lie in an allowed folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use opstead_core::Failure;
use serde_json::{Value, json};

use crate::support::{Attempt, MIB, Site, allocated_bytes, is, refusal, write_sparse};

async fn import(site: &Site, path: &Path) -> Result<Value, Failure> {
    let kwargs = json!({"image": "a", "path": path});
    site.run("storage.importImage", kwargs).await
}

#[tokio::test]
async fn an_imported_file_is_equal_and_stays_sparse() {
    let site = Site::new();
    let file = site.imports().join("deep/er/file");
    fs::create_dir_all(file.parent().expect("parent")).expect("folders");
    write_sparse(&file).expect("write");
    let attempt = Arc::new(Attempt::of("storage.importImage"));
    let kwargs = json!({"image": "a", "path": file});
    let result = attempt.run(&*site.storage, kwargs).await.expect("imported");
    assert_eq!(result, json!({"image": "a", "sizeBytes": 64 * MIB}));
    assert!(
        fs::read(&file).expect("file") == fs::read(site.path("a")).expect("image"),
        "the import differs"
    );
    assert!(allocated_bytes(&site.path("a")) < 13 * MIB);
    assert_eq!(attempt.last_image_state(), "ok");
}

#[tokio::test]
async fn a_symlink_that_leads_into_an_allowed_folder_is_good() {
    let site = Site::new();
    fs::write(site.imports().join("file"), "import").expect("write");
    let link = site.root.path().join("link");
    symlink(site.imports().join("file"), &link).expect("link");
    import(&site, &link).await.expect("imported");
    assert_eq!(fs::read(site.path("a")).expect("read"), b"import");
}

#[tokio::test]
async fn nothing_outside_the_allowed_folders_is_imported() {
    let site = Site::new();
    let imports = site.imports();
    let outside = site.root.path().join("outside");
    fs::create_dir(&outside).expect("folder");
    fs::write(outside.join("secret"), "secret").expect("write");
    fs::create_dir(site.root.path().join("imports-too")).expect("folder");
    fs::write(site.root.path().join("imports-too/secret"), "secret").expect("write");
    symlink(outside.join("secret"), imports.join("link")).expect("link");
    symlink(&outside, imports.join("folder-link")).expect("link");
    symlink("loop", imports.join("loop")).expect("link");
    fs::create_dir(imports.join("folder")).expect("folder");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        imports.join("fifo"),
        rustix::fs::Mode::RWXU,
    )
    .expect("fifo");
    for path in [
        outside.join("secret"),
        site.root.path().join("imports-too/secret"),
        imports.join("../outside/secret"),
        imports.join("folder/../../outside/secret"),
        imports.join("link"),
        imports.join("folder-link/secret"),
        imports.join("loop"),
        imports.join("missing"),
        imports.join("folder"),
        imports.join("fifo"),
        imports.join("nul\0l"),
        imports.clone(),
        "imports/file".into(),
        "/dev/zero".into(),
        "/etc/passwd".into(),
        "/proc/self/environ".into(),
    ] {
        let outcome = import(&site, &path).await;
        assert_eq!(refusal(outcome), is(3003, "importNotAllowed"), "{path:?}");
    }
    assert!(site.files().is_empty());
}

#[tokio::test]
async fn without_import_folders_nothing_is_imported() {
    let site = Site::with(|config| config.import_folders.clear());
    fs::write(site.imports().join("file"), "import").expect("write");
    let outcome = import(&site, &site.imports().join("file")).await;
    assert_eq!(refusal(outcome), is(3003, "importNotAllowed"));
}

/// What is wrong, and what is allowed. Outside the folders nobody learns what is there.
#[tokio::test]
async fn a_refused_import_says_why_and_names_the_folders() {
    let site = Site::new();
    let imports = site.imports();
    fs::create_dir(imports.join("folder")).expect("folder");
    symlink("/etc/passwd", imports.join("link")).expect("link");
    symlink("/nowhere", imports.join("dangling")).expect("link");
    let elsewhere = "no regular file, or a symlink leads elsewhere";
    for (path, wanted) in [
        ("imports/file".into(), "not an absolute path"),
        (imports.join("missing"), "no such file"),
        (imports.join("missing/file"), "no such file"),
        (imports.join("folder"), elsewhere),
        (imports.join("link"), elsewhere),
        (imports.join("dangling"), elsewhere),
        (imports.join("../passwd"), "`..`"),
        ("/etc/passwd".into(), "in none of these"),
        ("/nowhere".into(), "in none of these"),
    ] {
        let message = import(&site, &path).await.expect_err("refused").message;
        assert!(message.contains(wanted), "{path:?}: {message}");
        assert!(message.contains(&format!("{imports:?}")), "{message}");
        assert!(message.contains("`import_folders`"), "{message}");
    }
    let site = Site::with(|config| config.import_folders.clear());
    let refused = import(&site, &imports.join("file")).await;
    let message = refused.expect_err("refused").message;
    assert!(message.contains("from no folder"), "{message}");
}
