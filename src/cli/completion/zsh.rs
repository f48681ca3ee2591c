//! What zsh needs done for it. It quotes what it inserts, but puts a blank behind each word, also
//! where the word has only begun.

use std::ffi::OsString;
use std::io;

use clap::Command;
use clap_complete::engine::complete;

use super::line::Line;
use super::{PROGRAM, VARIABLE};
use crate::cli::output::plain;

/// What ends with `=` or `/` goes on.
const SCRIPT: &str = r#"#compdef PROGRAM
_PROGRAM() {
    local -a found whole begun
    found=("${(@f)$(VARIABLE=zsh COMPLETER -- $((CURRENT - 1)) "${words[@]}" 2>/dev/null)}")
    whole=("${(@)found:#(|*[=\/](|:*))}")
    begun=("${(@M)found:#*[=\/](|:*)}")
    (( $#whole )) && _describe -V 'values' whole
    (( $#begun )) && _describe -V 'values' begun -S ''
}
compdef _PROGRAM PROGRAM
"#;

/// What zsh is to read at its start.
pub(super) fn script(completer: &str) -> String {
    let quoted = shlex::try_quote(completer).unwrap_or_default();
    SCRIPT
        .replace("VARIABLE", VARIABLE)
        .replace("PROGRAM", PROGRAM)
        .replace("COMPLETER", &quoted)
}

/// What can stand in place of the word, as `word:what it is`, a line each.
pub(super) fn completions(command: &mut Command, line: &Line) -> io::Result<Vec<u8>> {
    let words = line.words().iter().map(OsString::from).collect();
    let folder = std::env::current_dir().ok();
    let candidates = complete(command, words, line.index(), folder.as_deref())?;
    let mut answer = String::new();
    for candidate in candidates {
        let Some(value) = candidate.get_value().to_str() else {
            continue;
        };
        if value.contains(char::is_control) {
            continue;
        }
        answer.push_str(&value.replace('\\', r"\\").replace(':', r"\:"));
        if let Some(help) = candidate.get_help() {
            let help = help.to_string();
            let first = help.lines().next().unwrap_or_default();
            answer.push(':');
            answer.push_str(&plain(first));
        }
        answer.push('\n');
    }
    Ok(answer.into_bytes())
}
