//! One argument of a program, as the configuration declares it: text in which `{name}` stands for a
//! kwarg. What a kwarg says stays within its argument, and does not turn it into an option unless
//! that was declared.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

use opstead_core::Json;
use serde_json::value::RawValue;

use super::error::ExecError;

/// A declared argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pieces: Vec<Piece>,
}

/// A part of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// What stands there as it was declared; never empty.
    Text(String),
    /// What an operation says.
    Kwarg {
        name: String,
        may_begin_with_dash: bool,
    },
}

/// Why a kwarg that would begin an argument with a dash is refused.
pub(super) const DASH_FAULT: &str = "must not begin with a dash, or the program would take it for \
     an option; `may_begin_with_dash` in the program's declaration can allow it";

/// Why an empty kwarg is refused where the text after it begins with a dash.
pub(super) const EMPTY_FAULT: &str = "must not be empty, or the argument would begin with the dash \
     after it; `may_begin_with_dash` in the program's declaration can allow it";

/// Why NUL is refused.
pub(super) const NUL_FAULT: &str = "must not hold NUL, which no argument can hold";

/// The kwargs of one operation, each as it is written in JSON.
pub(super) struct Kwargs(BTreeMap<String, Box<RawValue>>);

impl Argument {
    /// Reads `--size={sizeBytes}`; a doubled brace is a brace. The error says what is wrong.
    pub(super) fn parse(text: &str, may_begin_with_dash: &BTreeSet<&str>) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("an argument cannot hold NUL".to_owned());
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '{' | '}' if rest.next_if_eq(&character).is_some() => literal.push(character),
                '{' => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    let name = kwarg(&mut rest)?;
                    pieces.push(Piece::Kwarg {
                        may_begin_with_dash: may_begin_with_dash.contains(name.as_str()),
                        name,
                    });
                }
                '}' => return Err("a `}` closes nothing; write `}}` for the character".to_owned()),
                _ => literal.push(character),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// The kwargs that it takes.
    pub(super) fn kwargs(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Kwarg { name, .. } => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Its parts, in their order.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The argument with these kwargs; nothing if one of them was left out.
    pub(super) fn fill(&self, kwargs: &Kwargs) -> Result<Option<String>, ExecError> {
        let mut filled = String::new();
        let mut refused = None;
        let mut before = None;
        for piece in &self.pieces {
            let text = match piece {
                Piece::Text(text) => Cow::Borrowed(text.as_str()),
                Piece::Kwarg { name, .. } => match kwargs.text(name)? {
                    Some(text) => Cow::Owned(text),
                    None => return Ok(None),
                },
            };
            if filled.is_empty() && text.starts_with('-') {
                refused = match piece {
                    Piece::Kwarg { .. } => piece.without_dash().map(|name| (name, DASH_FAULT)),
                    Piece::Text(_) => before
                        .and_then(Piece::without_dash)
                        .map(|name| (name, EMPTY_FAULT)),
                };
            }
            filled.push_str(&text);
            before = Some(piece);
        }
        match refused {
            Some((kwarg, fault)) => Err(ExecError::ArgumentNotAllowed {
                kwarg: kwarg.to_owned(),
                fault,
            }),
            None => Ok(Some(filled)),
        }
    }
}

impl Piece {
    /// The kwarg, if it may not begin an argument with a dash.
    pub(super) fn without_dash(&self) -> Option<&str> {
        match self {
            Self::Kwarg {
                name,
                may_begin_with_dash: false,
            } => Some(name),
            _ => None,
        }
    }
}

/// Reads the name after an opening brace, and the brace that closes it.
fn kwarg(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut name = String::new();
    loop {
        match rest.next() {
            Some('}') if name.is_empty() => {
                return Err("`{}` names no kwarg; write `{{}}` for the characters".to_owned());
            }
            Some('}') => return Ok(name),
            Some(character) => name.push(character),
            None => return Err("a `{` is not closed; write `{{` for the character".to_owned()),
        }
    }
}

impl Kwargs {
    pub(super) fn parse(arguments: &Json) -> Result<Self, ExecError> {
        let members = arguments.parse();
        members
            .map(Self)
            .map_err(|error| ExecError::InvalidKwargs(error.to_string()))
    }

    /// Whether it is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A kwarg as an argument holds it, if it is there.
    fn text(&self, name: &str) -> Result<Option<String>, ExecError> {
        let Some(raw) = self.0.get(name).map(|raw| raw.get()) else {
            return Ok(None);
        };
        let refused = |fault| ExecError::ArgumentNotAllowed {
            kwarg: name.to_owned(),
            fault,
        };
        let text = match raw.as_bytes().first() {
            Some(b'"') => {
                serde_json::from_str(raw).map_err(|_| refused("is no string of Unicode"))?
            }
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => raw.to_owned(),
            _ => return Err(refused("must be a string, a number, true or false")),
        };
        match text.contains('\0') {
            true => Err(refused(NUL_FAULT)),
            false => Ok(Some(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, dashes: &[&str], kwargs: &str) -> Result<Option<String>, String> {
        let argument = Argument::parse(template, &dashes.iter().copied().collect()).unwrap();
        let kwargs = Kwargs::parse(&Json::from_text(kwargs).unwrap()).unwrap();
        argument.fill(&kwargs).map_err(|error| error.to_string())
    }

    fn filled(template: &str, kwargs: &str) -> String {
        fill(template, &[], kwargs).unwrap().unwrap()
    }

    #[test]
    fn a_value_stays_as_it_is_within_one_argument() {
        for (template, kwargs, expected) in [
            ("plain", "{}", "plain"),
            ("", "{}", ""),
            ("{a}", r#"{"a":""}"#, ""),
            ("{a}", r#"{"a":"x y'\"\\\n$(z)*"}"#, "x y'\"\\\n$(z)*"),
            ("--size={a}", r#"{"a":-5}"#, "--size=-5"),
            (
                "{a}",
                r#"{"a":18446744073709551616.50}"#,
                "18446744073709551616.50",
            ),
            ("{a}-{b}", r#"{"a":true,"b":"{a}"}"#, "true-{a}"),
            ("{{a}} }}{{", "{}", "{a} }{"),
            ("{{{a}}}", r#"{"a":"x"}"#, "{x}"),
        ] {
            assert_eq!(filled(template, kwargs), expected, "{template} {kwargs}");
        }
    }

    #[test]
    fn an_argument_goes_with_what_is_left_out() {
        assert_eq!(fill("--size={a}", &[], "{}"), Ok(None));
        assert_eq!(fill("{a}{b}", &[], r#"{"a":"x"}"#), Ok(None));
    }

    #[test]
    fn nothing_becomes_an_option_unless_declared() {
        for (template, kwargs, culprit, other, fault) in [
            ("{a}", r#"{"a":"-rf"}"#, "a", "b", DASH_FAULT),
            ("{a}", r#"{"a":-1}"#, "a", "b", DASH_FAULT),
            ("{a}", r#"{"a":-0}"#, "a", "b", DASH_FAULT),
            ("{a}-rf", r#"{"a":""}"#, "a", "b", EMPTY_FAULT),
            ("{a}{b}", r#"{"a":"","b":"-rf"}"#, "b", "a", DASH_FAULT),
            ("{a}{b}", r#"{"a":"-","b":"-rf"}"#, "a", "b", DASH_FAULT),
            ("{a}{b}-rf", r#"{"a":"","b":""}"#, "b", "a", EMPTY_FAULT),
        ] {
            let refused = fill(template, &[other], kwargs).unwrap_err();
            assert_eq!(refused, format!("kwarg {culprit:?} {fault}"));
            assert!(fill(template, &[culprit], kwargs).is_ok());
        }
        assert_eq!(filled("{a}{b}", r#"{"a":"x","b":"-rf"}"#), "x-rf");
        assert_eq!(filled("-{a}", r#"{"a":"-x"}"#), "--x");
    }

    #[test]
    fn what_no_argument_can_hold_is_refused() {
        for (kwargs, fault) in [
            (r#"{"a":"x\u0000y"}"#, "must not hold NUL"),
            (r#"{"a":null}"#, "must be a string"),
            (r#"{"a":[1]}"#, "must be a string"),
            (r#"{"a":{"b":1}}"#, "must be a string"),
            (r#"{"a":"\ud800"}"#, "is no string of Unicode"),
        ] {
            let refused = fill("{a}", &[], kwargs).unwrap_err();
            assert!(refused.contains(fault), "{refused}");
        }
    }

    #[test]
    fn braces_are_paired() {
        for bad in ["{", "{a", "a}", "{}", "{a}}", "x\0y"] {
            assert!(Argument::parse(bad, &BTreeSet::new()).is_err(), "{bad}");
        }
    }
}
