//! Globs, case by case.

use opstead::filter::FilterKind;

use crate::check::{Case, check_table, parse};

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The protocol's own example: every VM, and its sub-objects.
    ("vdsm.VM.*", &["vdsm.VM.best_vm", "vdsm.VM.best_vm.disk.vda", "vdsm.VM."], &["vdsm.VM", "vdsm.Host.a", "xvdsm.VM.a", "vdsm.vm.a"]),
    ("*", &["", "a", "a.b/c", "é", "a\nb"], &[]),
    ("**", &["", "a.b"], &[]),
    ("a**b", &["ab", "a.b", "a*b"], &["a", "b", "abc"]),
    ("*.disk", &["vm.disk", ".disk"], &["vm.disk.a", "disk"]),
    ("*web*db*", &["web.db", "a.web-1.db-2", "webdb"], &["db.web", "wedb", "we.bdb"]),
    ("aa*aa", &["aaaa", "aaXaa"], &["aaa", "aa"]),
    ("*aab*ab", &["aabab", "aaabab", "aab.ab"], &["aab", "aabb"]),
    ("vm.VM.web-0042", &["vm.VM.web-0042"], &["vm.VM.web-00422", "vm.VM.web-004"]),
    ("?", &["a", "é", "🦀", ".", "/"], &["", "ab"]),
    ("a?c", &["abc", "aéc", "a.c", "a\nc"], &["ac", "abbc"]),
    ("??*", &["ab", "éé", "abc"], &["a", ""]),
    ("[ab]", &["a", "b"], &["c", "", "ab", "A"]),
    ("vm[a-c].x", &["vma.x", "vmc.x"], &["vmd.x", "vm.x", "vm-.x"]),
    ("[!a-c]", &["d", "é", "!", "."], &["a", "b", "c", ""]),
    ("[^a]", &["^", "a"], &["b", ""]),
    ("[]]", &["]"], &["[", "[]]"]),
    ("[!]a]", &["b", "["], &["]", "a"]),
    ("[]-a]", &["]", "^", "_", "`", "a"], &["-", "b", "\\"]),
    ("[a-]", &["a", "-"], &["b"]),
    ("[-a]", &["a", "-"], &["b"]),
    ("[a!]", &["a", "!"], &["b"]),
    ("[*?{,}]", &["*", "?", "{", ",", "}"], &["a", ""]),
    (r"[\]\\]", &["]", "\\"], &["a"]),
    (r"[\a-\c]", &["a", "b", "c"], &["-", "\\", "d"]),
    ("[α-ω]", &["α", "μ"], &["a", "Ω"]),
    ("{a,b}", &["a", "b"], &["", "ab", "{a,b}"]),
    ("vm.{VM,Host}.{a,b}*", &["vm.VM.a", "vm.Host.bcd"], &["vm.VM.c", "vm.Disk.a"]),
    ("{a,{b,c}d}e", &["ae", "bde", "cde"], &["be", "de", "ade"]),
    ("a{,b}c", &["ac", "abc"], &["abbc", "a"]),
    ("{a}", &["a"], &["{a}"]),
    ("{*.a,b?}", &["x.a", "b1"], &["b", "a"]),
    (r"{a\,b,c\}}", &["a,b", "c}"], &["a", "b", "c"]),
    ("{[,],[}]}", &[",", "}"], &["", "["]),
    ("a,b", &["a,b"], &["a", "b"]),
    ("a]b", &["a]b"], &["ab"]),
    (r"\*\?\[\{\}\\", &["*?[{}\\"], &["a", ""]),
    (r"\a", &["a"], &["\\a"]),
    ("a.b+c(d)|^$#", &["a.b+c(d)|^$#"], &["aXb+c(d)|^$#", "a"]),
    ("é*ü", &["éü", "é.ü"], &["e.u", "é"]),
    ("{é,è}*", &["é1", "è"], &["e", "ê"]),
];

/// Protocol §4: globs.
#[test]
fn globs_match_as_the_protocol_says() {
    check_table(FilterKind::Glob, CASES);
}

#[test]
fn the_literal_head_is_as_long_as_can_be() {
    for (pattern, head) in [
        ("*", ""),
        ("vm.VM.web-0042*", "vm.VM.web-0042"),
        ("vm.VM.web-0042", "vm.VM.web-0042"),
        ("vm.{VM,Volume}.?", "vm.V"),
        ("vm.{a,b}", "vm."),
        (r"vm\*[ab]*", "vm*"),
        ("vm.[é]*", "vm.é"),
        // Two characters that begin with the same byte have no common head.
        ("x{é,è}*", "x"),
        ("x[éè]?", "x"),
    ] {
        assert_eq!(
            parse(FilterKind::Glob, pattern).literal_head(),
            head,
            "{pattern}"
        );
    }
    let long = format!("{}[ab]?", "long.".repeat(100));
    assert_eq!(
        parse(FilterKind::Glob, &long).literal_head(),
        "long.".repeat(100)
    );
}

#[test]
fn finite_sets_are_spelled_out() {
    for (pattern, names) in [
        ("vm.a", &["vm.a"][..]),
        (r"vm.\*", &["vm.*"]),
        ("vm.{b,a,b}", &["vm.a", "vm.b"]),
        ("{a,b}[12]", &["a1", "a2", "b1", "b2"]),
    ] {
        assert_eq!(
            parse(FilterKind::Glob, pattern)
                .exact_names()
                .expect("a finite set"),
            names,
            "{pattern}"
        );
    }
    for pattern in ["vm.*", "?", "[!a]", "{a,b*}", "[0-9][0-9][0-9]"] {
        assert_eq!(
            parse(FilterKind::Glob, pattern).exact_names(),
            None,
            "{pattern}"
        );
    }
    assert_eq!(
        parse(FilterKind::Glob, "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}")
            .exact_names()
            .expect("a finite set")
            .len(),
        256
    );
}
