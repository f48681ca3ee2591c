//! `serve`, as far as its command line goes.

use super::support::{Daemon, Ran, program};

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let daemon = Daemon::start();
    let mut second = program();
    second
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(daemon.folder().join("data"));
    let ran = Ran::of(&mut second);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("opstead: "), "{ran:?}");
    assert_eq!(daemon.run(&["status"]).code, 0);
}

#[test]
fn a_wrong_configuration_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("opstead.toml");
    std::fs::write(&config, "[storage]\nfrobnicate = 1\n").unwrap();
    let mut serve = program();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    serve
        .arg(folder.path().join("data"))
        .arg("--config")
        .arg(&config);
    let ran = Ran::of(&mut serve);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("frobnicate"), "{ran:?}");
}

#[test]
fn help_tells_the_exit_codes() {
    for arguments in [&["--help"][..], &["call", "--help"], &["wait", "--help"]] {
        let ran = Ran::of(program().args(arguments));
        assert_eq!(ran.code, 0);
        for code in [
            "0  done",
            "65  rejected",
            "69  unreachable",
            "75  timed out",
            "77  not permitted",
        ] {
            assert!(ran.stdout.contains(code), "{arguments:?}: {ran:?}");
        }
    }
}
