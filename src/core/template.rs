//! Templates: names made from kwargs, as `Image.{image}`. Values enter as they stand, dots included.

use std::borrow::Cow;

use crate::refusal::Fault;

/// The most characters of an id, or of a value that enters a name.
pub(crate) const NAME_CHARACTERS: usize = 200;

/// The members of the kwargs, the values as they are written.
pub(crate) type Members<'a> = [(Cow<'a, str>, &'a str)];

/// Fills a template. Adds what is wrong to the faults, each kwarg's only once; the name is then
/// worth nothing.
pub(crate) fn render(template: &str, kwargs: &Members<'_>, faults: &mut Vec<Fault>) -> String {
    let mut blame = |fault| {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    };
    let mut name = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((kwarg, after)) = after.split_once('}') else {
            let message = format!("the template {template:?} has a brace that is not closed");
            blame(Fault::new("/kwargs", message));
            break;
        };
        name.push_str(before);
        match value(kwarg, kwargs) {
            Ok(value) => name.push_str(&value),
            Err(fault) => blame(fault),
        }
        rest = after;
    }
    name.push_str(rest);
    name
}

/// The kwargs that a template takes, or what is wrong with it.
pub(crate) fn kwargs_of(template: &str) -> Result<Vec<&str>, &'static str> {
    let mut kwargs = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (kwarg, after) = after
            .split_once('}')
            .ok_or("has a brace that is not closed")?;
        if before.contains('}') || kwarg.contains('{') {
            return Err("has braces within braces, or one that is not opened");
        }
        if kwarg.is_empty() {
            return Err("names no kwarg between its braces");
        }
        kwargs.push(kwarg);
        rest = after;
    }
    if rest.contains('}') {
        return Err("has a brace that is not opened");
    }
    Ok(kwargs)
}

/// What is wrong with a name, if anything.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    let good = (1..=NAME_CHARACTERS).contains(&name.chars().count())
        && !name.chars().any(char::is_control);
    (!good).then_some("must have 1 to 200 printable characters")
}

fn value(kwarg: &str, kwargs: &Members<'_>) -> Result<String, Fault> {
    let fault = |message: &str| {
        let escaped = kwarg.replace('~', "~0").replace('/', "~1");
        Fault::new(format!("/kwargs/{escaped}"), message)
    };
    let raw = kwargs
        .iter()
        .rfind(|(key, _)| key == kwarg)
        .ok_or_else(|| fault("is missing; a name is made from it"))?
        .1;
    let value = match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).map_err(|_| fault("is not a valid string"))?,
        Some(b'-' | b'0'..=b'9') => raw.to_owned(),
        Some(b'{') if raw.contains("\"$result\"") => {
            return Err(fault(
                "must be said outright, not be taken from a result; a name is made from it",
            ));
        }
        _ => {
            return Err(fault(
                "must be a string or a number; a name is made from it",
            ));
        }
    };
    match name_fault(&value) {
        Some(message) => Err(fault(message)),
        None => Ok(value),
    }
}
