//! A file that a flow is written in: what `flows.register` takes, each fault with its line and
//! column, whoever finds it.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `shape` | which members there are, and what they may be |
//! | `params` | the request that is read from them |
//! | `graph` | what steps take from one another, and in which order they can run |

mod graph;
mod params;
mod shape;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use opstead_client::schema::Fault;
use opstead_client::schema::params::FlowsRegisterParams;

use super::document::{Document, Format, Node, Place};
use super::error::CliError;
use super::similar;
use super::words::with_brief_words;

/// Instead of a file's name: standard input.
const STDIN: &str = "-";

/// A file that can be read as TOML or JSON, whatever it says.
#[derive(Debug)]
pub(super) struct FlowFile {
    name: String,
    document: Document,
}

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileFault {
    pub(super) place: Place,
    pub(super) message: String,
}

/// What is wrong at the byte where a value begins.
#[derive(Debug)]
struct Found {
    offset: usize,
    message: String,
}

impl FlowFile {
    /// Reads a file. How it is written is told by its name, else by itself: no TOML begins with a
    /// brace.
    pub(super) fn read(path: &Path, format: Option<Format>) -> Result<Self, CliError> {
        let (name, text) = match path.to_str() {
            Some(STDIN) => ("standard input".to_owned(), io::read_to_string(io::stdin())),
            _ => (path.display().to_string(), fs::read_to_string(path)),
        };
        let text = text.map_err(|error| {
            CliError::usage(
                format!("{name} cannot be read ({error})"),
                "FILE is a flow in TOML or JSON; - reads standard input",
            )
        })?;
        let format = format.or_else(|| Format::of(path));
        let format = format.unwrap_or_else(|| match text.trim_start().starts_with('{') {
            true => Format::Json,
            false => Format::Toml,
        });
        match Document::parse(text, format) {
            Ok(document) => Ok(Self { name, document }),
            Err((place, message)) => Err(CliError::File {
                faults: vec![FileFault { place, message }],
                name,
            }),
        }
    }

    /// What it asks for; or all that is wrong with it, as far as that can be told without a daemon.
    pub(super) fn request(&self) -> Result<FlowsRegisterParams, CliError> {
        let root = self.document.root();
        let mut found = shape::faults(root);
        if found.is_empty() {
            found.extend(graph::faults(root));
        }
        if found.is_empty() {
            return params::params(root).map_err(|fault| self.error(vec![fault]));
        }
        Err(self.error(found))
    }

    /// What the daemon found wrong, at its places in the file. Of these methods one may be meant
    /// where another is named.
    pub(super) fn placed(&self, faults: &[Fault], methods: &[String]) -> Vec<FileFault> {
        let mut advice = graph::MOST_ADVICE;
        let found = faults.iter().map(|fault| {
            let node = self.document.find(&fault.pointer);
            let mut message = told(self.document.root(), fault);
            if advice > 0 && fault.pointer.ends_with("/methodName") {
                advice -= 1;
                if let Some(meant) = meant(node, methods) {
                    message += &format!("; did you mean {meant}?");
                }
            }
            Found {
                offset: node.offset,
                message,
            }
        });
        self.sorted(found.collect())
    }

    /// The file's name, as faults are told with it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn error(&self, found: Vec<Found>) -> CliError {
        CliError::File {
            name: self.name.clone(),
            faults: self.sorted(found),
        }
    }

    fn sorted(&self, mut found: Vec<Found>) -> Vec<FileFault> {
        found.sort_by_key(|fault| fault.offset);
        let mut places = self.document.places();
        let fault = |Found { offset, message }| FileFault {
            place: places.place(offset),
            message,
        };
        found.into_iter().map(fault).collect()
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(formatter, "{line}:{column}: {}", self.message)
    }
}

impl Found {
    fn at(node: &Node, message: impl Into<String>) -> Self {
        Self {
            offset: node.offset,
            message: message.into(),
        }
    }
}

/// The method that was meant, if the fault is that there is none of that name.
fn meant<'a>(node: &Node, methods: &'a [String]) -> Option<&'a str> {
    let name = node.text()?;
    if methods.iter().any(|known| known == name) {
        return None;
    }
    similar::name(name, methods.iter().map(String::as_str))
}

/// The daemon's words, with the step and its member instead of a pointer.
fn told(root: &Node, fault: &Fault) -> String {
    let message = with_brief_words(&fault.message);
    let mut names = fault.pointer.split('/').skip(1);
    let (Some("steps"), Some(index)) = (names.next(), names.next()) else {
        return message;
    };
    let steps = root.member("steps").map(|member| member.node.items());
    let index = index.parse::<usize>().ok();
    let step = index.and_then(|index| Some((steps?.get(index)?, index)));
    let whose = match step {
        Some((step, index)) => shape::step_name_or_number(step, index),
        None => return message,
    };
    let within: Vec<&str> = names.collect();
    match within.is_empty() {
        true => format!("{whose}: {message}"),
        false => format!(
            "{whose}, {}: {message}",
            with_brief_words(&within.join("/"))
        ),
    }
}

#[cfg(test)]
mod tests {
    use opstead_client::schema::OperationState;

    use super::*;

    fn file(text: &str) -> FlowFile {
        let format = match text.starts_with('{') {
            true => Format::Json,
            false => Format::Toml,
        };
        FlowFile {
            name: "f".to_owned(),
            document: Document::parse(text.to_owned(), format).unwrap(),
        }
    }

    fn faults(text: &str) -> Vec<String> {
        match file(text).request() {
            Err(CliError::File { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file_that_the_help_shows_can_be_read() {
        let (_, shown) = crate::cli::help::FLOW_FILE.split_once('\n').unwrap();
        let request = file(shown).request().unwrap();
        assert_eq!(request.steps.len(), 3);
    }

    /// The lines of the help that name what is left out in its example.
    #[test]
    fn members_that_the_help_names_can_be_written_so() {
        let help = crate::cli::help::FLOW_FILE;
        let shown = |member: &str| {
            let (_, rest) = help.split_once(member).unwrap();
            let (value, _) = rest.split_once('\n').unwrap();
            format!("{member}{value}")
        };
        let (after, retry) = (shown("after = "), shown("retry = "));
        let text = format!(
            "name = \"f\"\n{after}\n[[steps]]\nname = \"s\"\nmethodName = \"a.b\"\n{retry}\n"
        );
        let request = file(&text).request().unwrap();
        assert_eq!(
            request.after.unwrap()[0].states,
            [OperationState::Completed]
        );
        assert!(request.steps[0].retry.is_some());
    }

    #[test]
    fn what_only_the_type_refuses_is_told_at_its_own_place_alone() {
        let text = r#"{"name": "f",
 "steps": [{"name": "s", "methodName": "a.b",
  "retry": {"maxAttempts": 1, "initialMs": 1, "factor": 1e999, "maxMs": 1}}]}"#;
        assert_eq!(faults(text), ["2:12: number out of range"]);
    }

    const WHOLE: &str = r#"
name = "deploy"
id = "deploy-1"
tags = ["t"]
startAt = 2100-01-01T00:00:00Z
startBefore = "2100-01-02T00:00Z"
after = [{ id = "before", states = ["completed", "reverted"] }]

[[steps]]
name = "create"
methodName = "storage.createImage"
version = 1
kwargs = { image = "base", sizeBytes = 18446744073709551615 }

[[steps]]
name = "copy"
methodName = "storage.copyImage"
requires = ["create"]
kwargs.source = { "$result" = "create#/image" }
kwargs.a = [1.50]

[steps.retry]
maxAttempts = 3
initialMs = 10
factor = 2.0
maxMs = 100
"#;

    #[test]
    fn a_file_says_all_that_a_flow_takes() {
        let request = file(WHOLE).request().unwrap();
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"id":"deploy-1","name":"deploy","steps":[{"name":"create","methodName":"storage.createImage","version":1,"kwargs":{"image":"base","sizeBytes":18446744073709551615}},{"name":"copy","methodName":"storage.copyImage","kwargs":{"source":{"$result":"create#/image"},"a":[1.50]},"requires":["create"],"retry":{"maxAttempts":3,"initialMs":10,"factor":2.0,"maxMs":100}}],"tags":["t"],"startAt":"2100-01-01T00:00:00.000Z","startBefore":"2100-01-02T00:00:00.000Z","after":[{"id":"before","states":["completed","reverted"]}]}"#
        );
        // What it says is also what can be sent as it is.
        let json = serde_json::to_string(&request).unwrap();
        let again = file(&json).request().unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), json);
    }

    #[test]
    fn every_member_that_is_wrong_is_told_at_its_place() {
        let text = r#"{
  "steps": [
    {"name": 7, "methodName": "a.b", "requiers": []},
    {"methodName": null, "version": -1, "kwargs": []},
    {"name": "x", "methodName": "a.b", "requires": ["y", 1], "retry": {"maxAttempts": 1.5}, "weight": 1},
    "z"
  ],
  "startAt": "noon", "after": [{"id": "i", "states": ["done"]}], "tags": "t"
}"#;
        assert_eq!(
            faults(text),
            [
                "1:1: `name` of the flow is missing",
                "3:14: `name` of step 1 is a number and must be a string",
                "3:38: step 1 has no member `requiers`; did you mean `requires`?",
                "4:5: `name` of step 2 is missing",
                "4:20: `methodName` of step 2 is null and must be a string",
                "4:37: `version` of step 2 is a number and must be a whole number from 0 to 4294967295",
                "4:51: `kwargs` of step 2 is an array and must be an object",
                "5:58: what is in `requires` of step \"x\" is a number and must be a string",
                "5:71: `initialMs` of `retry` of step \"x\" is missing",
                "5:71: `factor` of `retry` of step \"x\" is missing",
                "5:71: `maxMs` of `retry` of step \"x\" is missing",
                "5:87: `maxAttempts` of `retry` of step \"x\" is a number and must be a whole number from 0 to 4294967295",
                "5:93: step \"x\" has no member `weight`; a step has name, methodName, version, kwargs, requires, retry",
                "6:5: step 4 is a string and must be an object",
                "8:14: `startAt` of the flow: expected a local time like 2026-12-01T12:00, one with an offset like 2026-12-01T12:00Z, or how long from now on, like 10min",
                "8:55: `states` of an operation to follow are among scheduled, waiting, running, canceling, completed, failed, canceled, reverting, reverted, revertFailed, skipped",
                "8:74: `tags` of the flow is a string and must be an array of strings",
            ]
        );
        assert_eq!(
            faults(
                "name = \"a\"\nsteps = [{ name = \"s\", methodName = \"a.b\", kwargs = { t = 2026-01-01 } }]"
            ),
            ["2:59: `kwargs` of step \"s\": JSON has no times; write it in quotes"]
        );
    }

    #[test]
    fn steps_that_cannot_be_put_in_order_are_told() {
        let steps = |steps: &str| format!("name = \"f\"\n{steps}");
        let step = |name: &str, more: &str| {
            format!("[[steps]]\nname = \"{name}\"\nmethodName = \"a.b\"\n{more}\n")
        };
        let twice = [
            step("create", ""),
            step("create", "requires = [\"craete\", \"other\"]"),
        ];
        assert_eq!(
            faults(&steps(&twice.concat())),
            [
                "7:8: there is a step \"create\" before; each has a name of its own",
                "9:13: step \"create\" waits for a step \"craete\", and there is none; did you mean \"create\"?",
                "9:23: step \"create\" waits for a step \"other\", and there is none",
            ]
        );
        let round = [
            step("before", "requires = [\"b\"]"),
            step("a", "requires = [\"c\"]"),
            step("b", "kwargs.x = [{ \"$result\" = \"a#/x\" }]"),
            step("c", "requires = [\"b\"]"),
        ];
        assert_eq!(
            faults(&steps(&round.concat())),
            ["13:27: steps wait for one another: b for a for c for b"]
        );
        let own = step("a", "kwargs = { x = { \"$result\" = \"a\" } }");
        assert_eq!(faults(&steps(&own)), ["5:30: step \"a\" waits for itself"]);
        for (result, told) in [
            (
                "{ \"$result\" = 1 }",
                "5:26: step \"a\": `$result` is a number and must be a string: the name of a step, or \"name#/pointer\"",
            ),
            (
                "{ \"$result\" = \"b#x\" }",
                "5:26: step \"a\": `$result` has the JSON pointer \"x\", which must begin with /",
            ),
            (
                "{ \"$result\" = \"b\", y = 1 }",
                "5:26: step \"a\": beside `$result` nothing else can stand",
            ),
        ] {
            let text = [step("a", &format!("kwargs.x = {result}")), step("b", "")].concat();
            assert_eq!(faults(&steps(&text)), [told], "{result}");
        }
    }

    /// Each name is compared with all others, so of many faults only some are told with advice.
    #[test]
    fn of_many_wrong_names_the_first_are_told_with_what_was_meant() {
        let steps = (0..100).map(|index| {
            format!(
                "[[steps]]\nname = \"step-{index}\"\nmethodName = \"a.b\"\nrequires = [\"stepp-{index}\"]\n"
            )
        });
        let steps: String = steps.collect();
        let told = faults(&format!("name = \"f\"\n{steps}"));
        assert_eq!(told.len(), 100);
        for (index, told) in told.iter().enumerate() {
            let advice = match index {
                0..graph::MOST_ADVICE => format!("; did you mean \"step-{index}\"?"),
                _ => String::new(),
            };
            let line = 5 + 4 * index;
            let expected = format!(
                "{line}:13: step \"step-{index}\" waits for a step \"stepp-{index}\", and there is none{advice}"
            );
            assert_eq!(*told, expected);
        }
    }

    #[test]
    fn of_a_long_name_the_beginning_is_told() {
        let (long, cut) = ("n".repeat(5_000), format!("{}…", "n".repeat(59)));
        let step = format!("[[steps]]\nname = \"{long}\"\nmethodName = \"a.b\"\n");
        let file = |more: &str| format!("name = \"f\"\n{step}requires = [\"{long}\"]\n{more}");
        assert_eq!(
            [
                faults(&file("")),
                faults(&file(&step)),
                faults(&file(&format!("{long} = 1")))
            ]
            .concat(),
            [
                format!("5:13: step {cut:?} waits for itself"),
                format!("7:8: there is a step {cut:?} before; each has a name of its own"),
                format!(
                    "6:1: step {cut:?} has no member `{cut}`; a step has name, methodName, version, kwargs, requires, retry"
                ),
            ]
        );
    }

    #[test]
    fn what_the_daemon_finds_is_told_at_its_place_too() {
        let file = file(WHOLE);
        let fault = |pointer: &str, message: &str| Fault {
            pointer: pointer.to_owned(),
            message: message.to_owned(),
        };
        let found = [
            fault("/steps/1/kwargs/a/0", "is no string"),
            fault("/steps/0/methodName", "no such method"),
            fault("/name", &format!("`{}` is too long", "n".repeat(5_000))),
            fault("/steps/1", "is odd"),
            fault("", "is empty"),
        ];
        let methods = [
            "storage.createImages".to_owned(),
            "storage.copyImage".to_owned(),
        ];
        let told = file.placed(&found, &methods);
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "1:1: is empty",
                &format!("2:8: `{}… is too long", "n".repeat(58)),
                "11:14: step \"create\", methodName: no such method; did you mean storage.createImages?",
                "15:1: step \"copy\": is odd",
                "20:13: step \"copy\", kwargs/a/0: is no string",
            ]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_usage_error() {
        let error = FlowFile::read(Path::new("/nowhere/flow.toml"), None).unwrap_err();
        assert!(matches!(error, CliError::Usage { .. }), "{error}");
    }

    #[test]
    fn ten_thousand_steps_are_read() {
        let step = |index: usize| {
            let before = index.saturating_sub(1);
            let kwargs = match index {
                0 => "{}".to_owned(),
                _ => format!(r#"{{"x":{{"$result":"s{before}"}}}}"#),
            };
            format!(r#"{{"name":"s{index}","methodName":"a.b","kwargs":{kwargs}}}"#)
        };
        let steps: Vec<String> = (0..10_000).map(step).collect();
        let text = format!(r#"{{"name":"f","steps":[{}]}}"#, steps.join(","));
        assert_eq!(file(&text).request().unwrap().steps.len(), 10_000);
        let round = text.replacen("\"kwargs\":{}", "\"requires\":[\"s9999\"]", 1);
        let told = faults(&round);
        assert!(
            told[0].contains("wait for one another"),
            "{}",
            &told[0][..80]
        );
    }
}
