//! The paths that a source file names, found in its text: no compiler is asked. Comments and
//! literals do not count.

use std::collections::{BTreeMap, BTreeSet};

/// A path such as `["crate", "engine", "executor", "Executor"]`, with where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    /// From 1.
    pub(crate) line: usize,
    /// With `crate`, or the name of another crate, in front; `self` and `super` are resolved.
    pub(crate) path: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

/// All paths of more than one part, and everything imported, in a file that is this module.
pub(crate) fn named_paths(source: &str, module: &[String]) -> BTreeSet<Named> {
    let mut reader = Reader {
        tokens: tokens(source),
        at: 0,
        depth: 0,
        inline: Vec::new(),
        module: module.to_vec(),
        aliases: BTreeMap::new(),
        found: BTreeSet::new(),
        later: Vec::new(),
    };
    reader.read();
    reader.found
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    /// How many braces are open.
    depth: usize,
    /// Modules within the file, each with the depth of its braces.
    inline: Vec<(String, usize)>,
    module: Vec<String>,
    /// What was imported under which name.
    aliases: BTreeMap<String, Vec<String>>,
    found: BTreeSet<Named>,
    /// Paths that begin with neither a crate nor `self` or `super`.
    later: Vec<Named>,
}

impl Reader {
    fn read(&mut self) {
        while self.at < self.tokens.len() {
            match self.text(0) {
                "{" => self.depth += 1,
                "}" => {
                    self.depth = self.depth.saturating_sub(1);
                    self.inline.retain(|(_, depth)| *depth <= self.depth);
                }
                "mod" if self.text(2) == "{" => {
                    let name = self.text(1).to_owned();
                    self.depth += 1;
                    self.inline.push((name, self.depth));
                    self.at += 2;
                }
                // Not `use<'a>`, which is a bound.
                "use" if self.text(1) != "<" => {
                    self.at += 1;
                    self.tree(&[]);
                    continue;
                }
                text if is_name(text) && self.text(1) == "::" => {
                    self.expression();
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        for Named { line, path } in std::mem::take(&mut self.later) {
            let path = match self.aliases.get(&path[0]) {
                Some(alias) => alias.iter().chain(&path[1..]).cloned().collect(),
                None => path,
            };
            self.found.insert(Named { line, path });
        }
    }

    fn text(&self, ahead: usize) -> &str {
        self.tokens
            .get(self.at + ahead)
            .map_or("", |token| token.text.as_str())
    }

    /// One `use` tree, of which `prefix` is read already.
    fn tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        while self.at < self.tokens.len() {
            let text = self.text(0).to_owned();
            self.at += 1;
            match text.as_str() {
                "::" => {}
                "{" => {
                    while !matches!(self.text(0), "}" | ";" | "") {
                        self.tree(&path);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    let alias = self.text(0).to_owned();
                    self.at += 1;
                    return self.imported(line, path, alias);
                }
                "," | ";" | "}" => {
                    self.at -= 1;
                    break;
                }
                "self" if !path.is_empty() && path.last().is_some_and(|part| part != "super") => {}
                _ => path.push(text),
            }
        }
        let alias = path.last().cloned().unwrap_or_default();
        self.imported(line, path, alias);
    }

    fn imported(&mut self, line: usize, path: Vec<String>, alias: String) {
        let path = self.resolved(path);
        self.aliases.insert(alias, path.clone());
        self.found.insert(Named { line, path });
    }

    fn expression(&mut self) {
        let line = self.tokens[self.at].line;
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && is_name(self.text(1)) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        if self.text(0) == "::" {
            self.at += 1;
        }
        let local = !matches!(path[0].as_str(), "crate" | "self" | "super");
        let path = self.resolved(path);
        let named = Named { line, path };
        if local {
            self.later.push(named);
        } else {
            self.found.insert(named);
        }
    }

    /// With `self` and `super` replaced by the module that they mean.
    fn resolved(&self, path: Vec<String>) -> Vec<String> {
        if !matches!(path[0].as_str(), "self" | "super") {
            return path;
        }
        let mut whole = vec!["crate".to_owned()];
        whole.extend(self.module.iter().cloned());
        whole.extend(self.inline.iter().map(|(name, _)| name.clone()));
        let mut rest = path.into_iter().peekable();
        while let Some(part) = rest.next_if(|part| part == "self" || part == "super") {
            if part == "super" {
                whole.pop();
            }
        }
        whole.extend(rest);
        whole
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' | 'b' | 'c' if raw_string_end(&chars, at).is_some() => {
                raw_string_end(&chars, at).expect("it was there")
            }
            '\'' => character_end(&chars, at),
            c if c.is_alphanumeric() || c == '_' => {
                let length = chars[at..]
                    .iter()
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .count();
                let text = chars[at..at + length].iter().collect();
                tokens.push(Token { line, text });
                at + length
            }
            ':' if chars.get(at + 1) == Some(&':') => {
                let text = "::".to_owned();
                tokens.push(Token { line, text });
                at + 2
            }
            c if c.is_whitespace() => at + 1,
            c => {
                let text = c.to_string();
                tokens.push(Token { line, text });
                at + 1
            }
        };
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

fn line_end(chars: &[char], at: usize) -> usize {
    let length = chars[at..].iter().take_while(|c| **c != '\n').count();
    at + length
}

fn comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match chars.get(at..at + 2) {
            Some(['/', '*']) => depth += 1,
            Some(['*', '/']) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"`, `br#"…"#` and the like, if that is what begins here.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let mut open = at;
    while matches!(chars.get(open), Some('b' | 'c')) {
        open += 1;
    }
    if chars.get(open) != Some(&'r') {
        return None;
    }
    let hashes = chars[open + 1..].iter().take_while(|c| **c == '#').count();
    open += 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let is_end = |at: &usize| {
        chars[*at] == '"'
            && chars[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    let end = (open + 1..chars.len()).find(is_end)?;
    Some(end + 1 + hashes)
}

/// The end of a character literal, or of a lifetime's quote.
fn character_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let rest = chars[at + 3..].iter().position(|c| *c == '\'');
            rest.map_or(chars.len(), |rest| at + 3 + rest + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        let module = ["rpc".to_owned(), "api".to_owned()];
        named_paths(source, &module)
            .into_iter()
            .map(|named| named.path.join("::"))
            .collect()
    }

    #[test]
    fn imports_are_found_with_their_groups_and_new_names() {
        let source = "use crate::{a::{B, c as d}, e::self};\npub(super) use super::f::*;";
        assert_eq!(
            paths(source),
            ["crate::a::B", "crate::a::c", "crate::e", "crate::rpc::f::*"]
        );
    }

    #[test]
    fn what_was_imported_is_known_again() {
        let source = "use crate::journal as log;\nfn f() -> log::ReadError { log::read() }";
        assert_eq!(
            paths(source),
            [
                "crate::journal",
                "crate::journal::ReadError",
                "crate::journal::read"
            ]
        );
    }

    #[test]
    fn modules_within_a_file_count_for_super() {
        let source = "mod tests { use super::Api; fn f() { super::super::g::<T>(); } }\nfn h() { self::i::j() }";
        assert_eq!(
            paths(source),
            [
                "crate::rpc::api::Api",
                "crate::rpc::g",
                "crate::rpc::api::i::j"
            ]
        );
    }

    #[test]
    fn comments_and_literals_do_not_count() {
        let source = r##"// use crate::a;
            /* use crate::b; /* crate::c::d */ */
            const E: &str = "crate::e::f"; const G: &str = r#"crate::g"::h"#;
            fn i<'a>(j: &'a str) -> char { '"' } fn k() { '\'' ; l::m() }"##;
        assert_eq!(paths(source), ["l::m"]);
    }
}
