//! Regexps, case by case.

use opstead::filter::{Filter, FilterKind};

use crate::check::{Case, check_table, parse};

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The protocol's own example: exactly two.
    ("vdsm.VM.(best_vm|other_vm)", &["vdsm.VM.best_vm", "vdsm.VM.other_vm"], &["vdsm.VM.best_vm.disk", "vdsm.VM.third_vm", "xvdsm.VM.best_vm"]),
    (r"vdsm\.VM\..*", &["vdsm.VM.a", "vdsm.VM.a.b", "vdsm.VM."], &["vdsm.VM", "vdsmxVM.a", "vdsm.VM.a\nb"]),
    (".*", &["", "a", "é"], &["a\nb", "\n"]),
    ("(?s).*", &["", "a\nb"], &[]),
    ("(?s:.*)b.*", &["a\nb", "b"], &["b\na", "a"]),
    (".*\n.*", &["a\nb", "\n"], &["ab", "a\nb\nc"]),
    ("a|ab", &["a", "ab"], &["abb", ""]),
    ("a|b.*", &["a", "b", "bcd"], &["ab", "ac"]),
    ("^a$", &["a"], &["b", "aa"]),
    ("^vm\\..*$", &["vm.a"], &["vm", "xvm.a"]),
    ("^(a|b)$", &["a", "b"], &["ab"]),
    ("^a|b$", &["a", "b"], &["ab", "ax", "xb"]),
    ("a$.*", &["a"], &["ab"]),
    ("(?m)^a$", &["a"], &["a\n", "\na", "a\nb"]),
    ("(?m)a$\n^b", &["a\nb"], &["ab"]),
    (r"\Aa\z", &["a"], &["a\n", "ab"]),
    (".", &["a", "é", "🦀"], &["", "ab", "\n"]),
    (r"\w+", &["abc", "été", "a_1"], &["a-b", "", "a.b"]),
    (r"(?-u:\w)+", &["abc"], &["é", ""]),
    (r"\b\w+\b", &["abc", "été"], &["a b", ""]),
    (r".*\bweb\b.*", &["a.web.b", "web", "é web"], &["aweb", "éweb", "webs"]),
    (r"\d{2,3}", &["12", "123", "٣٤"], &["1", "1234"]),
    ("(?i)web-[a-c]", &["web-a", "WEB-C", "Web-b"], &["web-d", "wëb-a"]),
    ("(?i)straße.*", &["straße1", "STRAßE"], &["strasse"]),
    ("[^.]+", &["ab", "é"], &["a.b", ""]),
    (r"vm\.[^.]*\.disk", &["vm.a.disk", "vm..disk"], &["vm.a.b.disk", "vm.disk"]),
    ("(ab)*", &["", "ab", "abab"], &["a", "aba"]),
    ("(ab)+c?", &["ab", "abc", "ababc"], &["c", "abcc", ""]),
    ("(a*)*b", &["b", "aab"], &["a", "ba"]),
    ("(|a)", &["", "a"], &["b", "aa"]),
    ("()", &[""], &["a"]),
    ("web-0*42", &["web-42", "web-0042"], &["web-042x", "web-1042"]),
    ("(web|db)-(a|b)-[0-9]{2}", &["web-a-01", "db-b-99"], &["web-c-01", "db-a-1"]),
    ("(?P<name>web).*(?<end>[xy])", &["webx", "web-y"], &["web", "xweb"]),
    (".*web.*|.*db.*", &["a-web-b", "db"], &["we", "b"]),
    (r"[a&&b]|c", &["c"], &["a", "b", "ab"]),
    (r"a[^\x00-\x{10FFFF}]b", &[], &["ab", "axb", ""]),
    ("héllo.*wörld", &["héllo wörld"], &["hello world", "héllo"]),
    ("x(é|è).+", &["xé1", "xèa"], &["xe1", "xé"]),
];

/// Protocol §4: regexps, anchored at both ends, case-sensitive.
#[test]
fn regexps_match_as_the_protocol_says() {
    check_table(FilterKind::Regexp, CASES);
}

/// Wrapped into an anchored group as text, this one would be taken for something else or refused.
#[test]
fn a_regexp_is_read_alone() {
    let filter = parse(FilterKind::Regexp, "(?x)a #c");
    assert!(filter.matches("a"));
    assert!(!filter.matches("a #c"));
    assert!(Filter::parse(FilterKind::Regexp, "a)|(b").is_err());
}

#[test]
fn the_literal_head_is_as_long_as_can_be() {
    for (pattern, head) in [
        (".*", ""),
        (r"vm\.VM\.web.*", "vm.VM.web"),
        (r"^vm\.VM\.web[0-9]+$", "vm.VM.web"),
        ("vdsm.VM", "vdsm"),
        ("(?i)vm", ""),
        ("vm-(aa1|ab2).*", "vm-a"),
        ("vm-(aa1|ab2)", "vm-a"),
        ("abc?", "ab"),
        ("a|b", ""),
    ] {
        assert_eq!(
            parse(FilterKind::Regexp, pattern).literal_head(),
            head,
            "{pattern}"
        );
    }
}

#[test]
fn finite_sets_are_spelled_out() {
    for (pattern, names) in [
        (
            r"vdsm\.VM\.(best_vm|other_vm)",
            &["vdsm.VM.best_vm", "vdsm.VM.other_vm"][..],
        ),
        (r"^vm\.a$", &["vm.a"]),
        ("a{3}b?", &["aaa", "aaab"]),
    ] {
        assert_eq!(
            parse(FilterKind::Regexp, pattern)
                .exact_names()
                .expect("a finite set"),
            names,
            "{pattern}"
        );
    }
    for pattern in ["vm.", "a*", r"\ba", "[0-9]{3}", "x{2000}[ab]"] {
        assert_eq!(
            parse(FilterKind::Regexp, pattern).exact_names(),
            None,
            "{pattern}"
        );
    }
}
