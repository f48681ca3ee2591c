//! What the documents name exists: paths, commands and their options, configuration, exit codes.

use std::collections::BTreeSet;
use std::process::Command;

use opstead::app::Config;

use crate::workspace::{read, read_toml, root};

const DOCUMENTS: [&str; 4] = [
    "README.md",
    "ARCHITECTURE.md",
    "PROTOCOL.md",
    "CHANGELOG.md",
];

/// The code blocks of a document in one language.
pub(crate) fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut current: Option<(bool, String)> = None;
    for line in document.lines() {
        match (line.strip_prefix("```"), &mut current) {
            (Some(found), None) => current = Some((found == language, String::new())),
            (Some(_), Some((wanted, text))) => {
                if *wanted {
                    blocks.push(std::mem::take(text));
                }
                current = None;
            }
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The program, as built for tests.
pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_opstead"));
    for variable in [
        "OPSTEAD_DATA",
        "OPSTEAD_CONNECT",
        "OPSTEAD_TOKEN",
        "OPSTEAD_TOKEN_FILE",
    ] {
        program.env_remove(variable);
    }
    program
}

fn help(arguments: &[&str]) -> Option<String> {
    let output = program().args(arguments).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

#[test]
fn the_changelog_has_the_present_version() {
    let manifest = read_toml("Cargo.toml");
    let version = manifest["workspace"]["package"]["version"].as_str();
    let heading = format!("## {}", version.unwrap());
    let changelog = read("CHANGELOG.md");
    assert!(changelog.lines().any(|line| line == heading), "{heading}");
}

#[test]
fn the_licence_is_there_whole() {
    let licence = read("LICENSE");
    assert!(licence.contains("Apache License") && licence.contains("END OF TERMS AND CONDITIONS"));
}

#[test]
fn paths_that_documents_name_exist() {
    const TOPS: [&str; 7] = [
        "src", "tests", "schema", "clients", "benches", "check", ".ci",
    ];
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        // Every other piece stands between two quotes.
        for quoted in text.split('`').skip(1).step_by(2) {
            let top = quoted.split('/').next().unwrap_or_default();
            let is_path = TOPS.contains(&top) || quoted.ends_with(".md");
            if is_path && !quoted.contains(' ') && !root().join(quoted).exists() {
                missing.push(format!("{document}: {quoted}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn commands_that_the_readme_shows_exist() {
    let readme = read("README.md");
    let mut seen = BTreeSet::new();
    for block in [blocks(&readme, "sh"), blocks(&readme, "console")].concat() {
        for line in block.lines() {
            let line = line.replace("cargo run --release -- ", "opstead ");
            let Some(rest) = line.strip_prefix("opstead ") else {
                continue;
            };
            let mut words = rest.split(' ');
            let command = words.next().unwrap();
            let help = help(&[command]).unwrap_or_else(|| panic!("no command {command}"));
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(help.contains(option), "{command} has no {option}");
            }
            seen.insert(command.to_owned());
        }
    }
    for command in [
        "serve",
        "call",
        "tasks",
        "list",
        "show",
        "objects",
        "methods",
        "watch",
        "wait",
        "cancel",
        "status",
        "demo",
        "journal",
        "executors",
        "flow",
        "retry",
        "skip",
    ] {
        assert!(seen.contains(command), "{command} is not shown");
    }
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let help = help(&[]).unwrap();
    let told: Vec<String> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .filter_map(|line| line.trim().split_once("  "))
        .map(|(code, meaning)| format!("| {code} | {meaning} |"))
        .collect();
    let readme = read("README.md");
    let section = readme.split("### Exit codes").nth(1).unwrap();
    let section = section.split("\n#").next().unwrap();
    let shown: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .collect();
    assert_eq!(shown, told);
}

#[test]
fn the_configuration_is_shown_whole_and_can_be_read() {
    let readme = read("README.md");
    let shown = blocks(&readme, "toml").concat();
    toml::from_str::<Config>(&shown).unwrap();

    let shown: toml::Table = shown.parse().unwrap();
    let mut named = BTreeSet::new();
    name_keys(&shown, &mut named);
    // The members as the source has them, for the type cannot be asked.
    let source = read("src/app/config.rs");
    let types = source.split("pub enum ConfigError").next().unwrap();
    let sections = read("src/app/config/exec.rs").replace("    pub(super) ", "    pub ");
    let programs = sections.split("/// One claim.").next().unwrap();
    let members = [types, programs]
        .iter()
        .flat_map(|types| types.lines())
        .filter_map(|line| line.strip_prefix("    pub ")?.split_once(':'))
        .collect::<Vec<_>>();
    assert!(members.iter().any(|(member, _)| *member == "argv"));
    for (member, _) in members {
        assert!(named.contains(member), "{member} is not shown");
    }
}

/// The keys of a table and of all tables in it.
fn name_keys<'a>(table: &'a toml::Table, named: &mut BTreeSet<&'a str>) {
    for (key, value) in table {
        named.insert(key);
        if let Some(table) = value.as_table() {
            name_keys(table, named);
        }
    }
}

#[test]
fn the_samples_are_those_that_run() {
    let samples = ["client_sample", "flow_sample", "executor_sample"].map(|name| {
        let sample = read(&format!("tests/architecture/{name}.rs"));
        let (_, code) = sample.split_once("\n\n").unwrap();
        code.to_owned()
    });
    assert_eq!(blocks(&read("README.md"), "rust"), samples);
}
