//! Asks one case in every way there is.

use opstead::filter::{Filter, FilterKind, FilterSet};

use crate::naive;

/// One pattern, with names that match and names that do not.
pub(crate) type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

pub(crate) fn parse(kind: FilterKind, pattern: &str) -> Filter {
    Filter::parse(kind, pattern).unwrap_or_else(|refusal| panic!("{kind} {pattern:?}: {refusal}"))
}

/// Every pattern of the table against every name of the table: naively, alone (often enough that a thread builds
/// its table), and in a set together with all the others. The names that a case lists must come out as listed.
pub(crate) fn check_table(kind: FilterKind, cases: &[Case]) {
    let filters: Vec<Filter> = cases
        .iter()
        .map(|(pattern, ..)| parse(kind, pattern))
        .collect();
    let mut set = crowd();
    for (number, filter) in filters.iter().enumerate() {
        set.insert(number, filter.clone());
    }
    for ((pattern, matching, others), filter) in cases.iter().zip(&filters) {
        for (name, expected) in matching
            .iter()
            .map(|name| (name, true))
            .chain(others.iter().map(|name| (name, false)))
        {
            assert_eq!(
                filter.matches(name),
                expected,
                "{kind} {pattern:?} on {name:?}"
            );
        }
    }
    let names: Vec<&str> = cases
        .iter()
        .flat_map(|(_, yes, no)| yes.iter().chain(*no))
        .copied()
        .collect();
    check_agreement(kind, &filters, &set, &names);
}

/// The filters, filed in the set under their numbers, answer as the naive way does.
pub(crate) fn check_agreement(
    kind: FilterKind,
    filters: &[Filter],
    set: &FilterSet<usize>,
    names: &[&str],
) {
    for (number, filter) in filters.iter().enumerate() {
        let naively = naive::matcher(kind, filter.pattern());
        // In one go and twice, so that the thread turns to its table.
        for name in names.iter().chain(names) {
            assert_eq!(
                filter.matches(name),
                naively(name),
                "{filter:?} on {name:?}, in a scan"
            );
        }
        for name in names {
            let expected = naively(name);
            assert_eq!(
                filter.matches(name),
                expected,
                "{filter:?} alone on {name:?}"
            );
            check_claims(filter, name, expected);
            for asked in ["first", "again"] {
                let found = set.matching(name).contains(&number);
                assert_eq!(
                    found, expected,
                    "{filter:?} in a set on {name:?}, asked {asked}"
                );
            }
        }
    }
}

/// What the filter says about its matches holds for this name.
fn check_claims(filter: &Filter, name: &str, matches: bool) {
    if matches {
        assert!(
            name.starts_with(filter.literal_head()),
            "{filter:?}: head of {name:?}"
        );
    }
    if let Some(names) = filter.exact_names() {
        assert_eq!(
            names.iter().any(|exact| exact == name),
            matches,
            "{filter:?}: exact names and {name:?}"
        );
    }
}

/// Hundreds of filters under high keys, among which others have to be found.
pub(crate) fn crowd() -> FilterSet<usize> {
    let mut set = FilterSet::new();
    for number in 0..150 {
        let key = 1_000_000 + number * 4;
        set.insert(
            key,
            parse(FilterKind::Glob, &format!("vdsm.VM.host{number}-*")),
        );
        set.insert(
            key + 1,
            parse(FilterKind::Regexp, &format!(r"vdsm\.VM\.[a-z]+-{number}")),
        );
        set.insert(key + 2, parse(FilterKind::Glob, &format!("*a{number}?b*")));
        set.insert(
            key + 3,
            parse(FilterKind::Glob, &format!("vdsm.VM.exact{number}")),
        );
    }
    set
}
