//! What a shell completes. A script makes the shell ask this program, with the command line so far;
//! the program knows its commands and options, and asks the daemon for the names of methods,
//! operations and objects. Nothing is said on stderr, and a daemon that does not answer soon is
//! passed over.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `line` | the command line that is being typed, as words |
//! | `bash` | what bash needs done for it |
//! | `names` | what is asked from the daemon |

mod bash;
mod line;
mod names;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Command, ValueEnum};
use clap_complete::env::{EnvCompleter, Fish, Zsh};

use super::arguments::Shell;
use line::Line;

/// What the commands are typed as.
const PROGRAM: &str = "opstead";
/// Names the shell that asks.
const VARIABLE: &str = "_OPSTEAD_COMPLETE";
/// The place of the word that is being typed, as the script for zsh says it.
const INDEX_VARIABLE: &str = "_CLAP_COMPLETE_INDEX";

/// What the shell is to read at its start.
pub(super) fn script(shell: Shell) -> io::Result<String> {
    let completer = own_path();
    let mut script = Vec::new();
    match shell {
        Shell::Bash => return Ok(bash::script(&completer)),
        Shell::Zsh => Zsh.write_registration(VARIABLE, PROGRAM, PROGRAM, &completer, &mut script),
        Shell::Fish => Fish.write_registration(VARIABLE, PROGRAM, PROGRAM, &completer, &mut script),
    }?;
    String::from_utf8(script).map_err(io::Error::other)
}

/// Answers a shell that asks; false if none does, and the program was started for something else.
pub(super) fn answer(command: Command) -> bool {
    let Some(shell) = env::var_os(VARIABLE) else {
        return false;
    };
    let asked = env::args_os().skip_while(|word| word != "--").skip(1);
    let asked: Vec<String> = asked
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let shell = shell
        .to_str()
        .and_then(|shell| Shell::from_str(shell, true).ok());
    let answer = shell.and_then(|shell| completions(shell, command, asked));
    // Nobody to tell if that fails.
    let _nobody_reads = io::stdout().write_all(&answer.unwrap_or_default());
    true
}

fn completions(shell: Shell, command: Command, asked: Vec<String>) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    match shell {
        Shell::Bash => {
            let [text, point, replaced] = asked.try_into().ok()?;
            let line = Line::parse(&text, point.parse().ok()?);
            let mut command = names::with_names(command, &line);
            answer = bash::completions(&mut command, &line, &replaced).ok()?;
        }
        Shell::Zsh | Shell::Fish => {
            let index = env::var(INDEX_VARIABLE)
                .ok()
                .and_then(|index| index.parse().ok());
            let line = Line::of_words(asked, index)?;
            let mut command = names::with_names(command, &line);
            let completer: &dyn EnvCompleter = match shell {
                Shell::Fish => &Fish,
                _ => &Zsh,
            };
            let folder = env::current_dir().ok();
            let words: Vec<OsString> = line.words().iter().map(OsString::from).collect();
            completer
                .write_complete(&mut command, words, folder.as_deref(), &mut answer)
                .ok()?;
        }
    }
    Some(answer)
}

/// How the shell is to call this program: as it was called now, and from everywhere.
fn own_path() -> String {
    let called = env::args_os().next().unwrap_or_else(|| PROGRAM.into());
    let path = std::path::Path::new(&called);
    let path = match (path.components().count(), env::current_dir()) {
        (2.., Ok(folder)) => folder.join(path),
        _ => path.to_owned(),
    };
    path.to_string_lossy().into_owned()
}
