//! Finds the literals without which a filter cannot match: to refuse most names cheaply, and to index filters by.
//! A literal here never proves a match.

use memchr::memmem::Finder;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

use super::INDEX_ENTRY_BYTES;
use super::shape::Shape;

/// Lengths to which literals at an end are cut in an index, so that only so many have to be tried for a name.
const END_LENGTHS: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32];
/// Literals within are tried at every place of a name, and are therefore cut shorter.
const WITHIN_LENGTH: usize = 8;
/// The most pieces of one filter's inner literals that an index may choose from.
const MAX_WITHIN: usize = 12;
/// The most literals of which one must begin (or end) a match, and their length.
const MAX_CHOICES: usize = 64;
const MAX_LITERAL_LENGTH: usize = 1024;

/// What every matching name is known to hold.
pub(super) struct Literals {
    pub(super) head: String,
    tail: Box<str>,
    /// The longest of the literals within, if there is one.
    within: Option<Finder<'static>>,
    /// Each of them holds for every matching name; empty if nothing is known.
    pub(super) clues: Vec<Clue>,
}

/// One of `literals` stands in every matching name at `place`. None is empty, and all are short.
pub(super) struct Clue {
    pub(super) place: Place,
    pub(super) literals: Vec<Box<[u8]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Start,
    End,
    Within,
}

impl Literals {
    pub(super) fn of_shape(shape: &Shape) -> Literals {
        match shape {
            // An index holds names by themselves.
            Shape::Names(names) => {
                let head = names.first().map_or(String::new(), |first| {
                    names.iter().fold(first.clone(), |head, name| {
                        common_head(&head, name).to_owned()
                    })
                });
                Literals {
                    head,
                    tail: "".into(),
                    within: None,
                    clues: Vec::new(),
                }
            }
            Shape::Gaps {
                head, inner, tail, ..
            } => {
                let mut clues = Vec::new();
                clues.extend(end_clue(Place::Start, [head.as_bytes()]));
                clues.extend(end_clue(Place::End, [tail.as_bytes()]));
                let inner = inner.iter().map(Finder::needle);
                let runs = inner.chain([head.as_bytes(), tail.as_bytes()]).collect();
                add_within(&mut clues, runs);
                // The shape matches by itself, without looking here first.
                Literals {
                    head: head.clone(),
                    tail: "".into(),
                    within: None,
                    clues,
                }
            }
        }
    }

    /// About the memory they take, here and in an index.
    pub(super) fn bytes(&self) -> usize {
        let clues = self.clues.iter().flat_map(|clue| &clue.literals);
        let clues: usize = clues
            .map(|literal| INDEX_ENTRY_BYTES + 2 * literal.len())
            .sum();
        let within = self.within.as_ref().map_or(0, |run| run.needle().len());
        self.head.len() + self.tail.len() + within + clues
    }

    pub(super) fn of_tree(tree: &Hir) -> Literals {
        let heads = ends_of(tree, ExtractKind::Prefix);
        let tails = ends_of(tree, ExtractKind::Suffix);
        let head = valid_head(heads.longest_common_prefix().unwrap_or_default()).to_owned();
        let tail = valid_tail(tails.longest_common_suffix().unwrap_or_default()).to_owned();
        let mut runs = vec![String::new()];
        collect_runs(tree, &mut runs);
        let within = runs
            .iter()
            .max_by_key(|run| run.len())
            .filter(|run| !run.is_empty());
        let within = within.map(|run| Finder::new(run).into_owned());

        let mut clues = Vec::new();
        clues.extend(end_clue(Place::Start, [head.as_bytes()]));
        clues.extend(end_clue(Place::End, [tail.as_bytes()]));
        for (place, choices) in [(Place::Start, &heads), (Place::End, &tails)] {
            let choices = choices.literals().unwrap_or_default();
            if choices.len() > 1 {
                clues.extend(end_clue(
                    place,
                    choices.iter().map(|literal| literal.as_bytes()),
                ));
            }
        }
        let ends = [head.as_bytes(), tail.as_bytes()];
        add_within(
            &mut clues,
            runs.iter().map(String::as_bytes).chain(ends).collect(),
        );
        Literals {
            head,
            tail: tail.into(),
            within,
            clues,
        }
    }

    /// False only if the name cannot match.
    pub(super) fn allow(&self, name: &str) -> bool {
        name.starts_with(&self.head)
            && name.ends_with(&*self.tail)
            && (self
                .within
                .as_ref()
                .is_none_or(|within| within.find(name.as_bytes()).is_some()))
    }
}

fn ends_of(tree: &Hir, kind: ExtractKind) -> Seq {
    Extractor::new()
        .kind(kind)
        .limit_total(MAX_CHOICES)
        .limit_literal_len(MAX_LITERAL_LENGTH)
        .extract(tree)
}

/// The clue that one of these begins (or ends) a match; none if one of them is empty, or there are none.
fn end_clue<'a>(place: Place, literals: impl IntoIterator<Item = &'a [u8]>) -> Option<Clue> {
    let mut cut = Vec::new();
    for literal in literals {
        let length = *END_LENGTHS
            .iter()
            .rev()
            .find(|length| **length <= literal.len())?;
        let piece = match place {
            Place::End => &literal[literal.len() - length..],
            _ => &literal[..length],
        };
        cut.push(Box::from(piece));
    }
    cut.sort_unstable();
    cut.dedup();
    (!cut.is_empty()).then_some(Clue {
        place,
        literals: cut,
    })
}

/// Adds pieces of the literals that stand somewhere in a match, those of the longest first.
fn add_within(clues: &mut Vec<Clue>, mut runs: Vec<&[u8]>) {
    runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.len()));
    let mut pieces: Vec<&[u8]> = Vec::new();
    for run in runs.into_iter().filter(|run| !run.is_empty()) {
        let length = run.len().min(WITHIN_LENGTH);
        let last = run.len() - length;
        // The end of a literal (a number, say) often tells more than its beginning, so it is taken first.
        for start in (0..=last).rev().step_by(WITHIN_LENGTH / 2).chain([0]) {
            let piece = &run[start..start + length];
            if pieces.len() < MAX_WITHIN && !pieces.contains(&piece) {
                pieces.push(piece);
            }
        }
    }
    clues.extend(pieces.into_iter().map(|piece| Clue {
        place: Place::Within,
        literals: vec![piece.into()],
    }));
}

/// Collects the literals that every match passes through. The last of `runs` is still growing.
fn collect_runs(tree: &Hir, runs: &mut Vec<String>) {
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => runs.last_mut().expect("there is always one").push_str(text),
            Err(_) => runs.push(String::new()),
        },
        HirKind::Capture(capture) => collect_runs(&capture.sub, runs),
        HirKind::Concat(subs) => subs.iter().for_each(|sub| collect_runs(sub, runs)),
        HirKind::Repetition(repetition) => {
            runs.push(String::new());
            if repetition.min > 0 {
                collect_runs(&repetition.sub, runs);
                runs.push(String::new());
            }
        }
        HirKind::Class(_) | HirKind::Alternation(_) => runs.push(String::new()),
    }
}

fn common_head<'a>(one: &'a str, other: &str) -> &'a str {
    let length = one
        .bytes()
        .zip(other.bytes())
        .take_while(|(left, right)| left == right)
        .count();
    valid_head(&one.as_bytes()[..length])
}

/// The longest head of these bytes that is made of whole characters.
fn valid_head(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).expect("it is valid up to there")
        }
    }
}

/// The longest tail of these bytes that is made of whole characters; they are the end of valid text.
fn valid_tail(bytes: &[u8]) -> &str {
    (0..bytes.len().min(4))
        .find_map(|cut| std::str::from_utf8(&bytes[cut..]).ok())
        .unwrap_or_default()
}
