//! What goes to stdout: lines for a person, or JSON. Lines may hold text of others, so whatever a
//! terminal would obey is escaped as they are written. Colours are for terminals only, and few.

use std::io::{self, Write};

use serde::Serialize;

use super::error::CliError;
use super::terminal::Terminal;

/// Writes lines; a person's and a program's never mix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    terminal: Option<Terminal>,
}

/// A line for a person: pieces of text, each in its style.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Style, String)>);

/// How a piece of text looks on a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Style {
    #[default]
    Plain,
    Heading,
    Good,
    Waiting,
    Bad,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            terminal: Terminal::of(io::stdout()),
        }
    }

    /// One JSON document on a line, or the lines that a person reads instead.
    pub(super) fn show<T: Serialize + ?Sized, L: Into<Line>>(
        self,
        value: &T,
        lines: impl FnOnce() -> Vec<L>,
    ) -> Result<(), CliError> {
        if self.json {
            let mut stdout = io::stdout().lock();
            serde_json::to_writer(&mut stdout, value).map_err(io::Error::from)?;
            writeln!(stdout)?;
            return Ok(stdout.flush()?);
        }
        self.write(lines())
    }

    /// Lines for a person; nothing where JSON is wanted.
    pub(super) fn say<L: Into<Line>>(self, lines: Vec<L>) -> Result<(), CliError> {
        if self.json { Ok(()) } else { self.write(lines) }
    }

    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// How many characters fit on a line; as many as there are, where nobody looks on.
    pub(super) fn columns(self) -> Option<usize> {
        self.terminal.map(|terminal| terminal.columns)
    }

    fn write<L: Into<Line>>(self, lines: Vec<L>) -> Result<(), CliError> {
        let colours = self.terminal.is_some_and(|terminal| terminal.colours);
        let mut stdout = io::stdout().lock();
        for line in lines {
            writeln!(stdout, "{}", line.into().written(colours))?;
        }
        Ok(stdout.flush()?)
    }
}

/// A line on stderr. Somebody who is gone is nobody to tell.
pub(super) fn note(line: &str) {
    let _gone = writeln!(io::stderr(), "{}", plain(line));
}

impl Line {
    /// With more text at its end.
    pub(super) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// Its text alone.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.written(false)
    }

    /// With the colours that a terminal understands, or without.
    pub(super) fn written(&self, colours: bool) -> String {
        let piece = |(style, text): &(Style, String)| match style.code() {
            Some(code) if colours && !text.is_empty() => {
                format!("\u{1b}[{code}m{}\u{1b}[0m", plain(text))
            }
            _ => plain(text),
        };
        self.0.iter().map(piece).collect()
    }
}

impl<T: Into<String>> From<T> for Line {
    fn from(text: T) -> Self {
        Self(vec![(Style::Plain, text.into())])
    }
}

impl Style {
    const fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Heading => Some(1),
            Self::Bad => Some(31),
            Self::Good => Some(32),
            Self::Waiting => Some(33),
        }
    }
}

/// Text of others on one line, without what a terminal would obey: control characters, and marks
/// that change the direction of writing, are escaped.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded_by_others() {
        assert_eq!(
            plain("vm\u{1b}[2J\r\n é\u{9b}\u{202e}"),
            r"vm\u{1b}[2J\r\n é\u{9b}\u{202e}"
        );
    }

    #[test]
    fn colours_are_our_own_and_only_where_wanted() {
        let line = Line::from("a\u{1b}[31m ").and(Style::Bad, "failed\n");
        assert_eq!(line.written(false), r"a\u{1b}[31m failed\n");
        assert_eq!(
            line.written(true),
            "a\\u{1b}[31m \u{1b}[31mfailed\\n\u{1b}[0m"
        );
    }
}
