//! What is no filter, and where the refusal points.

use opstead::filter::{Filter, FilterKind, MAX_PATTERN_BYTES, UnknownFilterKind};

use crate::check::parse;

fn check_refused(kind: FilterKind, pattern: &str, position: usize, says: &str) {
    match Filter::parse(kind, pattern) {
        Ok(_) => panic!("{kind} {pattern:?} was taken"),
        Err(refusal) => {
            assert_eq!(refusal.position, position, "{kind} {pattern:?}: {refusal}");
            assert!(
                refusal.message.contains(says),
                "{kind} {pattern:?}: {refusal}"
            );
        }
    }
}

/// Protocol §4: an empty or malformed filter is refused with the position.
#[test]
fn malformed_globs_are_refused_at_their_place() {
    for (pattern, position, says) in [
        ("", 0, "empty"),
        ("[", 0, "never closed"),
        ("vm.[ab", 3, "`[ab]`, `[a-z]` or `[!ab]`"),
        ("éé[", 2, "never closed"),
        ("[]", 0, "never closed"),
        ("[!]", 0, "never closed"),
        ("[a-", 0, "never closed"),
        (r"[a\]", 0, "never closed"),
        ("[z-a]", 1, "wrong way round"),
        ("é[ab-\\a]", 3, "wrong way round"),
        ("a{b,c", 1, "never closed"),
        ("{a,{b}", 0, "never closed"),
        ("{a,{b", 3, "never closed"),
        ("{[}]", 0, "never closed"),
        ("a}b", 1, "closes nothing"),
        ("{a}}", 3, "closes nothing"),
        ("a{}", 1, "empty"),
        ("ab\\", 2, "escapes nothing"),
        ("[\\", 1, "escapes nothing"),
    ] {
        check_refused(FilterKind::Glob, pattern, position, says);
    }
    check_refused(FilterKind::Glob, &"{".repeat(101), 100, "100 levels");
    parse(
        FilterKind::Glob,
        &format!("{}*{}", "{a,".repeat(100), "}".repeat(100)),
    );
}

/// Protocol §4: an empty or malformed filter is refused with the position.
#[test]
fn malformed_regexps_are_refused_at_their_place() {
    for (pattern, position, says) in [
        ("", 0, "empty"),
        ("a)|(b", 1, "unopened group"),
        ("é(b", 1, "unclosed group"),
        ("ab[c", 2, "unclosed character class"),
        ("é*é**{2", 5, "repetition"),
        ("*a", 0, "repetition"),
        ("vm(?=a)", 2, "look-around"),
        (r"(a)é\1", 4, "backreferences"),
        (r"aé\pX", 2, "Unicode property"),
        (r"(?-u:\xFF)", 5, "UTF-8"),
    ] {
        check_refused(FilterKind::Regexp, pattern, position, says);
    }
}

/// Protocol §4: a filter over 16 KiB is refused with the position.
#[test]
fn a_filter_over_16_kib_is_refused() {
    for kind in [FilterKind::Glob, FilterKind::Regexp] {
        let longest = "a".repeat(MAX_PATTERN_BYTES);
        assert!(parse(kind, &longest).matches(&longest));
        check_refused(kind, &(longest + "a"), MAX_PATTERN_BYTES, "at most 16384");
        check_refused(
            kind,
            &"é".repeat(MAX_PATTERN_BYTES),
            MAX_PATTERN_BYTES / 2,
            "at most 16384",
        );
    }
}

/// Protocol §4: one that compiles to over 1 MiB is refused with the position.
#[test]
fn a_filter_that_compiles_to_over_1_mib_is_refused() {
    for pattern in [
        "a{1000}{1000}",
        r"\w{100000}",
        "(?:[a-z]{300}){400}",
        "((a{10}){10}){1000}x{0,1000000}",
        r"[^\x00-\x{10FFFF}]{1000000000}",
    ] {
        check_refused(FilterKind::Regexp, pattern, 0, "1048576");
    }
    // Thousands of classes are refused before they are spelled out, at the one that is too many.
    check_refused(FilterKind::Regexp, &r"\w".repeat(8192), 1024, "1048576");
    check_refused(
        FilterKind::Regexp,
        &format!("é[{}]", r"\w".repeat(8000)),
        1024,
        "1048576",
    );
}

#[test]
fn hard_looking_filters_within_the_limits_are_taken_and_take_linear_time() {
    let name = "a".repeat(1000);
    for (kind, pattern, matches) in [
        (FilterKind::Glob, "a*".repeat(1000), true),
        (FilterKind::Glob, "a*".repeat(1000) + "b", false),
        (FilterKind::Glob, "?".repeat(1000), true),
        (FilterKind::Glob, "{a,*b}".repeat(200), false),
        (FilterKind::Glob, "{?,[!b]}*".repeat(200), true),
        (FilterKind::Regexp, "(a*)*(a|aa)+b".to_owned(), false),
        (
            FilterKind::Regexp,
            "([a-z]|[0-9]){10,900}".to_owned(),
            false,
        ),
        (FilterKind::Regexp, "(a?){200}a{200}.*".to_owned(), true),
        (FilterKind::Regexp, "(){1000000000}".to_owned(), false),
    ] {
        assert_eq!(
            parse(kind, &pattern).matches(&name),
            matches,
            "{kind} {pattern:.40}"
        );
    }
}

#[test]
fn kinds_are_known_by_the_words_of_the_protocol() {
    assert_eq!("glob".parse(), Ok(FilterKind::Glob));
    assert_eq!("regexp".parse(), Ok(FilterKind::Regexp));
    assert_eq!("regex".parse(), Ok(FilterKind::Regexp));
    assert_eq!(
        "Glob".parse::<FilterKind>(),
        Err(UnknownFilterKind("Glob".to_owned()))
    );
    assert_eq!(FilterKind::Regexp.to_string(), "regexp");
}
