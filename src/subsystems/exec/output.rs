//! What a program has written: the last 64 KiB of it, whatever it is and however much there was.

use std::collections::VecDeque;

use serde::Serialize;

/// How much is kept.
const TAIL_BYTES: usize = 64 << 10;

/// The most characters of a line that is quoted.
const QUOTED_CHARACTERS: usize = 200;

/// The end of what a program writes, as it comes.
#[derive(Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    truncated: bool,
}

/// The end of what a program has written: standard output and standard error together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    /// What is no UTF-8 is replaced.
    output: String,
    /// Whether there was more before it.
    output_truncated: bool,
}

impl Tail {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let kept = &chunk[chunk.len().saturating_sub(TAIL_BYTES)..];
        let over = (self.bytes.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.truncated |= over > 0 || kept.len() < chunk.len();
        self.bytes.drain(..over);
        self.bytes.extend(kept);
    }

    pub(super) fn finish(mut self) -> Output {
        let bytes = &*self.bytes.make_contiguous();
        // A character of which the beginning is cut off would be shown as nonsense.
        let is_cut = |byte: &&u8| self.truncated && **byte & 0xC0 == 0x80;
        let cut = bytes.iter().take(3).take_while(is_cut).count();
        Output {
            output: String::from_utf8_lossy(&bytes[cut..]).into_owned(),
            output_truncated: self.truncated,
        }
    }
}

impl Output {
    /// The last line that says anything, without control characters, shortened.
    pub(super) fn last_line(&self) -> Option<String> {
        let mut lines = self.output.rsplit(['\n', '\r']);
        lines.find_map(|line| printable(line, QUOTED_CHARACTERS))
    }
}

/// The text without control characters and white space around it, shortened; nothing if there is
/// nothing left.
pub(super) fn printable(text: &str, most_characters: usize) -> Option<String> {
    let clean: String = text
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let clean: String = clean.trim().chars().take(most_characters).collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(chunks: &[&[u8]]) -> Output {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(chunk));
        tail.finish()
    }

    #[test]
    fn the_end_is_kept_and_it_is_said_that_there_was_more() {
        let short = output(&[b"a\n", b"b"]);
        assert_eq!(
            (short.output.as_str(), short.output_truncated),
            ("a\nb", false)
        );
        let exact = output(&[&[b'x'; TAIL_BYTES]]);
        assert!(!exact.output_truncated);
        for chunks in [
            &[&[b'x'; TAIL_BYTES][..], b"end"][..],
            &[b"beginning", &[b'x'; 3 * TAIL_BYTES], b"end"],
        ] {
            let long = output(chunks);
            assert_eq!(
                (long.output.len(), long.output_truncated),
                (TAIL_BYTES, true)
            );
            assert!(long.output.ends_with("xend") && !long.output.contains("beginning"));
        }
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let binary = output(&[&[0xFF, 0, b'a', 0xE2, 0x82]]);
        assert_eq!(binary.output, "\u{FFFD}\0a\u{FFFD}");
        let cut = output(&["é".as_bytes(), &[b'x'; TAIL_BYTES - 1]]);
        assert_eq!(cut.output, "x".repeat(TAIL_BYTES - 1));
    }

    #[test]
    fn the_last_line_that_says_anything_is_quoted() {
        let line = |text: &str| output(&[text.as_bytes()]).last_line();
        assert_eq!(line(" \n\r\n"), None);
        assert_eq!(
            line("a\n 50 %\r\x1b[1mno space\n\n"),
            Some("[1mno space".to_owned())
        );
        assert_eq!(line(&"x".repeat(1000)), Some("x".repeat(200)));
    }
}
