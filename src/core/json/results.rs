//! Results of other steps in kwargs: `{"$result": "step"}` stands for the result of that step,
//! `{"$result": "step#/pointer"}` for what the JSON pointer finds in it. What is around them stays as
//! it is written.

use std::borrow::Cow;
use std::ops::Range;

use super::outline::Outline;
use super::{Json, steps};
use crate::refusal::Fault;

/// The only member of an object that stands for a result.
const MARK: &str = "$result";

/// How deep results are looked for. Each level is a stack frame, so it may not be the sender's
/// choice.
const SEARCHED_LEVELS: usize = 128;

/// A place in kwargs that takes a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where it stands, as a JSON pointer into the kwargs.
    pub place: String,
    /// Whose result it takes.
    pub step: String,
    /// Which part of it, as a JSON pointer; empty for all of it.
    pub pointer: String,
    /// What it is written in.
    span: Range<usize>,
}

impl Json {
    /// Whether a result is taken anywhere in it, well-formed or not.
    pub fn takes_results(&self) -> bool {
        self.results().map_or(true, |taken| !taken.is_empty())
    }

    /// Every place that takes a result, in the order in which they are written, or all that is
    /// wrong with them.
    pub fn results(&self) -> Result<Vec<Taken>, Vec<Fault>> {
        let (mut taken, mut faults) = (Vec::new(), Vec::new());
        // A key can be written with escapes.
        if self.as_str().contains(['$', '\\']) {
            let outline = Outline::new(self.as_str(), SEARCHED_LEVELS);
            search(&outline, 0, String::new(), &mut taken, &mut faults);
        }
        if faults.is_empty() {
            Ok(taken)
        } else {
            Err(faults)
        }
    }

    /// The same with other values in the places that take results. What is malformed is left as it
    /// is: it was refused before.
    pub fn with_results<E>(
        &self,
        mut result: impl FnMut(&Taken) -> Result<Self, E>,
    ) -> Result<Self, E> {
        let taken = self.results().unwrap_or_default();
        if taken.is_empty() {
            return Ok(self.clone());
        }
        let text = self.as_str();
        let (mut bound, mut at) = (String::with_capacity(text.len()), 0);
        for one in &taken {
            bound.push_str(&text[at..one.span.start]);
            bound.push_str(result(one)?.as_str());
            at = one.span.end;
        }
        bound.push_str(&text[at..]);
        Ok(Self::from_text(&bound).expect("a value was put in the place of a value"))
    }

    /// What a JSON pointer finds, as it is written; of equal keys the last one.
    pub fn at(&self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self.clone());
        }
        let steps: Vec<_> = steps(pointer).collect();
        let outline = Outline::new(self.as_str(), steps.len());
        let mut value = 0;
        for step in &steps {
            value = match outline.text(value).as_bytes().first() {
                Some(b'{') => {
                    let members = outline.members(value);
                    members.into_iter().rfind(|(key, _)| key == step)?.1
                }
                Some(b'[') => outline.parts(value).nth(index(step)?)?,
                _ => return None,
            };
        }
        Self::from_text(outline.text(value)).ok()
    }
}

/// The place in an array that a step of a pointer names.
fn index(step: &str) -> Option<usize> {
    let index: usize = step.parse().ok()?;
    (index.to_string() == *step).then_some(index)
}

fn search(
    outline: &Outline<'_>,
    value: usize,
    place: String,
    taken: &mut Vec<Taken>,
    faults: &mut Vec<Fault>,
) {
    let text = outline.text(value);
    let members = outline.members(value);
    if let Some((_, marked)) = members.iter().find(|(key, _)| key == MARK) {
        let whole = outline.span(value);
        match read(outline.text(*marked), members.len()) {
            Ok((step, pointer)) => taken.push(Taken {
                place,
                step,
                pointer,
                span: whole,
            }),
            Err(message) => faults.push(Fault::new(place, message)),
        }
        return;
    }
    for (key, member) in members {
        let below = format!("{place}/{}", escaped(&key));
        search(outline, member, below, taken, faults);
    }
    if text.starts_with('[') {
        for (index, part) in outline.parts(value).enumerate() {
            search(outline, part, format!("{place}/{index}"), taken, faults);
        }
    }
    if outline.is_closed(value) && text.contains(MARK) {
        let message = format!("is nested deeper than {SEARCHED_LEVELS} levels");
        faults.push(Fault::new(place, message));
    }
}

/// The step and the pointer that a mark names.
fn read(mark: &str, members: usize) -> Result<(String, String), String> {
    if members != 1 {
        return Err(format!("has {MARK}, so it must have no other members"));
    }
    let Ok(name) = serde_json::from_str::<String>(mark) else {
        return Err(format!(
            "{MARK} must be a string: the name of a step, or \"step#/pointer\""
        ));
    };
    let (step, pointer) = name.split_once('#').unwrap_or((&name, ""));
    let is_pointer = pointer.is_empty() || pointer.starts_with('/');
    let mut tildes = pointer.split('~').skip(1);
    if !is_pointer || !tildes.all(|rest| rest.starts_with(['0', '1'])) {
        return Err(format!(
            "{MARK}: {pointer:?} is no JSON pointer; it begins with a slash, and ~ is ~0, / is ~1"
        ));
    }
    Ok((step.to_owned(), pointer.to_owned()))
}

fn escaped(key: &str) -> Cow<'_, str> {
    match key.contains(['~', '/']) {
        true => Cow::Owned(key.replace('~', "~0").replace('/', "~1")),
        false => Cow::Borrowed(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::from_text(text).expect("json")
    }

    #[test]
    fn results_are_found_wherever_they_stand() {
        let kwargs = json(
            r#"{"a":{"$result":"x"},"b/c":[1,{"d":{ "\u0024result" : "y#/p/0" }}],"$":"$result"}"#,
        );
        let found = kwargs.results().expect("well-formed");
        let found: Vec<_> = found
            .iter()
            .map(|one| (&*one.place, &*one.step, &*one.pointer))
            .collect();
        assert_eq!(found, [("/a", "x", ""), ("/b~1c/1/d", "y", "/p/0")]);
        assert_eq!(json(r#"{"a":1}"#).results(), Ok(Vec::new()));
        assert!(kwargs.takes_results() && json(r#"[{"$result":1}]"#).takes_results());
        assert!(!json(r#"{"a":"$result"}"#).takes_results());
    }

    #[test]
    fn what_is_around_a_result_stays_as_it_is() {
        let kwargs = json(r#"{ "n":1.0, "a" : {"$result":"x#/v"}, "b":[{"$result":"y"} ] }"#);
        let bound = kwargs.with_results(|taken| match &*taken.step {
            "x" => Ok(json("18446744073709551615")),
            _ => Err(taken.pointer.clone()),
        });
        assert_eq!(bound, Err(String::new()));
        let bound = kwargs.with_results(|_| Ok::<_, ()>(json(r#"{"z":1,"a":2}"#)));
        let expected = r#"{ "n":1.0, "a" : {"z":1,"a":2}, "b":[{"z":1,"a":2} ] }"#;
        assert_eq!(bound.expect("bound").as_str(), expected);
    }

    /// What a result brings along is no kwarg of the flow's, whatever it looks like.
    #[test]
    fn a_result_that_looks_like_one_is_left_alone() {
        let kwargs = json(r#"{"a":{"$result":"x"}}"#);
        let bound = kwargs.with_results(|_| Ok::<_, ()>(json(r#"{"$result":"y"}"#)));
        assert_eq!(bound.expect("bound").as_str(), r#"{"a":{"$result":"y"}}"#);
    }

    #[test]
    fn a_pointer_finds_what_it_names() {
        let result = json(r#"{"a":{"b/c":[1.0,{"~":null}]},"a/b":2,"":3}"#);
        for (pointer, found) in [
            ("", Some(result.as_str())),
            ("/a/b~1c/0", Some("1.0")),
            ("/a/b~1c/1/~0", Some("null")),
            ("/a~1b", Some("2")),
            ("/", Some("3")),
            ("/a/b~1c/2", None),
            ("/a/b~1c/00", None),
            ("/a/b~1c/-", None),
            ("/a/b~1c/0/x", None),
            ("/x", None),
        ] {
            let at = result.at(pointer);
            assert_eq!(at.as_ref().map(Json::as_str), found, "{pointer}");
        }
    }

    #[test]
    fn malformed_ones_are_all_told_with_their_places() {
        let deep = format!(
            "{}{{\"$result\":\"x\"}}{}",
            "[".repeat(SEARCHED_LEVELS),
            "]".repeat(SEARCHED_LEVELS)
        );
        let kwargs = json(&format!(
            r#"{{"a":{{"$result":5}},"b":[{{"$result":"x","y":1}}],"c":{{"$result":"x#no"}},"d":{{"$result":"x#/~2"}},"e":{deep}}}"#
        ));
        let faults = kwargs.results().expect_err("malformed");
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(places[..4], ["/a", "/b/0", "/c", "/d"]);
        assert!(faults[4].message.contains("128 levels"), "{faults:?}");
    }
}
