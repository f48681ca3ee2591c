//! Who may import whom. No arrow points up, and siblings do not see each other.
//!
//! | level | module | imports |
//! | --- | --- | --- |
//! | 0 | core, schema, filter | nothing of ours |
//! | 1 | journal | core |
//! | 2 | engine, alerts | core, the journal's traits and values, filter |
//! | 3 | subsystems | core, the executor boundary |
//! | 3 | rpc | the handles of engine and alerts, filter, schema; core only where it converts |
//! | 3 | clients/rust | schema |
//! | 4 | cli | clients/rust, schema |
//! | 5 | app, main | everything; app not cli, but for what reads a stopped journal for it |
//!
//! That packages keep to this is for their manifests to say; see `manifests`.

use crate::paths::named_paths;
use crate::workspace::{read, sources};

/// What a part of the package `opstead` may import beside itself and what lies within it.
struct Rule {
    /// The module, as `rpc` or `subsystems::storage`. The longest that fits a file counts.
    module: &'static str,
    /// Packages and modules of ours, with all that is in them.
    may: &'static [&'static str],
    /// What of these it may not import all the same.
    but_not: &'static [&'static str],
}

/// What must not be named where any implementation of the journal should do.
const JOURNALS: &[&str] = &[
    "crate::journal::sled",
    "crate::journal::memory",
    "crate::journal::SledJournal",
    "crate::journal::MemoryJournal",
    "crate::journal::MemoryDisk",
    "crate::journal::InjectedFault",
    "crate::journal::OpenError",
    "crate::journal::OpenReport",
    "crate::journal::Options",
    "crate::journal::abort_when_storage_panics",
    "crate::journal::silence_storage_panics",
    "crate::journal::Inspection",
    "crate::journal::InspectionReport",
    "crate::journal::InspectError",
    "crate::journal::CheckpointReport",
    "crate::journal::Damage",
    "crate::journal::Stopped",
];

const RULES: &[Rule] = &[
    Rule {
        module: "filter",
        may: &[],
        but_not: &[],
    },
    Rule {
        module: "journal",
        may: &["opstead_core"],
        but_not: &[],
    },
    Rule {
        module: "engine",
        may: &["opstead_core", "crate::journal", "crate::filter"],
        but_not: JOURNALS,
    },
    Rule {
        module: "alerts",
        may: &["opstead_core", "crate::journal", "crate::filter"],
        but_not: JOURNALS,
    },
    Rule {
        module: "subsystems",
        may: &["opstead_core", "crate::engine::executor"],
        but_not: &[],
    },
    // What all subsystems share, but none of the others.
    Rule {
        module: "subsystems::storage",
        may: &[
            "opstead_core",
            "crate::engine::executor",
            "crate::subsystems",
        ],
        but_not: &["crate::subsystems::diagnostic", "crate::subsystems::exec"],
    },
    Rule {
        module: "subsystems::diagnostic",
        may: &[
            "opstead_core",
            "crate::engine::executor",
            "crate::subsystems",
        ],
        but_not: &[
            "crate::subsystems::storage",
            "crate::subsystems::exec",
            "crate::subsystems::process",
        ],
    },
    // How programs are run, which is for those that run any.
    Rule {
        module: "subsystems::process",
        may: &["crate::subsystems"],
        but_not: &[
            "crate::subsystems::storage",
            "crate::subsystems::exec",
            "crate::subsystems::diagnostic",
        ],
    },
    Rule {
        module: "subsystems::exec",
        may: &[
            "opstead_core",
            "crate::engine::executor",
            "crate::subsystems",
        ],
        but_not: &[
            "crate::subsystems::storage",
            "crate::subsystems::diagnostic",
        ],
    },
    // The transport: it knows the protocol, and nothing of what the methods do.
    Rule {
        module: "rpc",
        may: &["opstead_schema"],
        but_not: &[
            "crate::rpc::api",
            "crate::rpc::table",
            "crate::rpc::convert",
        ],
    },
    // From here on what knows the methods.
    Rule {
        module: "rpc::table",
        may: &["opstead_schema", "opstead_core", "crate::rpc"],
        but_not: &[],
    },
    Rule {
        module: "rpc::api",
        may: &[
            "opstead_schema",
            "opstead_core",
            "crate::rpc",
            "crate::engine",
            "crate::alerts",
            "crate::filter",
            "crate::journal::Archive",
            "crate::journal::Entry",
        ],
        but_not: &["crate::engine::executor"],
    },
    Rule {
        module: "rpc::convert",
        may: &[
            "opstead_schema",
            "opstead_core",
            "crate::rpc",
            "crate::engine",
        ],
        but_not: &[],
    },
    Rule {
        module: "rpc::errors",
        may: &[
            "opstead_schema",
            "opstead_core",
            "crate::rpc",
            "crate::engine",
            "crate::filter",
            "crate::journal::ReadError",
        ],
        but_not: &["crate::engine::executor"],
    },
    Rule {
        module: "cli",
        may: &["opstead_client", "opstead_schema"],
        but_not: &[],
    },
    Rule {
        module: "app",
        may: EVERYTHING,
        but_not: &["crate::cli"],
    },
    // What the command `journal` wants to know, by who can know it.
    Rule {
        module: "app::journal",
        may: &[
            "opstead_client",
            "opstead_core",
            "crate::cli",
            "crate::engine::recover",
            "crate::filter",
            "crate::journal",
            "crate::rpc::convert",
        ],
        but_not: &[],
    },
];

/// What the composition root and the program may import.
const EVERYTHING: &[&str] = &[
    "crate",
    "opstead",
    "opstead_core",
    "opstead_schema",
    "opstead_client",
];

/// Libraries that one part of the package knows, and nobody else.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("sled", &["journal"]),
    ("lz4_flex", &["journal"]),
    ("jsonrpsee", &["rpc"]),
    ("hyper", &["rpc"]),
    ("hyper_util", &["rpc"]),
    ("tower", &["rpc"]),
    ("regex", &["engine", "subsystems"]),
    ("regex_automata", &["filter"]),
    ("regex_syntax", &["filter"]),
    ("boon", &["engine"]),
    ("chacha20poly1305", &["engine"]),
    ("ulid", &["engine", "journal"]),
    ("toml", &["app", "cli"]),
    ("clap", &["cli"]),
    ("jiff", &["cli"]),
    ("clap_complete", &["cli"]),
    ("shlex", &["cli"]),
    ("strsim", &["cli"]),
    ("unicode_width", &["cli"]),
    ("anyhow", &["cli", "main"]),
    ("soketto", &[]),
];

/// Modules without threads of their own and without waiting.
const WITHOUT_TOKIO: &[&str] = &["filter", "journal"];

/// The module of a file of the package `opstead`: `src/rpc/api/list.rs` is `rpc::api::list`.
fn module_of(path: &str) -> Option<Vec<String>> {
    let inside = path.strip_prefix("src/")?;
    if inside.starts_with("core/") {
        return None;
    }
    let parts = inside.trim_end_matches(".rs").split('/');
    let mut module: Vec<String> = parts.map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    Some(module)
}

fn is_within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn rule_of(module: &str) -> Option<&'static Rule> {
    RULES
        .iter()
        .filter(|rule| is_within(module, rule.module))
        .max_by_key(|rule| rule.module.len())
}

/// Why a module may not name a path; nothing if it may.
fn fault(module: &str, path: &[String]) -> Option<String> {
    let whole = path.join("::");
    let top = module.split("::").next().unwrap_or_default();
    let root = path[0].as_str();
    if let Some((_, known_by)) = LIBRARIES.iter().find(|(library, _)| *library == root) {
        let known = known_by.contains(&top);
        return (!known).then(|| format!("{whole} is for {known_by:?} only"));
    }
    if WITHOUT_TOKIO.contains(&top) && root.starts_with("tokio") {
        return Some(format!("{whole}: {top} does without"));
    }
    if !EVERYTHING.contains(&root) || matches!(module, "main" | "lib") {
        return None;
    }
    let Some(rule) = rule_of(module) else {
        return Some(format!("there is no rule for {module}"));
    };
    let forbidden = rule.but_not.iter().any(|path| is_within(&whole, path));
    let own = is_within(&whole, &format!("crate::{}", rule.module));
    let allowed = rule.may.iter().any(|path| is_within(&whole, path));
    if forbidden || !(own || allowed) {
        return Some(whole);
    }
    // What a star brings in, nobody can check.
    let outside = !is_within(&whole, &format!("crate::{top}"));
    (outside && whole.ends_with("::*")).then_some(whole)
}

#[test]
fn nobody_imports_what_it_may_not() {
    let mut faults = Vec::new();
    for file in sources() {
        let Some(module) = module_of(&file) else {
            continue;
        };
        for named in named_paths(&read(&file), &module) {
            if let Some(fault) = fault(&module.join("::"), &named.path) {
                faults.push(format!("{file}:{}: {fault}", named.line));
            }
        }
    }
    assert!(faults.is_empty(), "forbidden imports: {faults:#?}");
}

#[test]
fn every_rule_is_about_something() {
    let modules: Vec<String> = sources()
        .iter()
        .filter_map(|file| module_of(file))
        .map(|module| module.join("::"))
        .collect();
    for rule in RULES {
        let exists = modules.iter().any(|module| is_within(module, rule.module));
        assert!(exists, "there is no module {}", rule.module);
    }
}

#[test]
fn the_rules_catch_what_they_are_for() {
    for (module, path) in [
        ("filter::glob", "crate::engine::Engine"),
        ("journal::sled", "crate::engine"),
        ("journal::memory", "tokio::sync::mpsc"),
        ("engine::turn", "crate::journal::SledJournal"),
        ("engine::turn", "crate::alerts::Hub"),
        ("engine::turn", "opstead_schema::Operation"),
        ("alerts::hub", "crate::engine::EngineHandle"),
        ("alerts::hub", "crate::journal::*"),
        ("alerts::hub", "crate::journal::MemoryJournal"),
        ("subsystems::storage::copy", "crate::engine::EngineHandle"),
        ("subsystems::storage::copy", "crate::subsystems::diagnostic"),
        ("subsystems::storage::copy", "opstead_schema::Operation"),
        ("rpc::worker", "opstead_core::State"),
        ("rpc::worker", "crate::rpc::api::Api"),
        ("rpc::worker", "crate::engine::EngineHandle"),
        ("rpc::api::list", "crate::journal::Journal"),
        ("rpc::api", "crate::subsystems::storage::Storage"),
        ("cli::commands::call", "crate::engine::EngineHandle"),
        ("cli::commands::call", "opstead_core::State"),
        ("app", "crate::cli"),
        ("app::folder", "crate::cli"),
        ("app::journal", "crate::engine::Engine"),
        ("engine::turn", "sled::Db"),
        ("alerts::hub", "jsonrpsee::Methods"),
        ("brand_new", "crate::engine"),
    ] {
        let path_parts: Vec<String> = path.split("::").map(str::to_owned).collect();
        assert!(fault(module, &path_parts).is_some(), "{module}: {path}");
    }
}
