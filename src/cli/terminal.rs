//! What is known of the terminal that is written to, if it is one.

use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// A terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terminal {
    /// How many characters fit on a line.
    pub(super) columns: usize,
    /// How many lines there are.
    pub(super) rows: usize,
    /// Whether it is to be written to in colours.
    pub(super) colours: bool,
}

/// Where a terminal does not say how wide it is.
const COLUMNS: usize = 80;
/// Or how high.
const ROWS: usize = 24;

impl Terminal {
    /// The terminal that a stream is; none if it is a file or a pipe.
    pub(super) fn of(stream: impl AsFd + IsTerminal) -> Option<Self> {
        if !stream.is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(stream);
        let (columns, rows) = size.map_or((0, 0), |size| (size.ws_col, size.ws_row));
        let known = |size: u16, otherwise| match size {
            0 => otherwise,
            size => usize::from(size),
        };
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|kind| kind == "dumb");
        Some(Self {
            columns: known(columns, COLUMNS),
            rows: known(rows, ROWS),
            colours: !is_set("NO_COLOR") && !is_dumb,
        })
    }
}
