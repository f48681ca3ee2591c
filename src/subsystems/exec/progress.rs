//! Progress that a program tells by what it writes: a regular expression with named groups, tried
//! on each line.

use std::str::FromStr;
use std::sync::Arc;

use opstead_core::{InfoUpdate, Stage};
use regex::bytes::{Captures, Regex, RegexBuilder};

use super::output::printable;

/// The groups that say something.
const GROUPS: [&str; 4] = [PERCENTAGE, STAGE, STAGE_NUMBER, STAGE_TOTAL];
const PERCENTAGE: &str = "percentage";
const STAGE: &str = "stage";
const STAGE_NUMBER: &str = "stageNumber";
const STAGE_TOTAL: &str = "stageTotal";

/// The most memory that a compiled expression may take.
const COMPILED_BYTES: usize = 1 << 20;

/// Of a longer line only the beginning is looked at.
const LINE_BYTES: usize = 4 << 10;

/// The most characters of a stage's description.
const STAGE_CHARACTERS: usize = 200;

/// A regular expression with at least one of the groups.
#[derive(Clone, Debug)]
pub(super) struct ProgressPattern(Regex);

/// Takes lines apart as they come.
pub(super) struct ProgressReader {
    pattern: Arc<ProgressPattern>,
    line: Vec<u8>,
}

impl ProgressPattern {
    /// Reads the expression. The error says what is wrong and what is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES)
            .build()
            .map_err(|error| error.to_string())?;
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        if let Some(unknown) = names.iter().find(|name| !GROUPS.contains(name)) {
            return Err(format!(
                "there is no group `{unknown}`; the groups are `{}`",
                GROUPS.join("`, `")
            ));
        }
        if names.is_empty() {
            return Err(format!(
                "it needs a named group, as `(?<percentage>\\d+)%`; the groups are `{}`",
                GROUPS.join("`, `")
            ));
        }
        if names.contains(&STAGE_NUMBER) != names.contains(&STAGE_TOTAL) {
            let message = "the groups `stageNumber` and `stageTotal` go together";
            return Err(message.to_owned());
        }
        Ok(Self(regex))
    }

    /// What a line says of progress. Numbers that make no sense are passed over.
    fn read(&self, line: &[u8]) -> Option<InfoUpdate> {
        let found = self.0.captures(line)?;
        let update = InfoUpdate {
            percentage: number(&found, PERCENTAGE).filter(|value| (0.0..=100.0).contains(value)),
            stage_description: text(&found, STAGE)
                .and_then(|text| printable(&text, STAGE_CHARACTERS))
                .map(Into::into),
            stage: stage(&found),
            ..InfoUpdate::default()
        };
        (update != InfoUpdate::default()).then_some(update)
    }
}

impl ProgressReader {
    pub(super) fn new(pattern: Arc<ProgressPattern>) -> Self {
        Self {
            pattern,
            line: Vec::new(),
        }
    }

    /// Takes in what was written, and hands over what each whole line says.
    pub(super) fn push(&mut self, chunk: &[u8], mut report: impl FnMut(InfoUpdate)) {
        // A carriage return ends a line too: so programs write over what they said before.
        let mut pieces = chunk.split(|byte| matches!(byte, b'\n' | b'\r'));
        if let Some(first) = pieces.next() {
            self.extend(first);
        }
        for piece in pieces {
            self.finish(&mut report);
            self.extend(piece);
        }
    }

    /// Hands over what the line says that has come so far.
    pub(super) fn finish(&mut self, mut report: impl FnMut(InfoUpdate)) {
        if let Some(update) = self.pattern.read(&self.line) {
            report(update);
        }
        self.line.clear();
    }

    fn extend(&mut self, piece: &[u8]) {
        let room = LINE_BYTES - self.line.len();
        self.line.extend(&piece[..piece.len().min(room)]);
    }
}

fn text(found: &Captures<'_>, group: &str) -> Option<String> {
    let bytes = found.name(group)?.as_bytes();
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn number<T: FromStr>(found: &Captures<'_>, group: &str) -> Option<T> {
    text(found, group)?.trim().parse().ok()
}

/// Programs count the stage that they begin, from 1; what is behind them is one less.
fn stage(found: &Captures<'_>) -> Option<Stage> {
    let (number, total) = (
        number::<u32>(found, STAGE_NUMBER)?,
        number::<u32>(found, STAGE_TOTAL)?,
    );
    (1..=total).contains(&number).then(|| Stage {
        number: number - 1,
        total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(pattern: &str, chunks: &[&[u8]]) -> Vec<InfoUpdate> {
        let pattern = Arc::new(ProgressPattern::parse(pattern).unwrap());
        let mut reader = ProgressReader::new(pattern);
        let mut reports = Vec::new();
        for chunk in chunks {
            reader.push(chunk, |update| reports.push(update));
        }
        reader.finish(|update| reports.push(update));
        reports
    }

    fn percentages(pattern: &str, chunks: &[&[u8]]) -> Vec<f64> {
        reports(pattern, chunks)
            .iter()
            .filter_map(|update| update.percentage)
            .collect()
    }

    #[test]
    fn percentages_are_read_line_by_line_wherever_chunks_end() {
        let pattern = r"(?<percentage>\d+(\.\d+)?) ?%";
        let chunks: [&[u8]; 4] = [b"begin\n 1", b"0 %\r20%\r\n", b"\xFF\0 33.5%", b" more"];
        assert_eq!(percentages(pattern, &chunks), [10.0, 20.0, 33.5]);
        let all: Vec<u8> = chunks.concat();
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(percentages(pattern, &bytes), [10.0, 20.0, 33.5]);
    }

    #[test]
    fn stages_have_a_text_and_a_number() {
        let pattern = r"^\[(?<stageNumber>\d+)/(?<stageTotal>\d+)\] (?<stage>.*)$";
        let told = reports(
            pattern,
            &[b"[1/3] Fetching \x1b\n[3/3]  \n[0/3] x\n[4/3] \n[1/0] \n"],
        );
        let stages: Vec<_> = told
            .iter()
            .map(|update| (update.stage, update.stage_description.as_deref()))
            .collect();
        let stage = |number| Some(Stage { number, total: 3 });
        let expected = [
            (stage(0), Some("Fetching")),
            (stage(2), None),
            (None, Some("x")),
        ];
        assert_eq!(stages, expected);
    }

    #[test]
    fn numbers_that_make_no_sense_are_passed_over() {
        let pattern = r"(?<percentage>\S+)%";
        let chunk = b"101%\n-1%\nNaN%\n1e99%\n\xFF%\n100%\n99999999999999999999999999%\n";
        assert_eq!(percentages(pattern, &[chunk]), [100.0]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let pattern = Arc::new(ProgressPattern::parse("(?<percentage>[0-9]+)%").unwrap());
        let mut reader = ProgressReader::new(pattern);
        for _ in 0..100 {
            reader.push(&[b'x'; 1 << 16], |_| panic!("said nothing"));
        }
        assert!(reader.line.capacity() <= 2 * LINE_BYTES);
    }

    #[test]
    fn expressions_are_refused_with_what_is_allowed() {
        for (pattern, fault) in [
            ("(", "unclosed group"),
            (r"\d+%", "the groups are `percentage`, `stage`"),
            ("(?<percent>.)", "there is no group `percent`"),
            ("(?<stageNumber>.)", "go together"),
            ("(?<stage>(.{1000}){1000})", "size limit"),
        ] {
            let refused = ProgressPattern::parse(pattern).unwrap_err();
            assert!(refused.contains(fault), "{refused}");
        }
    }
}
