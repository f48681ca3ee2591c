//! `completions`: what real shells make of the scripts.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use super::support::{Daemon, program};

/// The daemon is given a second to answer who types, which a busy machine may not keep.
const TRIES: usize = 60;

/// The function is called as bash calls it: with the line, and the part that it will replace.
const BASH: &str = r#"
source <(opstead completions bash)
COMP_LINE=$1 COMP_POINT=${#2}
_opstead opstead "$3"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// zsh's own functions are for a line that is edited; here they only say what they are given.
const ZSH: &str = r#"
compdef() { }
_describe() { print -rl -- "${(@P)argv[3]}" "${(@)argv[4,-1]}" }
source <(opstead completions zsh)
words=("${@:2}") CURRENT=$1
_opstead
"#;

const FISH: &str = "opstead completions fish | source; complete --do-complete $argv[1]";

/// A shell that finds the program, but no daemon.
fn shell(name: &str, arguments: &[&str]) -> Command {
    let program = program();
    let bin = Path::new(program.get_program()).parent().unwrap();
    let mut shell = Command::new(name);
    shell.args(arguments).env(
        "PATH",
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()),
    );
    for variable in [
        "OPSTEAD_CONNECT",
        "OPSTEAD_DATA",
        "OPSTEAD_TOKEN",
        "OPSTEAD_TOKEN_FILE",
    ] {
        shell.env_remove(variable);
    }
    shell.stdin(std::process::Stdio::null());
    shell
}

fn lines(output: Output) -> Vec<String> {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What bash offers where `|` is, of which it replaces what stands behind the last of its breaks.
pub(crate) fn bash(line: &str) -> Command {
    let (before, after) = line.split_once('|').unwrap();
    let replaced = before.rsplit([' ', '=', ':', '"', '\'']).next().unwrap();
    let whole = format!("{before}{after}");
    shell(
        "bash",
        &[
            "--norc",
            "--noprofile",
            "-c",
            BASH,
            "bash",
            &whole,
            before,
            replaced,
        ],
    )
}

/// What is offered once the daemon has answered in time.
pub(crate) fn eventually(mut command: impl FnMut() -> Command, wanted: &str) -> Vec<String> {
    let mut offered = Vec::new();
    for _ in 0..TRIES {
        offered = lines(command().output().unwrap());
        if offered.iter().any(|line| line.starts_with(wanted)) {
            return offered;
        }
    }
    panic!("{wanted} is not offered: {offered:?}");
}

#[test]
fn bash_completes_commands_options_and_words() {
    assert_eq!(lines(bash("opstead sh|").output().unwrap()), ["show"]);
    assert_eq!(
        lines(bash("opstead list --st|").output().unwrap()),
        ["--state"]
    );
    let states = lines(bash("opstead list --state c|").output().unwrap());
    assert_eq!(states, ["canceling", "completed", "canceled"]);
    assert_eq!(
        lines(bash("opstead completions f|").output().unwrap()),
        ["fish"]
    );
    // Where there is no daemon, or one that does not answer, nothing is said of it.
    let folder = tempfile::TempDir::new().unwrap();
    let line = format!("opstead show x| --data {}", folder.path().display());
    assert!(lines(bash(&line).output().unwrap()).is_empty());
    let _silent = UnixListener::bind(folder.path().join("opstead.sock")).unwrap();
    assert!(lines(bash(&line).output().unwrap()).is_empty());
}

#[test]
fn bash_completes_what_the_daemon_of_the_line_knows() {
    let daemon = Daemon::start();
    daemon.json(&[
        "call",
        "storage.createImage",
        "image=a",
        "sizeBytes=4096",
        "--wait",
    ]);
    daemon.hold("open one", "a", "read");
    daemon.hold("open$(two)", "b", "read");
    daemon.json(&["call", "diagnostic.noop", "--id", "over", "--wait"]);
    let data = daemon.folder().join("data");
    let data = data.to_str().unwrap();
    let token = format!("{data}/admin.token");
    let over_tcp = format!("--connect {} --token-file {token}", daemon.url);
    for daemon in [
        format!("--data '{data}'"),
        format!("--data={data}"),
        over_tcp,
    ] {
        for (line, offered) in [
            ("show @ o|", &["open\\ one", "open\\$\\(two\\)", "over"][..]),
            ("show ov| @", &["over"]),
            ("cancel @ o|", &["open\\ one", "open\\$\\(two\\)"]),
            (
                "call @ storage.cr|",
                &["storage.createImage", "storage.createOverlay"],
            ),
            ("call @ storage.createImage image=a s|", &["sizeBytes="]),
            ("call @ diagnostic.noop --after ov|", &["over"]),
            ("call @ system.|", &["system.status"]),
            ("watch @ storage.I|", &["storage.Image.a"]),
            ("tasks @ --resource image:|", &["a", "b"]),
            ("list @ --subsystem s|", &["storage"]),
        ] {
            let line = format!("opstead {}", line.replace('@', &daemon));
            let found = eventually(|| bash(&line), offered[0]);
            assert_eq!(found, offered, "{line}");
        }
    }
}

#[test]
fn zsh_and_fish_complete_too() {
    let daemon = Daemon::start();
    daemon.json(&["call", "diagnostic.noop", "--id", "over:1", "--wait"]);
    let data = daemon.folder().join("a folder");
    symlink(daemon.folder().join("data"), &data).unwrap();
    let data = &format!("'{}'", data.display());
    if is_there("zsh") {
        let zsh = |words: &[&str]| {
            let place = words.len().to_string();
            let words = [
                &["-f", "-c", ZSH, "zsh", &place][..],
                words,
                &["--data", data],
            ];
            shell("zsh", &words.concat())
        };
        let show = || zsh(&["opstead", "show", "ov"]);
        assert_eq!(eventually(show, "over"), ["over\\:1:diagnostic.noop"]);
        // No blank is put behind what goes on.
        let call = || zsh(&["opstead", "call", "diagnostic.wait", "se"]);
        assert_eq!(
            eventually(call, "seconds"),
            ["seconds=:without it, until canceled", "-S"]
        );
        let none = lines(zsh(&["opstead", "show", "x"]).output().unwrap());
        assert!(none.is_empty(), "{none:?}");
    }
    if is_there("fish") {
        for begins in ["ov", ""] {
            let line = format!("opstead show --data {data} {begins}");
            let fish = || {
                let mut fish = shell("fish", &["--no-config", "-c", FISH, &line]);
                fish.env("HOME", daemon.folder());
                fish
            };
            assert_eq!(eventually(fish, "over"), ["over:1\tdiagnostic.noop"]);
        }
    }
}

fn is_there(shell: &str) -> bool {
    let there = Command::new(shell).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: there is no {shell}");
    }
    there
}
