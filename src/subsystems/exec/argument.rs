//! One argument of a program, as the configuration declares it: text in which `{name}` stands for a
//! kwarg. What a kwarg says stays within its argument, and does not turn it into an option unless
//! that was declared.

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
    /// Whether its first kwarg was declared to be allowed a dash.
    may_begin_with_dash: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Kwarg(String),
}

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
                    pieces.push(Piece::Kwarg(kwarg(&mut rest)?));
                }
                '}' => return Err("a `}` closes nothing; write `}}` for the character".to_owned()),
                _ => literal.push(character),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        let may_begin_with_dash = match pieces.first() {
            Some(Piece::Kwarg(name)) => may_begin_with_dash.contains(name.as_str()),
            _ => true,
        };
        Ok(Self {
            pieces,
            may_begin_with_dash,
        })
    }

    /// The kwargs that it takes.
    pub(super) fn kwargs(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Kwarg(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The kwarg that it begins with, if that may not begin with a dash.
    pub(super) fn without_dash(&self) -> Option<&str> {
        match self.pieces.first() {
            Some(Piece::Kwarg(name)) if !self.may_begin_with_dash => Some(name),
            _ => None,
        }
    }

    /// The argument with these kwargs; nothing if one of them was left out.
    pub(super) fn fill(&self, kwargs: &Kwargs) -> Result<Option<String>, ExecError> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Kwarg(name) => match kwargs.text(name)? {
                    Some(text) => filled.push_str(&text),
                    None => return Ok(None),
                },
            }
        }
        match self.without_dash() {
            Some(name) if filled.starts_with('-') => Err(ExecError::ArgumentNotAllowed {
                kwarg: name.to_owned(),
                fault: "must not begin with `-`, or the program would take it for an option",
            }),
            _ => Ok(Some(filled)),
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
            true => Err(refused("must not hold NUL, which no argument can hold")),
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
        for (template, kwargs) in [
            ("{a}", r#"{"a":"-rf"}"#),
            ("{a}", r#"{"a":-1}"#),
            ("{a}", r#"{"a":-0}"#),
            ("{a}-rf", r#"{"a":""}"#),
            ("{a}{b}", r#"{"a":"","b":"-rf"}"#),
        ] {
            let refused = fill(template, &["b"], kwargs).unwrap_err();
            assert!(
                refused.contains("kwarg \"a\" must not begin with `-`"),
                "{refused}"
            );
            assert!(fill(template, &["a"], kwargs).is_ok());
        }
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
