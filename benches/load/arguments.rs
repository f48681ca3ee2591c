//! The command line of the load program.

use anyhow::{Context, bail};

use crate::measure::{self, Measure};
use crate::yardstick::Yardstick;

/// Enough for a median.
const DEFAULT_ROUNDS: usize = 3;

/// What to do.
pub(crate) struct Arguments(pub(crate) Task);

pub(crate) enum Task {
    /// `cargo test` runs every bench once, to see that it starts.
    Nothing,
    /// This process is the child that a yardstick runs in.
    Serve(Yardstick),
    Measure(Plan),
}

pub(crate) struct Plan {
    pub(crate) measures: Vec<&'static Measure>,
    pub(crate) rounds: usize,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut measures = Vec::new();
        let mut rounds = DEFAULT_ROUNDS;
        let mut bench = false;
        let mut words = words;
        while let Some(word) = words.next() {
            match word.as_str() {
                // Cargo says so in `cargo bench`, and only there.
                "--bench" => bench = true,
                "--test" | "--list" => return Ok(Self(Task::Nothing)),
                "--serve" => {
                    let name = words.next().context("--serve needs a yardstick")?;
                    return Ok(Self(Task::Serve(name.parse()?)));
                }
                "--rounds" => {
                    rounds = words.next().context("--rounds needs a number")?.parse()?;
                }
                name => measures.push(named(name)?),
            }
        }
        if measures.is_empty() && bench {
            measures = measure::ALL.iter().collect();
        }
        if measures.is_empty() {
            return Ok(Self(Task::Nothing));
        }
        if rounds == 0 {
            bail!("there must be a round");
        }
        Ok(Self(Task::Measure(Plan { measures, rounds })))
    }
}

fn named(name: &str) -> anyhow::Result<&'static Measure> {
    let found = measure::ALL
        .iter()
        .find(|measure| measure.name.eq_ignore_ascii_case(name));
    found.with_context(|| {
        let names: Vec<&str> = measure::ALL.iter().map(|measure| measure.name).collect();
        format!(
            "there is no measure {name:?}; there are {}",
            names.join(" ")
        )
    })
}
