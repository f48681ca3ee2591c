//! Results of other steps in kwargs: `{"$result": "step"}` stands for the result of that step,
//! `{"$result": "step#/pointer"}` for what the JSON pointer finds in it. What is around them stays as
//! it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::outline::Outline;
use super::{Json, steps};
use crate::refusal::Fault;

/// The only member of an object that stands for a result.
const MARK: &str = "$result";

/// How deep results are looked for. Each level is a stack frame, so it may not be the sender's
/// choice.
const SEARCHED_LEVELS: usize = 128;

/// How much of a name is shown in a place.
const SHOWN_CHARACTERS: usize = 200;

/// How many faults are told of one text. Each tells its place, which may be as long as the sender
/// likes.
pub(crate) const MOST_FAULTS: usize = 100;

/// A place in kwargs that takes a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where it stands in the kwargs.
    pub place: Place,
    /// Whose result it takes.
    pub step: String,
    /// Which part of it, as a JSON pointer; empty for all of it.
    pub pointer: String,
    /// What it is written in.
    span: Range<usize>,
}

/// A place in a text, shown as a JSON pointer. Places within one another share what they have in
/// common: a name may be as long as the text, and much may stand below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(Option<Arc<(Self, String)>>);

impl Place {
    fn below(&self, name: String) -> Self {
        Self(Some(Arc::new((self.clone(), name))))
    }

    /// The names on the way to it.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut place = self;
        while let Some((above, name)) = place.0.as_deref() {
            names.push(name.as_str());
            place = above;
        }
        names.reverse();
        names
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        names
            .iter()
            .try_for_each(|name| match name.char_indices().nth(SHOWN_CHARACTERS) {
                None => write!(formatter, "/{}", escaped(name)),
                Some((end, _)) => write!(formatter, "/{}…", escaped(&name[..end])),
            })
    }
}

impl Json {
    /// Whether a result is taken anywhere in it, well-formed or not.
    pub fn takes_results(&self) -> bool {
        self.results().map_or(true, |taken| !taken.is_empty())
    }

    /// Every place that takes a result, in the order in which they are written, or what is wrong with
    /// them.
    pub fn results(&self) -> Result<Vec<Taken>, Vec<Fault>> {
        let (mut taken, mut faults) = (Vec::new(), Vec::new());
        // A key can be written with escapes.
        if self.as_str().contains(['$', '\\']) {
            let outline = Outline::new(self.as_str(), SEARCHED_LEVELS);
            search(&outline, 0, &Place::default(), &mut taken, &mut faults);
        }
        if faults.is_empty() {
            Ok(taken)
        } else {
            Err(faults)
        }
    }

    /// The same with other values in the places that take results, of which each has its own.
    pub fn with_results(&self, taken: &[Taken], values: &[&str]) -> Self {
        let text = self.as_str();
        let (mut bound, mut at) = (String::with_capacity(text.len()), 0);
        for (one, value) in taken.iter().zip(values) {
            bound.push_str(&text[at..one.span.start]);
            bound.push_str(value);
            at = one.span.end;
        }
        bound.push_str(&text[at..]);
        Self::from_text(&bound).expect("a value was put in the place of a value")
    }

    /// What each of these JSON pointers finds, as it is written; of equal keys the last one. However
    /// many they are, the text is read once, and of what they lead through each value.
    pub fn parts(&self, pointers: &[&str]) -> Vec<Option<&str>> {
        let levels = pointers.iter().map(|pointer| pointer.matches('/').count());
        let outline = match levels.max() {
            None | Some(0) => return vec![Some(self.as_str()); pointers.len()],
            Some(levels) => Outline::new(self.as_str(), levels),
        };
        let mut opened = BTreeMap::new();
        let find = |pointer: &&str| find(&outline, &mut opened, pointer);
        pointers.iter().map(find).collect()
    }
}

/// What stands directly in a value, by what a pointer calls it.
enum Opened<'a> {
    Members(BTreeMap<Cow<'a, str>, usize>),
    Items(Vec<usize>),
}

/// What a pointer finds. What it leads through is opened once, also for those that come after.
fn find<'a>(
    outline: &Outline<'a>,
    opened: &mut BTreeMap<usize, Opened<'a>>,
    pointer: &str,
) -> Option<&'a str> {
    let mut value = 0;
    for step in steps(pointer).filter(|_| !pointer.is_empty()) {
        let within = opened.entry(value);
        let within = within.or_insert_with(|| match outline.text(value).starts_with('{') {
            true => Opened::Members(outline.members(value).into_iter().collect()),
            false => Opened::Items(outline.parts(value).collect()),
        });
        value = match within {
            Opened::Members(members) => *members.get(&step)?,
            Opened::Items(items) => *items.get(index(&step)?)?,
        };
    }
    Some(outline.text(value))
}

/// The place in an array that a step of a pointer names.
fn index(step: &str) -> Option<usize> {
    let index: usize = step.parse().ok()?;
    (index.to_string() == *step).then_some(index)
}

fn search(
    outline: &Outline<'_>,
    value: usize,
    place: &Place,
    taken: &mut Vec<Taken>,
    faults: &mut Vec<Fault>,
) {
    if faults.len() >= MOST_FAULTS {
        return;
    }
    let text = outline.text(value);
    let members = outline.members(value);
    if let Some((_, marked)) = members.iter().find(|(key, _)| key == MARK) {
        let whole = outline.span(value);
        match read(outline.text(*marked), members.len()) {
            Ok((step, pointer)) => taken.push(Taken {
                place: place.clone(),
                step,
                pointer,
                span: whole,
            }),
            Err(message) => faults.push(Fault::new(place.to_string(), message)),
        }
        return;
    }
    for (key, member) in members {
        search(
            outline,
            member,
            &place.below(key.into_owned()),
            taken,
            faults,
        );
    }
    if text.starts_with('[') {
        for (index, part) in outline.parts(value).enumerate() {
            search(
                outline,
                part,
                &place.below(index.to_string()),
                taken,
                faults,
            );
        }
    }
    if outline.is_closed(value) && text.contains(MARK) {
        let message = format!("is nested deeper than {SEARCHED_LEVELS} levels");
        faults.push(Fault::new(place.to_string(), message));
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
            .map(|one| (one.place.to_string(), &*one.step, &*one.pointer))
            .collect();
        let expected = [("/a", "x", ""), ("/b~1c/1/d", "y", "/p/0")];
        assert_eq!(
            found,
            expected.map(|(at, step, part)| (at.into(), step, part))
        );
        assert_eq!(json(r#"{"a":1}"#).results(), Ok(Vec::new()));
        assert!(kwargs.takes_results() && json(r#"[{"$result":1}]"#).takes_results());
        assert!(!json(r#"{"a":"$result"}"#).takes_results());
    }

    #[test]
    fn what_is_around_a_result_stays_as_it_is() {
        let kwargs = json(r#"{ "n":1.0, "a" : {"$result":"x#/v"}, "b":[{"$result":"y"} ] }"#);
        let taken = kwargs.results().expect("well-formed");
        let bound = kwargs.with_results(&taken, &["18446744073709551615", r#"{"z":1,"a":2}"#]);
        let expected = r#"{ "n":1.0, "a" : 18446744073709551615, "b":[{"z":1,"a":2} ] }"#;
        assert_eq!(bound.as_str(), expected);
        // What a result brings along is no kwarg of the flow's, whatever it looks like.
        let bound = kwargs.with_results(&taken, &["1", r#"{"$result":"y"}"#]);
        let expected = r#"{ "n":1.0, "a" : 1, "b":[{"$result":"y"} ] }"#;
        assert_eq!(bound.as_str(), expected);
        let none = json(" [1 ]");
        assert_eq!(none.with_results(&[], &[]), none);
    }

    #[test]
    fn a_pointer_finds_what_it_names() {
        let result = json(r#"{"a":{"b/c":[1.0,{"~":null}]},"a/b":0,"":3,"a\/b":2}"#);
        let cases = [
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
        ];
        for (pointer, found) in cases {
            assert_eq!(result.parts(&[pointer]), [found], "{pointer}");
        }
        // All at once, each as if it were alone.
        let (pointers, found): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
        assert_eq!(result.parts(&pointers), found);
        assert_eq!(result.parts(&["", ""]), [Some(result.as_str()); 2]);
    }

    /// A name above many places is written once for all of them, and told with few faults.
    #[test]
    fn a_long_name_above_many_places_is_kept_once() {
        let below = |one: &str| {
            let many = vec![one; 20_000].join(",");
            json(&format!(r#"{{"{}":[{many}]}}"#, "k".repeat(200_000)))
        };
        let kwargs = below(r#"{"$result":"x"}"#);
        let taken = kwargs.results().expect("well-formed");
        let above = |taken: &Taken| taken.place.0.as_deref().expect("below").0.clone();
        let shared = above(&taken[0]).0.expect("below the name");
        assert_eq!(taken.len(), 20_000);
        let is_shared = |place: Place| place.0.is_some_and(|own| Arc::ptr_eq(&own, &shared));
        assert!(taken.iter().all(|taken| is_shared(above(taken))));
        let faults = below(r#"{"$result":1}"#).results().expect_err("malformed");
        assert_eq!(faults.len(), MOST_FAULTS);
        assert!(faults.iter().all(|fault| fault.pointer.len() < 1_000));
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
