//! How far an operation is, while it is waited for: a bar on a terminal, else a line for each
//! change. It goes to stderr, so that stdout has the result alone.

use std::io::{self, Write};

use opstead_client::schema::OperationInfo;

use super::output::{note, plain};
use super::table::cut_end;
use super::terminal::Terminal;
use super::words;

/// The cells of a bar, brackets aside.
const CELLS: usize = 30;
/// Back to the line's beginning, and nothing on it.
const CLEAR: &str = "\r\u{1b}[K";

/// Shows progress until it is dropped.
pub(super) struct Progress {
    way: Way,
    shown: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Bar,
    Lines,
    Nothing,
}

impl Progress {
    /// On stderr, as suits what it is.
    pub(super) fn on_stderr() -> Self {
        let terminal = Terminal::of(io::stderr());
        Self::new(terminal.map_or(Way::Lines, |_| Way::Bar))
    }

    /// Not at all.
    pub(super) const fn silent() -> Self {
        Self::new(Way::Nothing)
    }

    const fn new(way: Way) -> Self {
        Self {
            way,
            shown: String::new(),
        }
    }

    /// Shows how far it is now.
    pub(super) fn show(&mut self, info: &OperationInfo) {
        let text = plain(&words::progress(info));
        match self.way {
            Way::Nothing => {}
            Way::Lines if text == self.shown => {}
            Way::Lines => note(&text),
            Way::Bar => {
                let line = format!("{} {text}", bar(info.percentage.known(), CELLS));
                // Asked each time, for a window can change.
                let columns = Terminal::of(io::stderr()).map_or(0, |terminal| terminal.columns);
                draw(&format!(
                    "{CLEAR}{}",
                    cut_end(&line, columns.saturating_sub(1))
                ));
            }
        }
        self.shown = text;
    }

    /// Something to know meanwhile.
    pub(super) fn note(&mut self, text: &str) {
        match self.way {
            Way::Nothing => {}
            Way::Lines => note(text),
            Way::Bar => draw(&format!("{CLEAR}{text}\n")),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.way == Way::Bar && !self.shown.is_empty() {
            draw(CLEAR);
        }
    }
}

/// A bar of so many cells; an empty one if nobody knows how far it is.
pub(super) fn bar(percentage: Option<f64>, cells: usize) -> String {
    // 0 to 100 by construction, so the cast neither cuts nor wraps.
    let full = (percentage.unwrap_or(0.0) / 100.0 * cells as f64).round() as usize;
    let full = full.min(cells);
    format!("[{}{}]", "#".repeat(full), "-".repeat(cells - full))
}

/// `[####----] Copying, 50 %`; no bar where nobody knows.
pub(super) fn how_far(info: &OperationInfo, cells: usize) -> String {
    let progress = words::progress(info);
    match info.percentage.known() {
        Some(percentage) => format!("{} {progress}", bar(Some(percentage), cells)),
        None => progress,
    }
}

/// A terminal that is gone is nobody to tell.
pub(super) fn draw(text: &str) {
    let mut stderr = io::stderr().lock();
    let _gone = stderr.write_all(text.as_bytes());
    let _gone = stderr.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_with_the_percentage() {
        assert_eq!(bar(None, 4), "[----]");
        assert_eq!(bar(Some(0.0), 4), "[----]");
        assert_eq!(bar(Some(50.0), 4), "[##--]");
        assert_eq!(bar(Some(100.0), 4), "[####]");
    }
}
