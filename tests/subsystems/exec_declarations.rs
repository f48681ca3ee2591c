//! What the checks make of declared programs: a method, or everything that is wrong with them.

use std::collections::BTreeMap;
use std::time::Duration;

use opstead::subsystems::exec::{Place, Program, ProgramConfig};
use opstead_core::{ClaimOperation, ClaimTemplate, MethodKind, OnInterrupt};
use serde_json::{Value, json};

use crate::declarations::accepts;
use crate::exec_support::{Workplace, declared};

fn with_kwargs(argv: &[&str], kwargs: &[(&str, Value)]) -> ProgramConfig {
    let kwargs = kwargs.iter().cloned();
    ProgramConfig {
        kwargs: kwargs
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect(),
        ..declared(argv, &[])
    }
}

/// What is wrong, as places and words of the message.
fn check(config: &ProgramConfig, expected: &[(Place, &str)]) {
    let faults = Program::new(config).expect_err("should be refused");
    let places: Vec<&Place> = faults.iter().map(|fault| &fault.place).collect();
    let expected_places: Vec<&Place> = expected.iter().map(|(place, _)| place).collect();
    assert_eq!(places, expected_places, "{faults:?}");
    for (fault, (_, words)) in faults.iter().zip(expected) {
        assert!(fault.message.contains(words), "{fault:?}");
    }
}

#[test]
fn a_program_is_a_method_of_its_own_executor() {
    let claim = ClaimTemplate {
        kind: "repository".into(),
        id: "{repository}".into(),
        operation: ClaimOperation::Update,
    };
    let config = ProgramConfig {
        name: "syncRepository".to_owned(),
        summary: Some("Synchronizes a repository.".to_owned()),
        object: Some("Repository.{repository}".to_owned()),
        claims: vec![claim.clone()],
        on_interrupt: OnInterrupt::Retry,
        concurrency: 3,
        timeout: Some(Duration::from_secs(1)),
        ..with_kwargs(
            &["sh", "{repository}", "--limit={limit}"],
            &[
                ("repository", json!({"type": "string"})),
                ("limit", json!({"type": "integer"})),
            ],
        )
    };
    let workplace = Workplace::new(&ProgramConfig {
        optional: vec!["limit".to_owned()],
        ..config
    });
    let executor = workplace.executor();
    assert_eq!(
        (executor.name(), executor.capacity()),
        ("exec.syncRepository", 3)
    );
    let declarations = executor.declarations();
    let [declaration] = declarations.as_slice() else {
        panic!("{declarations:?}");
    };
    assert_eq!(&*declaration.name, "exec.syncRepository");
    assert_eq!(declaration.kind, MethodKind::Operation);
    assert_eq!(&*declaration.summary, "Synchronizes a repository.");
    assert_eq!(
        declaration.object.as_deref(),
        Some("Repository.{repository}")
    );
    assert_eq!(declaration.claims, [claim]);
    assert!(declaration.cancelable);
    assert_eq!(declaration.on_interrupt, OnInterrupt::Retry);
    for good in [
        json!({"repository": "a"}),
        json!({"repository": "", "limit": -5}),
        json!({"repository": "a -rf\n'\"", "limit": 1}),
    ] {
        assert!(accepts(declaration, &good), "{good}");
    }
    for bad in [
        json!({}),
        json!({"repository": "a", "more": 1}),
        json!({"repository": "-rf"}),
        json!({"repository": "a\0b"}),
        json!({"repository": 1}),
        json!({"repository": "a", "limit": "1"}),
    ] {
        assert!(!accepts(declaration, &bad), "{bad}");
    }
}

/// What would begin an argument with a dash is refused when it is registered, unless declared.
#[test]
fn the_schema_refuses_options() {
    let kwargs = [("name", json!({"type": ["string", "integer"]}))];
    let mut config = with_kwargs(&["sh", "{name}"], &kwargs);
    for (may, kwarg) in [
        (false, json!("-x")),
        (false, json!(-1)),
        (true, json!("-x")),
        (true, json!(-1)),
    ] {
        config.may_begin_with_dash = may.then(|| "name".to_owned()).into_iter().collect();
        let executor = Workplace::new(&config).executor();
        let kwargs = json!({"name": kwarg});
        assert_eq!(
            accepts(&executor.declarations()[0], &kwargs),
            may,
            "{kwargs}"
        );
    }
}

/// An argument begins with what stands after an empty kwarg.
#[test]
fn the_schema_looks_behind_empty_kwargs() {
    let string = json!({"type": "string"});
    let mut config = with_kwargs(
        &["sh", "{a}{b}", "{c}-x"],
        &[("a", string.clone()), ("b", string.clone()), ("c", string)],
    );
    config.optional = vec!["b".to_owned(), "c".to_owned()];
    let judge = |config: &ProgramConfig, kwargs: Value| {
        let executor = Workplace::new(config).executor();
        accepts(&executor.declarations()[0], &kwargs)
    };
    for (kwargs, accepted) in [
        (json!({"a": "", "b": "-x"}), false),
        (json!({"a": "x", "b": "-x"}), true),
        (json!({"a": "", "b": ""}), true),
        (json!({"a": ""}), true),
        (json!({"a": "", "c": ""}), false),
        (json!({"a": "", "c": "x"}), true),
    ] {
        assert_eq!(judge(&config, kwargs.clone()), accepted, "{kwargs}");
    }
    config.may_begin_with_dash = vec!["b".to_owned(), "c".to_owned()];
    assert!(judge(&config, json!({"a": "", "b": "-x", "c": ""})));
    assert!(!judge(&config, json!({"a": "-", "b": "-x"})));
}

#[test]
fn kwargs_are_of_use_and_their_schemas_are_of_keywords() {
    let kwarg = |name: &str| Place::Kwarg(name.to_owned());
    let nested = json!({"type": "string", "anyOf": [{"maxlength": 3}], "not": {"patern": "x"}});
    let config = with_kwargs(
        &["sh", "{a}"],
        &[("a", nested), ("unused", json!({"type": "string"}))],
    );
    check(
        &config,
        &[
            (kwarg("a"), "`maxlength` is no keyword"),
            (kwarg("a"), "`patern` is no keyword"),
            (kwarg("unused"), "write `{unused}` where it belongs"),
        ],
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let claim = ClaimTemplate {
        kind: "".into(),
        id: "{limit}".into(),
        operation: ClaimOperation::Read,
    };
    let config = ProgramConfig {
        name: "sync-repository".to_owned(),
        optional: vec!["limit".to_owned(), "other".to_owned()],
        may_begin_with_dash: vec!["another".to_owned()],
        object: Some("Repository.{repo}".to_owned()),
        claims: vec![claim],
        progress: Some("(".to_owned()),
        description: Some("Syncing".to_owned()),
        environment: BTreeMap::from([
            ("A=B".to_owned(), String::new()),
            ("OPSTEAD_ATTEMPT".to_owned(), String::new()),
            ("X".to_owned(), "a\0b".to_owned()),
        ]),
        ..with_kwargs(
            &["/no/such/program", "{repo}", "{", "{flags}"],
            &[
                ("limit", json!({"type": "integer"})),
                ("flags", json!({"type": "array"})),
                ("1st", json!({"type": "string"})),
            ],
        )
    };
    check(
        &config,
        &[
            (Place::Name, "letters, digits and `_`"),
            (Place::Kwarg("1st".to_owned()), "begins with a letter"),
            (
                Place::Optional(1),
                "no kwarg `other`, only `1st`, `flags`, `limit`",
            ),
            (Place::Dash(0), "no kwarg `another`"),
            (Place::Description, "Synchronizing"),
            (Place::Object, "no kwarg `repo`"),
            (Place::Claim(0), "`{limit}` is optional"),
            (Place::Claim(0), "`type` must have 1 to 200"),
            (
                Place::Variable("A=B".to_owned()),
                "cannot be empty or hold `=`",
            ),
            (
                Place::Variable("OPSTEAD_ATTEMPT".to_owned()),
                "the daemon's own",
            ),
            (Place::Variable("X".to_owned()), "NUL"),
            (
                Place::Argument(0),
                "`/no/such/program` cannot be used: No such file",
            ),
            (Place::Argument(1), "no kwarg `repo`"),
            (Place::Argument(2), "`{` is not closed"),
            (
                Place::Argument(3),
                "`{flags}` can be a string, a number or a boolean here",
            ),
            (Place::Progress, "unclosed group"),
        ],
    );
}

#[test]
fn the_program_is_a_file_that_can_be_executed() {
    for (program, words) in [
        (
            "no-such-program-anywhere",
            "no program `no-such-program-anywhere` in PATH",
        ),
        ("./sh", "must be an absolute path"),
        ("bin/sh", "must be an absolute path"),
        ("", "must be an absolute path"),
        ("/", "no regular file"),
        ("/etc/passwd", "not executable"),
        ("{program}", "no program `{program}`"),
    ] {
        check(
            &declared(&[program], &["program"]),
            &[(Place::Argument(0), words)],
        );
    }
    check(
        &declared(&[], &[]),
        &[(Place::Argument(0), "at least the program")],
    );
}

/// A name is made of kwargs that are always there, and an argument of what can be written in one.
#[test]
fn kwargs_fit_where_they_stand() {
    let string = json!({"type": "string"});
    let anything = json!({"description": "no type"});
    for (schema, in_arguments, in_names) in [
        (string, true, true),
        (json!({"type": ["integer", "number"]}), true, true),
        (json!({"enum": ["a", 1]}), true, true),
        (json!({"const": "a"}), true, true),
        (json!({"type": "boolean"}), true, false),
        (json!({"enum": ["a", true]}), true, false),
        (json!({"type": ["string", "null"]}), false, false),
        (json!({"enum": ["a", null]}), false, false),
        (json!({"type": "object"}), false, false),
        (anything, false, false),
    ] {
        let argument = with_kwargs(&["sh", "-{x}"], &[("x", schema.clone())]);
        assert_eq!(Program::new(&argument).is_ok(), in_arguments, "{schema}");
        let object = ProgramConfig {
            object: Some("Thing.{x}".to_owned()),
            ..with_kwargs(&["sh"], &[("x", schema.clone())])
        };
        assert_eq!(Program::new(&object).is_ok(), in_names, "{schema}");
    }
    for object in ["", "task.{x}", "Thing.{x", "Thing\n", &"x".repeat(201)] {
        let object = ProgramConfig {
            object: Some(object.to_owned()),
            ..declared(&["sh"], &["x"])
        };
        assert!(Program::new(&object).is_err(), "{object:?}");
    }
}
