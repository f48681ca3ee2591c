//! A tree while it changes: redrawn on a terminal, else a line for each change. It goes to stderr, so
//! that stdout has the result alone.

use std::collections::BTreeMap;
use std::io;

use opstead_client::schema::{Operation, OperationState, Stage};

use super::{Tree, is_flow};
use crate::cli::output::{Line, note, plain};
use crate::cli::progress::draw;
use crate::cli::table::cut_end;
use crate::cli::terminal::Terminal;
use crate::cli::words;

/// Everything from here to the end of the screen.
const CLEAR_BELOW: &str = "\r\u{1b}[J";
/// Room for what the shell says, and for the line of the root.
const OTHER_ROWS: usize = 2;

/// Shows a tree until it is dropped.
pub(in crate::cli) struct LiveTree {
    way: Way,
    /// How many lines are on the screen.
    height: usize,
    /// What was said last of each.
    said: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Redrawn,
    Lines,
    Nothing,
}

impl LiveTree {
    /// On stderr, as suits what it is.
    pub(in crate::cli) fn on_stderr() -> Self {
        let terminal = Terminal::of(io::stderr());
        Self::new(terminal.map_or(Way::Lines, |_| Way::Redrawn))
    }

    /// Not at all.
    pub(in crate::cli) const fn silent() -> Self {
        Self::new(Way::Nothing)
    }

    const fn new(way: Way) -> Self {
        Self {
            way,
            height: 0,
            said: BTreeMap::new(),
        }
    }

    /// Shows how it stands now.
    pub(in crate::cli) fn show(&mut self, tree: &Tree) {
        match self.way {
            Way::Nothing => {}
            Way::Lines => self.say_changes(tree),
            Way::Redrawn => self.redraw(tree),
        }
    }

    /// Something to know meanwhile.
    pub(in crate::cli) fn note(&mut self, text: &str) {
        if self.way != Way::Nothing {
            self.clear();
            note(text);
        }
    }

    fn say_changes(&mut self, tree: &Tree) {
        let root = &tree.root;
        self.say(&root.id, &format!("{}: {}", root.id, told(root)));
        for (name, _, operation) in tree.each() {
            // Who waits says nothing new.
            if !matches!(
                operation.state,
                OperationState::Waiting | OperationState::Scheduled
            ) {
                self.say(&operation.id, &format!("{name}: {}", told(operation)));
            }
        }
    }

    fn say(&mut self, id: &str, line: &str) {
        if self.said.get(id).is_some_and(|said| said == line) {
            return;
        }
        self.said.insert(id.to_owned(), line.to_owned());
        note(line);
    }

    fn redraw(&mut self, tree: &Tree) {
        // Asked each time, for a window can change.
        let Some(terminal) = Terminal::of(io::stderr()) else {
            return;
        };
        let root = &tree.root;
        // A line that is full would move the cursor to the next.
        let columns = terminal.columns.saturating_sub(1);
        let first = plain(&format!("{}: {}", root.id, told(root)));
        let rows = terminal.rows.saturating_sub(OTHER_ROWS);
        let mut lines = vec![Line::from(cut_end(&first, columns))];
        lines.extend(tree.lines(Some(columns), Some(rows)));
        // In one piece, so that nobody sees it half drawn.
        let mut text = self.cleared();
        for line in &lines {
            text += &line.written(terminal.colours);
            text.push('\n');
        }
        draw(&text);
        self.height = lines.len();
    }

    /// Takes away what is on the screen.
    fn clear(&mut self) {
        if self.height > 0 {
            draw(&self.cleared());
            self.height = 0;
        }
    }

    /// What takes away what is on the screen.
    fn cleared(&self) -> String {
        match self.height {
            0 => String::new(),
            height => format!("\u{1b}[{height}A{CLEAR_BELOW}"),
        }
    }
}

impl Drop for LiveTree {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How one stands, in a few words.
fn told(operation: &Operation) -> String {
    use OperationState as State;
    let info = &operation.operation_info;
    match operation.state {
        State::Running | State::Canceling | State::Reverting if is_flow(operation) => {
            let Stage { number, total } = info.stage;
            format!("{}, {number} of {total} steps done", operation.state)
        }
        State::Running | State::Canceling | State::Reverting => words::progress(info),
        State::Failed | State::RevertFailed if info.last_error.code != 0 => format!(
            "{}: {} ({})",
            operation.state, info.last_error.message, info.last_error.code
        ),
        state => state.to_string(),
    }
}
