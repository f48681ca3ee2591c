//! The command line that is being typed, as words.

use std::env;
use std::path::Path;

/// A command line, and which of its words is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    words: Vec<String>,
    /// Which of them is being typed.
    index: usize,
    /// The word that is being typed, as it is written, up to the place where it is being typed.
    written: String,
    /// The quote that it is within.
    quote: Option<char>,
}

/// A word of a command line.
#[derive(Debug, Default)]
struct Word {
    /// Without its quotes.
    text: String,
    /// As it is written.
    written: String,
    /// The quote that is not closed.
    quote: Option<char>,
}

impl Line {
    /// A line as it is written, of which so many characters stand before the cursor.
    pub(super) fn parse(text: &str, point: usize) -> Self {
        let end = text
            .char_indices()
            .nth(point)
            .map_or(text.len(), |(place, _)| place);
        let (before, after) = text.split_at(end);
        let mut words = split(before);
        let current = words.pop().unwrap_or_default();
        let index = words.len();
        let mut words: Vec<String> = words.into_iter().map(|word| word.text).collect();
        words.push(current.text);
        // What stands right behind the cursor belongs to the word that is being typed.
        let after = after
            .find(char::is_whitespace)
            .map_or("", |end| &after[end..]);
        let after = split(after).into_iter().map(|word| word.text);
        words.extend(after.filter(|word| !word.is_empty()));
        Self {
            words,
            index,
            written: current.written,
            quote: current.quote,
        }
    }

    /// Of words without their quotes, and which of them is being typed, perhaps one behind the last;
    /// nothing if there is none.
    pub(super) fn of_words(mut words: Vec<String>, index: usize) -> Option<Self> {
        if index == words.len() {
            words.push(String::new());
        }
        Some(Self {
            written: words.get(index)?.clone(),
            words,
            index,
            quote: None,
        })
    }

    /// The words, without their quotes; the first is the program.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) const fn index(&self) -> usize {
        self.index
    }

    /// The word that is being typed.
    pub(super) fn current(&self) -> &str {
        self.words.get(self.index).map_or("", String::as_str)
    }

    pub(super) fn written(&self) -> &str {
        &self.written
    }

    pub(super) const fn quote(&self) -> Option<char> {
        self.quote
    }

    /// The words with another one in place of that which is being typed, and with the home folder
    /// where a shell would put it.
    pub(super) fn completed_with(&self, word: &str) -> Vec<String> {
        let home = env::home_dir();
        let at_home = |word: &String| match (word.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => Path::new(home).join(rest).to_string_lossy().into_owned(),
            _ => word.clone(),
        };
        let mut words: Vec<String> = self.words.iter().map(at_home).collect();
        if let Some(current) = words.get_mut(self.index) {
            word.clone_into(current);
        }
        words
    }
}

/// What a text means that is written within such quotes, or none.
pub(super) fn unquoted(written: &str) -> String {
    split(written).pop().unwrap_or_default().text
}

/// Words as a shell reads them; the last one is what is being typed, and may be empty.
fn split(text: &str) -> Vec<Word> {
    let mut words = vec![Word::default()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let word = words
            .last_mut()
            .expect("there is a word from the beginning");
        match (word.quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.written.is_empty() {
                    words.push(Word::default());
                }
                continue;
            }
            (None, '\'' | '"') => word.quote = Some(c),
            (Some(quote), c) if quote == c => word.quote = None,
            (None | Some('"'), '\\') => {
                word.written.push(c);
                let Some(escaped) = characters.next() else {
                    continue;
                };
                // Within quotes only what would end or change them is escaped.
                if word.quote.is_some() && !matches!(escaped, '"' | '\\' | '$' | '`') {
                    word.text.push(c);
                }
                word.text.push(escaped);
                word.written.push(escaped);
                continue;
            }
            (_, c) => word.text.push(c),
        }
        word.written.push(c);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> (Vec<String>, Option<char>) {
        let line = Line::parse(text, text.chars().count());
        assert_eq!(line.index(), line.words().len() - 1);
        (line.words().to_vec(), line.quote())
    }

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, expected, quote) in [
            ("a", &["a"][..], None),
            ("a b ", &["a", "b", ""], None),
            ("a  'b c' \"d 'e\"", &["a", "b c", "d 'e"], None),
            ("a b\\ c\\'", &["a", "b c'"], None),
            ("a \"b\\\"\\c", &["a", "b\"\\c"], Some('"')),
            ("a 'b \\", &["a", "b \\"], Some('\'')),
            ("a --x=y:z", &["a", "--x=y:z"], None),
            ("", &[""], None),
        ] {
            let expected = expected.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(words(text), (expected, quote), "{text}");
        }
    }

    #[test]
    fn what_stands_behind_the_cursor_counts_too() {
        let line = Line::parse("opstead show é-x --data 'a b'", 14);
        assert_eq!(line.words(), ["opstead", "show", "é", "--data", "a b"]);
        assert_eq!(
            (line.current(), line.written(), line.index()),
            ("é", "é", 2)
        );
        assert_eq!(
            line.completed_with("y"),
            ["opstead", "show", "y", "--data", "a b"]
        );
        let line = Line::parse("opstead show  --data d", 13);
        assert_eq!(line.words(), ["opstead", "show", "", "--data", "d"]);
        assert_eq!(line.index(), 2);
    }

    #[test]
    fn a_word_may_not_have_begun_yet() {
        let words = ["opstead", "show", "a b"].map(str::to_owned).to_vec();
        let line = Line::of_words(words.clone(), 3).unwrap();
        assert_eq!(line.words(), ["opstead", "show", "a b", ""]);
        let line = Line::of_words(words.clone(), 2).unwrap();
        assert_eq!(line.current(), "a b");
        assert_eq!(Line::of_words(words, 4), None);
    }
}
