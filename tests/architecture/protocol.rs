//! `PROTOCOL.md` against the schema: it names every method and error as they are, its examples are
//! JSON, and its sections are those that comments refer to.

use std::collections::BTreeSet;

use opstead_schema::{ErrorCode, METHODS};

use crate::documents::blocks;
use crate::workspace::{read, sources};

const PAGE: &str = "PROTOCOL.md";

/// The cells of all rows of tables, without the bars.
fn rows(page: &str) -> Vec<Vec<&str>> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split(" | ").collect())
        .collect()
}

#[test]
fn every_method_is_there_with_its_parameters() {
    let page = read(PAGE);
    let rows = rows(&page);
    for method in METHODS {
        let name = format!("`{}`", method.name);
        let row = rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("{name} is missing"));
        let told: Vec<&str> = row[1].split('`').skip(1).step_by(2).collect();
        let known: Vec<String> = method
            .params
            .iter()
            .map(|param| format!("{}{}", param.name, if param.required { "" } else { "?" }))
            .collect();
        assert_eq!(told, known, "{name}");
    }
}

#[test]
fn every_error_is_there() {
    let page = read(PAGE);
    let told: Vec<[String; 3]> = rows(&page)
        .iter()
        .filter(|row| row[0].parse::<u32>().is_ok() && row.len() > 3)
        .map(|row| [row[0].to_owned(), row[1].to_owned(), row[2].to_owned()])
        .collect();
    let known: Vec<[String; 3]> = ErrorCode::ALL
        .iter()
        .map(|error| {
            let retryable = if error.retryable() { "yes" } else { "no" };
            let reason = format!("`{}`", error.reason());
            [error.code().to_string(), reason, retryable.to_owned()]
        })
        .collect();
    assert_eq!(told, known);
}

#[test]
fn the_examples_are_json() {
    let examples = blocks(&read(PAGE), "json");
    assert!(!examples.is_empty());
    for line in examples.iter().flat_map(|block| block.lines()) {
        let parsed = serde_json::from_str::<serde_json::Value>(line);
        assert!(parsed.is_ok_and(|value| value.is_object()), "{line}");
    }
}

#[test]
fn sections_that_comments_name_exist() {
    let page = read(PAGE);
    let sections: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## ")?.split_once(". "))
        .map(|(number, _)| number)
        .collect();
    for path in sources() {
        let text = read(&path);
        for rest in text.split('§').skip(1) {
            let end = rest.find(|character: char| !character.is_ascii_digit());
            let number = &rest[..end.unwrap_or(rest.len())];
            let is_none = number.is_empty();
            assert!(is_none || sections.contains(number), "{path}: §{number}");
        }
    }
}
