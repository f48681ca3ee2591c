//! What may have been meant by a name that is not known.

use opstead_client::schema::METHODS;

/// How alike two names must be: 1 is the same.
const LEAST: f64 = 0.75;
/// The least of a name that says which one is meant by its beginning.
const BEGINNING: usize = 3;
/// No name has more characters. What is longer is not compared, for that would take long.
const LONGEST: usize = 200;

/// The method that a name is a slip of, if one is: of these, or of the daemon's own.
pub(super) fn method<'a>(
    name: &str,
    methods: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let own = METHODS.iter().map(|method| method.name);
    most_alike(name, methods.into_iter().chain(own), |name, known| {
        let short = known.split_once('.').map_or(known, |(_, short)| short);
        likeness(name, known).max(likeness(name, short))
    })
}

/// Which of these names was meant, if one was; also by its beginning, or with more behind it.
pub(super) fn name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    most_alike(name, known.into_iter(), |name, known| {
        let shorter = name.len().min(known.len());
        let begins = known.starts_with(name) || name.starts_with(known);
        match begins && shorter >= BEGINNING {
            true => LEAST.max(likeness(name, known)),
            false => likeness(name, known),
        }
    })
}

fn most_alike<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    likeness: impl Fn(&str, &str) -> f64,
) -> Option<&'a str> {
    if is_too_long(name) {
        return None;
    }
    let name = name.to_lowercase();
    let known = known.filter(|known| !is_too_long(known));
    let alike = known.map(|known| (known, likeness(&name, &known.to_lowercase())));
    let (known, likeness) = alike.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (likeness >= LEAST).then_some(known)
}

fn is_too_long(name: &str) -> bool {
    name.chars().nth(LONGEST).is_some()
}

fn likeness(name: &str, known: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(name, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_noticed_and_another_word_is_none() {
        let known = [
            "storage.copyImage",
            "storage.createImage",
            "diagnostic.noop",
        ];
        for (name, meant) in [
            ("storage.copyimage", Some("storage.copyImage")),
            ("storage.copyImgae", Some("storage.copyImage")),
            ("copyImage", Some("storage.copyImage")),
            ("storage.creatImage", Some("storage.createImage")),
            ("operations.dismis", Some("operations.dismiss")),
            ("storage.frobnicate", None),
            ("vm.start", None),
            ("", None),
        ] {
            assert_eq!(method(name, known), meant, "{name}");
        }
    }

    #[test]
    fn a_beginning_is_a_name_too() {
        let known = ["name", "methodName", "requires", "retry"];
        for (slip, meant) in [
            ("requiers", Some("requires")),
            ("require", Some("requires")),
            ("method", Some("methodName")),
            ("names", Some("name")),
            ("re", None),
            ("weight", None),
        ] {
            assert_eq!(name(slip, known), meant, "{slip}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_name_is_neither_meant_nor_a_slip() {
        let [shorter, longest, longer] = [LONGEST - 1, LONGEST, LONGEST + 1].map(|n| "ä".repeat(n));
        for (slip, known, meant) in [
            (&longest, &shorter, Some(shorter.as_str())),
            (&shorter, &longest, Some(longest.as_str())),
            (&longer, &longest, None),
            (&longest, &longer, None),
        ] {
            assert_eq!(name(slip, [known.as_str()]), meant, "{slip}");
            assert_eq!(method(slip, [known.as_str()]), meant, "{slip}");
        }
    }
}
