//! Sets of filters: keys come and go, many share a name, many share a literal.

use opstead::filter::{Filter, FilterKind, FilterSet};

use crate::check::{crowd, parse};

fn glob(pattern: &str) -> Filter {
    parse(FilterKind::Glob, pattern)
}

#[test]
fn keys_come_in_order_and_each_once() {
    let mut set = FilterSet::new();
    for key in [3, 1, 2] {
        set.insert(key, glob("*"));
    }
    // It is filed under several literals, two of which one name holds.
    set.insert(4, parse(FilterKind::Regexp, "(ab|abc|abcd|x).*"));
    set.insert(0, glob("abcd"));
    assert_eq!(set.matching("abcd"), [0, 1, 2, 3, 4]);
    assert_eq!(set.matching("abcd"), [0, 1, 2, 3, 4]);
    assert_eq!(set.matching(""), [1, 2, 3]);
}

/// A short pattern may stand for many long names.
#[test]
fn what_a_filter_takes_counts_all_its_names() {
    let filter = glob(&format!("{}{}", "x".repeat(200), "{a,b}".repeat(8)));
    let names = filter.exact_names().unwrap();
    let name_bytes: usize = names.iter().map(String::len).sum();
    assert_eq!(names.len(), 256);
    assert!(filter.bytes() > 2 * name_bytes);
}

#[test]
fn a_literal_that_stands_in_the_name_often_counts_once() {
    let mut set = FilterSet::new();
    set.insert("key", glob("*ab*"));
    assert_eq!(set.matching("ababababab"), ["key"]);
}

#[test]
fn an_answer_does_not_outlive_a_change() {
    let mut set = FilterSet::new();
    set.insert(1, glob("vm.*"));
    assert_eq!(set.matching("vm.a"), [1]);
    set.insert(2, glob("vm.a"));
    assert_eq!(set.matching("vm.a"), [1, 2]);
    set.insert(1, glob("host.*"));
    assert_eq!(set.matching("vm.a"), [2]);
    assert!(set.remove(&2));
    assert_eq!(set.matching("vm.a"), Vec::<i32>::new());
    assert!(!set.remove(&2));
    assert_eq!(set.len(), 1);
}

#[test]
fn what_is_removed_leaves_the_others_where_they_are() {
    let patterns = [
        "*",
        "vm.*",
        "vm.*a",
        "*.vm",
        "*b*c*",
        "vm.a",
        "{vm.a,vm.b}",
        "[ab]*",
        "?",
        "vm.[a-z]",
        "x{a,b}*",
    ];
    let names = ["vm.a", "vm.b", "x.vm", "a", "bc", "xa1", "vm.za", ""];
    for removed in 0..patterns.len() {
        let mut set = crowd();
        for (key, pattern) in patterns.iter().enumerate() {
            set.insert(key, glob(pattern));
        }
        assert!(set.remove(&removed));
        for name in names {
            let expected: Vec<usize> = (0..patterns.len())
                .filter(|key| *key != removed && glob(patterns[*key]).matches(name))
                .collect();
            let found: Vec<usize> = set
                .matching(name)
                .into_iter()
                .filter(|key| *key < patterns.len())
                .collect();
            assert_eq!(found, expected, "{name:?} without {:?}", patterns[removed]);
        }
    }
}

#[test]
fn of_thousands_only_those_that_match_are_told() {
    let mut set = FilterSet::new();
    for number in 0..300 {
        for (place, (kind, pattern)) in [
            (FilterKind::Glob, format!("vm.VM.web-{number:04}*")),
            (FilterKind::Glob, format!("*.web-{number:04}.*")),
            (FilterKind::Glob, format!("vm.*-{number:04}.disk")),
            (FilterKind::Glob, format!("vm.VM.web-{number:04}.dis?")),
            (
                FilterKind::Glob,
                format!("vm.VM.web-{number:04}.{{disk,nic}}"),
            ),
            (FilterKind::Regexp, format!(r"vm\.VM\.web-{number:04}\..*")),
            (
                FilterKind::Regexp,
                format!(r"vm\.[A-Z]+\.web-{number:04}\.disk"),
            ),
            (FilterKind::Regexp, format!(r".*-{number:04}\.[a-z]+")),
            (
                FilterKind::Regexp,
                format!(r"vm\.VM\.(web|db)-{number:04}\.\w+"),
            ),
            (
                FilterKind::Regexp,
                format!(r"(?i)VM\.vm\.web-{number:04}\.disk"),
            ),
        ]
        .into_iter()
        .enumerate()
        {
            set.insert(number * 10 + place, parse(kind, &pattern));
        }
    }
    for number in [0, 42, 299] {
        let expected: Vec<usize> = (number * 10..number * 10 + 10).collect();
        assert_eq!(
            set.matching(&format!("vm.VM.web-{number:04}.disk")),
            expected
        );
    }
    assert!(set.matching("vm.VM.db").is_empty());
}
