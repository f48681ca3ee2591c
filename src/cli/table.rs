//! Aligned columns.

use super::output::plain;

/// Rows under a header, each column as wide as its widest cell. The last column is not padded.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    aligned(std::iter::once(&header).chain(rows))
}

/// Names and what is to be said of each; names without anything are left out.
pub(super) fn facts(facts: &[(&str, String)]) -> Vec<String> {
    let rows: Vec<Vec<String>> = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![(*name).to_owned(), value.clone()])
        .collect();
    aligned(rows.iter())
}

fn aligned<'a>(rows: impl Iterator<Item = &'a Vec<String>> + Clone) -> Vec<String> {
    let mut widths = Vec::new();
    for row in rows.clone() {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{:width$}", plain(cell)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["é".to_owned(), "running".to_owned(), String::new()],
            vec!["storage.x".to_owned(), "b".to_owned(), "c".to_owned()],
        ];
        assert_eq!(
            table(&["ID", "STATE", "%"], &rows),
            [
                "ID         STATE    %",
                "é          running",
                "storage.x  b        c"
            ]
        );
    }

    #[test]
    fn facts_that_say_nothing_are_left_out() {
        let lines = facts(&[
            ("State", "running".to_owned()),
            ("Tags", String::new()),
            ("Id", "x".to_owned()),
        ]);
        assert_eq!(lines, ["State  running", "Id     x"]);
    }
}
