//! What a declared schema of kwargs may cost: how often one value is looked at, and how large its
//! patterns are. Whoever attaches an executor declares schemas, and the daemon runs them.

use std::collections::HashMap;

use opstead_core::{Fault, Json};
use regex::RegexBuilder;
use serde_json::Value;

/// The most parts of a schema that may look at one value, every `$ref` followed.
const MOST_LOOKS: u64 = 10_000;

/// How many references may lead on from one another. Who comes back to itself is followed as far.
const MOST_REFERENCES: usize = 32;

/// The most patterns of one schema.
const MOST_PATTERNS: usize = 64;

/// The most bytes of one pattern, as it is written and as it is compiled.
const MOST_PATTERN_BYTES: usize = 1_024;
const MOST_COMPILED_BYTES: usize = 1 << 20;

/// Keywords whose value is a part that looks at the same value, or a list or map of these.
const SAME: [&str; 10] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "$ref",
];

/// Keywords whose value is a part, or a list or map of parts, of which each may look at the same
/// member or element; and those of which no two do.
const EACH: [&str; 8] = [
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contains",
    "additionalItems",
    "unevaluatedItems",
    "contentSchema",
];
const ONE: [&str; 3] = ["properties", "prefixItems", "items"];

/// Keywords whose parts look at nothing by themselves.
const KEPT: [&str; 2] = ["$defs", "definitions"];

/// Those of all these whose value is a map of parts.
const MAPS: [&str; 6] = [
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Keywords by which a reference could lead elsewhere than its pointer says.
const REFUSED: [&str; 4] = ["$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor"];

/// Everything in a schema that is out of bounds. `pointer` is where it stands. What is no JSON
/// Schema at all is found by who compiles it.
pub(super) fn faults(schema: &Json, pointer: &str) -> Vec<Fault> {
    let Ok(root) = schema.parse::<Value>() else {
        return Vec::new();
    };
    let mut patterns = 0;
    let mut found = Vec::new();
    check(&root, &root, pointer, &mut patterns, &mut found);
    if patterns > MOST_PATTERNS {
        let message = format!("has {patterns} patterns, and may have {MOST_PATTERNS}");
        found.push(Fault::new(pointer, message));
    }
    let mut looks = Looks {
        root: &root,
        known: HashMap::new(),
        path: Vec::new(),
    };
    if found.is_empty() && looks.count(&root) > MOST_LOOKS {
        let message = format!(
            "refers so often, or over so many references, that over {MOST_LOOKS} of its parts \
             could look at one value; references may be {MOST_REFERENCES} deep"
        );
        found.push(Fault::new(pointer, message));
    }
    found
}

/// Collects what is wrong with each part by itself.
fn check(root: &Value, part: &Value, pointer: &str, patterns: &mut usize, found: &mut Vec<Fault>) {
    let Value::Object(members) = part else { return };
    for (keyword, value) in members {
        let at = below(pointer, keyword);
        match (keyword.as_str(), value) {
            ("pattern", Value::String(pattern)) => {
                *patterns += 1;
                found.extend(check_pattern(pattern, &at));
            }
            ("$ref", Value::String(reference)) if target(root, reference).is_none() => {
                let message = format!(
                    "{reference:?} must be \"#\", or \"#\" and a pointer to a part of this schema"
                );
                found.push(Fault::new(&at, message));
            }
            ("$id", _) if !std::ptr::eq(root, part) => {
                found.push(Fault::new(&at, "is for the whole schema only"));
            }
            (refused, _) if REFUSED.contains(&refused) => {
                found.push(Fault::new(&at, "is not taken; use $ref with a pointer"));
            }
            ("patternProperties", Value::Object(parts)) => {
                *patterns += parts.len();
                for pattern in parts.keys() {
                    found.extend(check_pattern(pattern, &below(&at, pattern)));
                }
            }
            _ => {}
        }
        for (name, part) in parts(keyword, value) {
            let at = name.map_or(at.clone(), |name| below(&at, &name));
            check(root, part, &at, patterns, found);
        }
    }
}

/// The parts of a schema under a keyword, with their names or numbers if there may be several.
fn parts<'a>(keyword: &str, value: &'a Value) -> Vec<(Option<String>, &'a Value)> {
    let is_among = |keywords: &[&str]| keywords.contains(&keyword);
    if !(is_among(&SAME) || is_among(&EACH) || is_among(&ONE) || is_among(&KEPT)) {
        return Vec::new();
    }
    match value {
        Value::Object(map) if is_among(&MAPS) => {
            let named = map.iter().map(|(name, part)| (Some(name.clone()), part));
            named.collect()
        }
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            let numbered = numbered.map(|(number, part)| (Some(number.to_string()), part));
            numbered.collect()
        }
        Value::Object(_) => vec![(None, value)],
        _ => Vec::new(),
    }
}

fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The part that a reference leads to.
fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

fn check_pattern(pattern: &str, pointer: &str) -> Option<Fault> {
    if pattern.len() > MOST_PATTERN_BYTES {
        let message = format!("is over {MOST_PATTERN_BYTES} bytes");
        return Some(Fault::new(pointer, message));
    }
    let built = RegexBuilder::new(&narrowed(pattern))
        .size_limit(MOST_COMPILED_BYTES)
        .build();
    match built {
        Err(regex::Error::CompiledTooBig(most)) => {
            let message = format!("is over {most} bytes when it is compiled; repeat less");
            Some(Fault::new(pointer, message))
        }
        _ => None,
    }
}

/// The pattern with the classes of letters and digits that JSON Schema means, which are those of
/// ECMA 262 and much smaller than those of Unicode.
fn narrowed(pattern: &str) -> String {
    let mut narrowed = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            narrowed.push(character);
            continue;
        }
        match characters.next() {
            Some('d') => narrowed += "[0-9]",
            Some('D') => narrowed += "[^0-9]",
            Some('w') => narrowed += "[0-9A-Za-z_]",
            Some('W') => narrowed += "[^0-9A-Za-z_]",
            escaped => {
                narrowed.push('\\');
                narrowed.extend(escaped);
            }
        }
    }
    narrowed
}

/// Counts how many parts of a schema look at one value, or at what is within it along one way.
struct Looks<'a> {
    root: &'a Value,
    /// What is counted already, by part and by how many references led there.
    known: HashMap<(*const Value, usize), u64>,
    /// Where references have led to get here.
    path: Vec<*const Value>,
}

impl<'a> Looks<'a> {
    fn count(&mut self, part: &'a Value) -> u64 {
        let key = (std::ptr::from_ref(part), self.path.len());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let Value::Object(members) = part else {
            return 1;
        };
        let (mut all, mut most) = (1_u64, 0);
        for (keyword, value) in members {
            if let ("$ref", Value::String(reference)) = (keyword.as_str(), value) {
                all = all.saturating_add(self.follow(reference));
                continue;
            }
            if KEPT.contains(&keyword.as_str()) {
                continue;
            }
            let counts = parts(keyword, value);
            let counts = counts.into_iter().map(|(_, part)| self.count(part));
            if ONE.contains(&keyword.as_str()) {
                most = counts.fold(most, u64::max);
            } else {
                all = counts.fold(all, u64::saturating_add);
            }
        }
        let looks = all.saturating_add(most);
        self.known.insert(key, looks);
        looks
    }

    fn follow(&mut self, reference: &str) -> u64 {
        let Some(part) = target(self.root, reference) else {
            return 0;
        };
        let place = std::ptr::from_ref(part);
        if self.path.len() == MOST_REFERENCES {
            // It goes round, and one round is like the other; or nobody knows what follows.
            return if self.path.contains(&place) {
                0
            } else {
                u64::MAX
            };
        }
        self.path.push(place);
        let looks = self.count(part);
        self.path.pop();
        looks
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(schema: &Value) -> Vec<String> {
        let schema = Json::from_value(schema).expect("a schema is JSON");
        let faults = faults(&schema, "/s");
        faults.iter().map(|fault| fault.pointer.clone()).collect()
    }

    #[test]
    fn what_is_usual_is_within_bounds() {
        let of_size = |size: usize| (0..size).map(|number| (format!("p{number}"), json!({})));
        for schema in [
            json!(true),
            json!({"pattern": r"^[\w.-]{1,128}$", "type": "string"}),
            json!({"properties": {"pattern": {"$ref": "#"}, "$ref": {"type": "string"}}}),
            json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}),
            json!({"items": {"$ref": "#/$defs/a~1b"}, "$defs": {"a/b": {"items": {"$ref": "#"}}}}),
            json!({"properties": Value::Object(of_size(1_000).collect())}),
            json!({"enum": [{"$ref": "https://x.example"}], "const": {"pattern": "(a{99}){99}"}}),
        ] {
            assert_eq!(told(&schema), [""; 0], "{schema}");
        }
    }

    #[test]
    fn what_costs_too_much_is_named() {
        let again = json!({"properties": {"next": {"$ref": "#"}}});
        let patterns = (0..65).map(|number| (format!("^{number}"), json!({})));
        let long = "x".repeat(MOST_PATTERN_BYTES + 1);
        for (schema, pointer) in [
            (json!({"anyOf": [again, again]}), "/s"),
            (json!({"$ref": "#/none"}), "/s/$ref"),
            (
                json!({"patternProperties": Value::Object(patterns.collect())}),
                "/s",
            ),
            (json!({"not": {"pattern": long}}), "/s/not/pattern"),
            (
                json!({"patternProperties": {"(a{99}){999}/": {}}}),
                "/s/patternProperties/(a{99}){999}~1",
            ),
            (json!({"items": {"$anchor": "a"}}), "/s/items/$anchor"),
            (json!({"allOf": [{"$id": "x:y"}]}), "/s/allOf/0/$id"),
        ] {
            assert_eq!(told(&schema), [pointer], "{schema}");
        }
    }

    #[test]
    fn references_may_not_lead_on_for_ever() {
        let chain = (0..40).map(|number| {
            let next = json!({"$ref": format!("#/$defs/{}", number + 1)});
            (number.to_string(), next)
        });
        let mut parts: serde_json::Map<_, _> = chain.collect();
        parts.insert("40".to_owned(), json!(true));
        assert_eq!(told(&json!({"$ref": "#/$defs/0", "$defs": parts})), ["/s"]);
    }
}
