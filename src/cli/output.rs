//! What goes to stdout: lines for a person, or JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::error::CliError;

/// Writes lines; a person's and a program's never mix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// One JSON document on a line, or the lines that a person reads instead.
    pub(super) fn show<T: Serialize + ?Sized>(
        self,
        value: &T,
        lines: impl FnOnce() -> Vec<String>,
    ) -> Result<(), CliError> {
        if self.json {
            let text = serde_json::to_string(value).map_err(io::Error::from)?;
            return write(&[text]);
        }
        write(&lines())
    }

    /// Lines for a person; nothing where JSON is wanted.
    pub(super) fn say(self, lines: &[String]) -> Result<(), CliError> {
        if self.json { Ok(()) } else { write(lines) }
    }

    pub(super) const fn is_json(self) -> bool {
        self.json
    }
}

/// A line on stderr. Somebody who is gone is nobody to tell.
pub(super) fn note(line: &str) {
    let _gone = writeln!(io::stderr(), "{}", plain(line));
}

fn write(lines: &[String]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    Ok(stdout.flush()?)
}

/// Text of others without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded_by_others() {
        assert_eq!(plain("vm\u{1b}[2J\r é"), "vm\u{fffd}[2J\u{fffd} é");
    }
}
