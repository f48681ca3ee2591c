//! The plain ways to match, slow and obviously right, against which the filters are held.

use opstead::filter::FilterKind;

/// Whether the well-formed pattern matches the whole name. Of a glob the braces are written out, then every place
/// of every `*` is tried; a regexp is wrapped as text.
pub(crate) fn matcher(kind: FilterKind, pattern: &str) -> Box<dyn Fn(&str) -> bool> {
    match kind {
        FilterKind::Glob => {
            let globs = written_out(&pattern.chars().collect::<Vec<char>>());
            Box::new(move |name| {
                let name: Vec<char> = name.chars().collect();
                globs.iter().any(|glob| plain_matches(glob, &name))
            })
        }
        FilterKind::Regexp => {
            let wrapped = regex::Regex::new(&format!("^(?:{pattern})$"));
            let wrapped = wrapped.expect("the case is well-formed");
            Box::new(move |name| wrapped.is_match(name))
        }
    }
}

/// The globs without braces that the glob stands for.
fn written_out(pattern: &[char]) -> Vec<Vec<char>> {
    let Some(open) = find(pattern, 0, &|character, depth| {
        character == '{' && depth == 1
    }) else {
        return vec![pattern.to_vec()];
    };
    let mut ends = Vec::new();
    let mut from = open + 1;
    loop {
        let end = find(pattern, from, &|character, depth| {
            (character == ',' && depth == 0) || (character == '}' && depth == -1)
        })
        .expect("braces are closed");
        ends.push((from, end));
        if pattern[end] == '}' {
            break;
        }
        from = end + 1;
    }
    let close = ends.last().expect("there is an alternative").1;
    let mut all = Vec::new();
    for (start, end) in ends {
        let whole = [
            &pattern[..open],
            &pattern[start..end],
            &pattern[close + 1..],
        ]
        .concat();
        all.extend(written_out(&whole));
    }
    all
}

/// The first place from `from` on that is wanted, given the character and the depth of braces behind it.
fn find(pattern: &[char], from: usize, wanted: &dyn Fn(char, i32) -> bool) -> Option<usize> {
    let mut depth = 0;
    let mut at = from;
    while at < pattern.len() {
        match pattern[at] {
            '\\' => at += 1,
            '[' => at = class_end(pattern, at) - 1,
            character => {
                depth += i32::from(character == '{') - i32::from(character == '}');
                if wanted(character, depth) {
                    return Some(at);
                }
            }
        }
        at += 1;
    }
    None
}

/// The place after the bracket that closes the class which opens at `open`.
fn class_end(pattern: &[char], open: usize) -> usize {
    let mut at = open + 1;
    at += usize::from(pattern[at] == '!');
    let first = at;
    while pattern[at] != ']' || at == first {
        at += if pattern[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn plain_matches(pattern: &[char], name: &[char]) -> bool {
    match pattern.first() {
        None => name.is_empty(),
        Some('*') => (0..=name.len()).any(|skipped| plain_matches(&pattern[1..], &name[skipped..])),
        Some('?') => !name.is_empty() && plain_matches(&pattern[1..], &name[1..]),
        Some('[') => {
            let end = class_end(pattern, 0);
            !name.is_empty()
                && in_class(&pattern[1..end - 1], name[0])
                && plain_matches(&pattern[end..], &name[1..])
        }
        Some('\\') => name.first() == Some(&pattern[1]) && plain_matches(&pattern[2..], &name[1..]),
        Some(plain) => name.first() == Some(plain) && plain_matches(&pattern[1..], &name[1..]),
    }
}

fn in_class(class: &[char], character: char) -> bool {
    let negated = class[0] == '!';
    let mut rest = &class[usize::from(negated)..];
    let mut found = false;
    while !rest.is_empty() {
        let (first, after) = one(rest);
        rest = after;
        let mut last = first;
        if rest.len() >= 2 && rest[0] == '-' {
            (last, rest) = one(&rest[1..]);
        }
        found |= (first..=last).contains(&character);
    }
    found != negated
}

fn one(class: &[char]) -> (char, &[char]) {
    if class[0] == '\\' {
        (class[1], &class[2..])
    } else {
        (class[0], &class[1..])
    }
}
