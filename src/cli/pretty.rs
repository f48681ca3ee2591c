//! Foreign JSON laid out for a person: its text only gets line breaks and indentation, so numbers
//! and the order of keys stay as they came.

/// The text of a JSON value, one member a line.
pub(super) fn pretty(json: &str) -> Vec<String> {
    let mut layout = Layout::default();
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => {
                layout.line.push(c);
                let mut escaped = false;
                for c in characters.by_ref() {
                    layout.line.push(c);
                    match c {
                        '\\' if !escaped => escaped = true,
                        '"' if !escaped => break,
                        _ => escaped = false,
                    }
                }
            }
            '{' | '[' => {
                layout.line.push(c);
                while characters.next_if(|next| next.is_whitespace()).is_some() {}
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(close) => layout.line.push(close),
                    None => layout.indent(),
                }
            }
            '}' | ']' => {
                layout.outdent();
                layout.line.push(c);
            }
            ',' => {
                layout.line.push(c);
                layout.break_line();
            }
            ':' => layout.line.push_str(": "),
            c if c.is_whitespace() => {}
            c => layout.line.push(c),
        }
    }
    layout.lines.push(layout.line);
    layout.lines
}

#[derive(Default)]
struct Layout {
    lines: Vec<String>,
    line: String,
    depth: usize,
}

impl Layout {
    fn indent(&mut self) {
        self.depth += 1;
        self.break_line();
    }

    fn outdent(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.break_line();
    }

    fn break_line(&mut self) {
        let next = "  ".repeat(self.depth);
        self.lines.push(std::mem::replace(&mut self.line, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_changes() {
        let json =
            r#"{"z":18446744073709551616,"a":[1.50, {}],"e":[ ],"s":"a\\\",{:","n":{"k":null}}"#;
        assert_eq!(
            pretty(json).join("\n"),
            r#"{
  "z": 18446744073709551616,
  "a": [
    1.50,
    {}
  ],
  "e": [],
  "s": "a\\\",{:",
  "n": {
    "k": null
  }
}"#
        );
        assert_eq!(pretty("null"), ["null"]);
    }
}
