//! What a shell completes. A script makes the shell ask this program, with the command line so far;
//! the program knows its commands and options, and asks the daemon for the names of methods,
//! operations and objects. Nothing is said on stderr, and a daemon that does not answer soon is
//! passed over.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `line` | the command line that is being typed, as words |
//! | `bash`, `zsh` | what these need done for them |
//! | `names` | what is asked from the daemon |

mod bash;
mod line;
mod names;
mod zsh;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Command, ValueEnum};
use clap_complete::env::{EnvCompleter, Fish};

use super::arguments::Shell;
use line::{Line, unquoted};

/// What the commands are typed as.
const PROGRAM: &str = "opstead";
/// Names the shell that asks.
const VARIABLE: &str = "_OPSTEAD_COMPLETE";

/// What the shell is to read at its start.
pub(super) fn script(shell: Shell) -> io::Result<String> {
    let completer = own_path();
    match shell {
        Shell::Bash => Ok(bash::script(&completer)),
        Shell::Zsh => Ok(zsh::script(&completer)),
        Shell::Fish => {
            let mut script = Vec::new();
            Fish.write_registration(VARIABLE, PROGRAM, PROGRAM, &completer, &mut script)?;
            String::from_utf8(script).map_err(io::Error::other)
        }
    }
}

/// Answers a shell that asks; false if none does, and the program was started for something else.
pub(super) fn answer(command: fn() -> Command) -> bool {
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
    let answer = shell.and_then(|shell| completions(shell, command(), asked));
    // Nobody to tell if that fails.
    let _nobody_reads = io::stdout().write_all(&answer.unwrap_or_default());
    true
}

fn completions(shell: Shell, command: Command, mut asked: Vec<String>) -> Option<Vec<u8>> {
    match shell {
        Shell::Bash => {
            let [text, point, replaced] = asked.try_into().ok()?;
            let line = Line::parse(&text, point.parse().ok()?);
            let mut command = names::with_names(command, &line);
            bash::completions(&mut command, &line, &replaced).ok()
        }
        Shell::Zsh => {
            let words = asked.split_off(asked.len().min(1));
            let words = words.iter().map(|word| unquoted(word)).collect();
            let line = Line::of_words(words, asked.first()?.parse().ok()?)?;
            let mut command = names::with_names(command, &line);
            zsh::completions(&mut command, &line).ok()
        }
        Shell::Fish => {
            // The words are those before the cursor; only the last still has its quotes.
            let current = unquoted(&asked.pop()?);
            let index = asked.len();
            asked.push(current);
            let line = Line::of_words(asked, index)?;
            let mut command = names::with_names(command, &line);
            let words = line.words().iter().map(OsString::from).collect();
            let folder = env::current_dir().ok();
            let mut answer = Vec::new();
            Fish.write_complete(&mut command, words, folder.as_deref(), &mut answer)
                .ok()?;
            Some(answer)
        }
    }
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
