//! Aligned columns, that fit a terminal where there is one.

use unicode_width::UnicodeWidthChar;

use super::output::{Line, Style, plain};

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    cut: Cut,
}

/// What stands in a row under a column.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

/// Where a cell is cut that is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// At its end.
    End,
    /// In the middle: names differ at their ends.
    Middle,
    /// At its end, and only where nothing else is left to cut.
    Last,
}

const GAP: &str = "  ";
const CUT: &str = "…";
const CUT_WIDTH: usize = 1;

impl Column {
    pub(super) const fn text(name: &'static str) -> Self {
        Self {
            name,
            cut: Cut::End,
        }
    }

    pub(super) const fn name(name: &'static str) -> Self {
        Self {
            name,
            cut: Cut::Middle,
        }
    }

    /// A column of words or times, which say nothing when they are cut.
    pub(super) const fn whole(name: &'static str) -> Self {
        Self {
            name,
            cut: Cut::Last,
        }
    }
}

impl Cell {
    pub(super) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self {
            text: plain(&text.into()),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(Style::Plain, text)
    }
}

/// Rows under a header, each column as wide as its widest cell, as far as that many characters are
/// not too many. The last column is not padded.
pub(super) fn table(columns: &[Column], rows: Vec<Vec<Cell>>, most: Option<usize>) -> Vec<Line> {
    let header = |column: &Column| Cell::styled(Style::Heading, column.name);
    let header: Vec<Cell> = columns.iter().map(header).collect();
    let mut widths: Vec<usize> = header.iter().map(|cell| width(&cell.text)).collect();
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(&cell.text).max(*widest);
        }
    }
    if let Some(most) = most {
        shrink(columns, &mut widths, most);
    }
    let rows = std::iter::once(header).chain(rows);
    rows.map(|row| aligned(columns, row, &widths)).collect()
}

/// Names and what is to be said of each; names without anything are left out.
pub(super) fn facts(facts: Vec<(&str, Cell)>) -> Vec<Line> {
    let mut facts = facts;
    facts.retain(|(_, cell)| !cell.text.is_empty());
    let widest = facts.iter().map(|(name, _)| width(name)).max();
    let widest = widest.unwrap_or_default();
    let line = |(name, cell): (&str, Cell)| {
        Line::from(format!("{name:widest$}{GAP}")).and(cell.style, cell.text)
    };
    facts.into_iter().map(line).collect()
}

/// The beginning of a text that is too wide, within so many columns of a terminal.
pub(super) fn cut_end(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    if most == 0 {
        return String::new();
    }
    head(text, most - CUT_WIDTH).to_owned() + CUT
}

/// The two ends of a text that is too wide.
fn cut_middle(text: &str, most: usize) -> String {
    if width(text) <= most || most < 3 {
        return cut_end(text, most);
    }
    let room = most - CUT_WIDTH;
    let begins = head(text, room / 2);
    let reversed: String = text.chars().rev().collect();
    let ends = head(&reversed, room - width(begins));
    format!("{begins}{CUT}{}", ends.chars().rev().collect::<String>())
}

fn head(text: &str, most: usize) -> &str {
    let mut taken = 0;
    for (place, c) in text.char_indices() {
        taken += char_width(c);
        if taken > most {
            return &text[..place];
        }
    }
    text
}

/// How many columns of a terminal a text takes at the most. It is the sum of its characters', so
/// that what is cut off a text always makes it narrower, in whatever order they join.
fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    match c {
        // They have no width of their own, but may widen the character before them.
        '\u{fe00}'..='\u{fe0f}' => 1,
        c => c.width().unwrap_or_default(),
    }
}

/// Takes from the widest column, again and again, until all fit.
fn shrink(columns: &[Column], widths: &mut [usize], most: usize) {
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(most);
    // First what can be cut, down to its header; then anything.
    for is_first in [true, false] {
        while over > 0 {
            let least = |column: &Column| match (is_first, column.cut) {
                (true, Cut::Last) => usize::MAX,
                (true, _) => width(column.name),
                (false, _) => 1,
            };
            let candidates = columns.iter().zip(widths.iter_mut());
            let can_shrink = candidates.filter(|(column, width)| **width > least(column));
            let Some((_, widest)) = can_shrink.max_by_key(|(_, width)| **width) else {
                break;
            };
            *widest -= 1;
            over -= 1;
        }
    }
}

fn aligned(columns: &[Column], row: Vec<Cell>, widths: &[usize]) -> Line {
    let mut line = Line::default();
    // Nothing is padded behind the last cell that says something.
    let said = row.iter().rposition(|cell| !cell.text.is_empty());
    let cells = row.into_iter().take(said.map_or(0, |last| last + 1));
    for (place, ((cell, column), &most)) in cells.zip(columns).zip(widths).enumerate() {
        let text = match column.cut {
            Cut::Middle => cut_middle(&cell.text, most),
            Cut::End | Cut::Last => cut_end(&cell.text, most),
        };
        let padding = most - width(&text);
        line = line.and(cell.style, text);
        if said > Some(place) {
            line = line.and(Style::Plain, " ".repeat(padding) + GAP);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::name("ID"),
        Column::whole("STATE"),
        Column::text("%"),
    ];

    fn lines(rows: &[[&str; 3]], most: Option<usize>) -> Vec<Line> {
        let row = |row: &[&str; 3]| row.iter().map(|&cell| cell.into()).collect();
        table(&COLUMNS, rows.iter().map(row).collect(), most)
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::text).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["é", "running", ""],
            ["storage.x", "b", "c"],
            ["漢", "", "c"],
        ];
        assert_eq!(
            texts(&lines(&rows, None)),
            [
                "ID         STATE    %",
                "é          running",
                "storage.x  b        c",
                "漢                  c"
            ]
        );
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let rows = [["storage.Image.a.1", "running", "0123456789"]];
        assert_eq!(
            texts(&lines(&rows, Some(28)))[1],
            "stor….a.1  running  0123456…"
        );
        assert_eq!(
            texts(&lines(&rows, Some(38)))[1],
            "storage.Image.a.1  running  0123456789"
        );
        for most in 7..40 {
            for line in texts(&lines(&rows, Some(most))) {
                assert!(line.width() <= most, "{most}: {line}");
            }
        }
    }

    /// Characters that are wider together than each for itself, or narrower.
    #[test]
    fn a_table_fits_whatever_the_names_are() {
        let hearts = "\u{2764}\u{fe0f}".repeat(10);
        let families = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(5);
        let quotes = "\u{2018}\u{fe01}".repeat(10);
        for name in [hearts, families, quotes] {
            let rows = [[name.as_str(), "running", name.as_str()]];
            for most in 7..60 {
                for line in texts(&lines(&rows, Some(most))) {
                    assert!(line.width() <= most, "{most}: {line}");
                }
            }
        }
    }

    /// What is cut or aligned is what is shown: a line break is two characters.
    #[test]
    fn a_cell_cannot_break_the_table() {
        let rows = [["a\nb", "x\u{1b}[31m", "c"], ["d", "e", "f"]];
        assert_eq!(
            texts(&lines(&rows, None)),
            [
                r"ID    STATE        %",
                r"a\nb  x\u{1b}[31m  c",
                r"d     e            f"
            ]
        );
    }

    #[test]
    fn facts_that_say_nothing_are_left_out() {
        let lines = facts(vec![
            ("State", "running".into()),
            ("Tags", "".into()),
            ("Id", "x".into()),
        ]);
        assert_eq!(texts(&lines), ["State  running", "Id     x"]);
    }
}
