//! What bash needs done for it. It splits words at more than blanks, hands them over with their
//! quotes, and inserts what it is told as it stands; so it gives the whole line, and gets what is
//! to be inserted, quoted.

use std::ffi::OsString;
use std::io;

use clap::Command;
use clap_complete::engine::complete;

use super::line::{Line, unquoted};
use super::{PROGRAM, VARIABLE};

/// `$2` is the part of the word that bash will replace.
const SCRIPT: &str = r#"_PROGRAM() {
    mapfile -t COMPREPLY < <(VARIABLE=bash COMPLETER -- "$COMP_LINE" "$COMP_POINT" "$2" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F _PROGRAM PROGRAM
"#;

/// Characters that mean themselves to a shell.
const SAFE: &str = "_./:=@%+,-";

/// What bash is to read at its start.
pub(super) fn script(completer: &str) -> String {
    let quoted = shlex::try_quote(completer).unwrap_or_default();
    SCRIPT
        .replace("VARIABLE", VARIABLE)
        .replace("PROGRAM", PROGRAM)
        .replace("COMPLETER", &quoted)
}

/// What can stand in place of the part of the word that bash will replace, a line each.
pub(super) fn completions(
    command: &mut Command,
    line: &Line,
    replaced: &str,
) -> io::Result<Vec<u8>> {
    let words = line.words().iter().map(OsString::from).collect();
    let folder = std::env::current_dir().ok();
    let candidates = complete(command, words, line.index(), folder.as_deref())?;
    let kept = line.written().strip_suffix(replaced).unwrap_or_default();
    let kept = unquoted(kept);
    let mut answer = Vec::new();
    for candidate in candidates {
        let rest = candidate.get_value().to_str();
        let rest = rest.and_then(|value| value.strip_prefix(kept.as_str()));
        if let Some(rest) = rest.and_then(|rest| quoted(rest, line.quote())) {
            answer.extend_from_slice(rest.as_bytes());
            answer.push(b'\n');
        }
    }
    Ok(answer)
}

/// A text as it is typed; nothing if it cannot be.
fn quoted(text: &str, quote: Option<char>) -> Option<String> {
    let is_safe = |c: char| c.is_alphanumeric() || SAFE.contains(c);
    if text.chars().any(char::is_control) {
        return None;
    }
    if quote.is_some() {
        let means_itself = |c: char| c == ' ' || is_safe(c);
        return text.chars().all(means_itself).then(|| text.to_owned());
    }
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if !is_safe(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn completed(text: &str, replaced: &str, values: &'static [&'static str]) -> String {
        let value = Arg::new("value").value_parser(values.to_vec());
        let mut command = Command::new(PROGRAM).disable_help_flag(true).arg(value);
        let line = Line::parse(text, text.chars().count());
        let answer = completions(&mut command, &line, replaced).unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn only_what_is_replaced_is_given() {
        let values = &["ws://a", "ws://b", "wt"];
        assert_eq!(completed("opstead w", "w", values), "ws://a\nws://b\nwt\n");
        assert_eq!(completed("opstead ws:", "", values), "//a\n//b\n");
        assert_eq!(completed("opstead ws://a", "//a", values), "//a\n");
    }

    /// What others chose as a name must not become a command.
    #[test]
    fn what_means_something_to_the_shell_is_quoted() {
        let values = &["a b", "a$(x)", "a'", "é"];
        assert_eq!(
            completed("opstead a", "a", values),
            "a\\ b\na\\$\\(x\\)\na\\'\n"
        );
        assert_eq!(completed("opstead a\\ ", "a\\ ", values), "a\\ b\n");
        assert_eq!(completed("opstead \"a", "a", values), "a b\n");
        assert_eq!(completed("opstead 'a", "'a", values), "a b\n");
        assert_eq!(completed("opstead é", "é", values), "é\n");
    }
}
