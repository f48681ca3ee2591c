//! A tree while it changes: redrawn on a terminal, else a line for each change. It goes to stderr, so
//! that stdout has the result alone.

use std::collections::BTreeMap;
use std::io;

use opstead_client::schema::{Operation, OperationState, Stage};

use super::{Tree, is_flow};
use crate::cli::failure;
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
        for line in self.changes(tree) {
            note(&line);
        }
    }

    /// A line of each that stands otherwise than was said last. The end of all comes last.
    fn changes(&mut self, tree: &Tree) -> Vec<String> {
        let root = &tree.root;
        // Who waits says nothing new.
        let is_news = |operation: &Operation| {
            use OperationState as State;
            !matches!(operation.state, State::Waiting | State::Scheduled)
        };
        let below = tree.each().filter(|(.., operation)| is_news(operation));
        let mut all: Vec<(&str, &Operation)> = vec![(root.id.as_str(), root)];
        all.extend(below.map(|(name, _, operation)| (name, operation)));
        if tree.is_settled() {
            all.rotate_left(1);
        }
        let mut lines = Vec::new();
        for (name, operation) in all {
            let line = format!("{name}: {}", told(operation));
            if self.said.get(&operation.id) != Some(&line) {
                self.said.insert(operation.id.clone(), line.clone());
                lines.push(line);
            }
        }
        lines
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
        state => match failure::of_reverted(operation).filter(|_| !is_flow(operation)) {
            Some(why) => format!("{state}. {why}"),
            None => state.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tree::rows::tests::reverted;

    #[test]
    fn changes_are_told_once_and_the_end_of_all_comes_last() {
        let mut live = LiveTree::new(Way::Lines);
        let mut tree = reverted();
        tree.root.state = OperationState::Reverting;
        assert_eq!(
            live.changes(&tree),
            [
                "f: reverting, 0 of 1 steps done",
                "a: reverted",
                "b: reverted. Canceled",
                "c: reverted. Failed: the pool\nis full (3001)",
                "d: skipped",
            ]
        );
        assert!(live.changes(&tree).is_empty());
        let mut live = LiveTree::new(Way::Lines);
        let mut ended = reverted();
        ended.root.done = true;
        let told = live.changes(&ended);
        assert_eq!((told.len(), told[4].as_str()), (5, "f: reverted"));
    }
}
