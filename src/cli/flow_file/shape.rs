//! Which members a flow, its steps and what is in them have, and of which type each is.

use opstead_client::schema::OperationState;

use super::Found;
use crate::cli::arguments::moment;
use crate::cli::document::{Node, Value};
use crate::cli::similar;
use crate::cli::words::brief;

/// What a value may be.
enum Kind {
    Text,
    Texts,
    /// A whole number up to this.
    Count(u64),
    Number,
    /// Whatever a method takes.
    Foreign,
    Time,
    States,
    Table(&'static Table),
    Tables(&'static Table),
}

struct Table {
    what: &'static str,
    members: &'static [(&'static str, Needed, Kind)],
}

#[derive(PartialEq, Eq)]
enum Needed {
    Yes,
    No,
}

use Needed::{No, Yes};

const COUNT: Kind = Kind::Count(u32::MAX as u64);
const MILLISECONDS: Kind = Kind::Count(u64::MAX);

const FLOW: Table = Table {
    what: "a flow",
    members: &[
        ("name", Yes, Kind::Text),
        ("id", No, Kind::Text),
        ("tags", No, Kind::Texts),
        ("startAt", No, Kind::Time),
        ("startBefore", No, Kind::Time),
        ("after", No, Kind::Tables(&DEPENDENCY)),
        ("steps", Yes, Kind::Tables(&STEP)),
    ],
};

const STEP: Table = Table {
    what: "a step",
    members: &[
        ("name", Yes, Kind::Text),
        ("methodName", Yes, Kind::Text),
        ("version", No, COUNT),
        ("kwargs", No, Kind::Foreign),
        ("requires", No, Kind::Texts),
        ("retry", No, Kind::Table(&RETRY)),
    ],
};

const DEPENDENCY: Table = Table {
    what: "an operation to follow",
    members: &[("id", Yes, Kind::Text), ("states", No, Kind::States)],
};

const RETRY: Table = Table {
    what: "a retry policy",
    members: &[
        ("maxAttempts", Yes, COUNT),
        ("initialMs", Yes, MILLISECONDS),
        ("factor", Yes, Kind::Number),
        ("maxMs", Yes, MILLISECONDS),
    ],
};

/// All that is not as it should be.
pub(super) fn faults(root: &Node) -> Vec<Found> {
    let mut found = Vec::new();
    table(root, &FLOW, "the flow", &mut found);
    found
}

/// A step as it is told of.
pub(super) fn step_name(step: &Node) -> String {
    match step.member("name").and_then(|member| member.node.text()) {
        Some(name) => format!("step {:?}", brief(name)),
        None => "a step".to_owned(),
    }
}

/// The same; one without a name by its place among the steps.
pub(super) fn step_name_or_number(step: &Node, index: usize) -> String {
    match step.member("name").and_then(|member| member.node.text()) {
        Some(_) => step_name(step),
        None => format!("step {}", index + 1),
    }
}

/// Whose members they are, is said with each fault.
fn table(node: &Node, table: &Table, whose: &str, found: &mut Vec<Found>) {
    if !matches!(node.value, Value::Object(_)) {
        let message = format!("{whose} is {} and must be an object", node.kind());
        found.push(Found::at(node, message));
        return;
    }
    for member in node.members() {
        let known = table.members.iter();
        let mut known = known.filter(|(name, ..)| *name == member.name);
        match known.next() {
            // As on the wire, null is what was left out.
            Some((_, No, _)) if matches!(member.node.value, Value::Null) => {}
            Some((name, _, kind)) => {
                value(&member.node, kind, &format!("`{name}` of {whose}"), found);
            }
            None => found.push(Found {
                offset: member.offset,
                message: unknown(&member.name, table, whose),
            }),
        }
    }
    let needed = table.members.iter().filter(|(_, needed, _)| *needed == Yes);
    for (name, ..) in needed.filter(|(name, ..)| node.member(name).is_none()) {
        found.push(Found::at(node, format!("`{name}` of {whose} is missing")));
    }
}

fn unknown(name: &str, table: &Table, whose: &str) -> String {
    let names = table.members.iter().map(|(name, ..)| *name);
    let advice = match similar::name(name, names.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!(
            "{} has {}",
            table.what,
            names.collect::<Vec<_>>().join(", ")
        ),
    };
    format!("{whose} has no member `{}`; {advice}", brief(name))
}

fn value(node: &Node, kind: &Kind, whose: &str, found: &mut Vec<Found>) {
    let expected = match (kind, &node.value) {
        (Kind::Text, Value::Text(_)) => return,
        (Kind::Number, Value::Number(_)) => return,
        (Kind::Count(most), Value::Number(number)) if is_count(number, *most) => return,
        (Kind::Foreign, Value::Object(_)) => return foreign(node, whose, found),
        (Kind::Texts, Value::Array(nodes)) => {
            for node in nodes {
                value(node, &Kind::Text, &format!("what is in {whose}"), found);
            }
            return;
        }
        (Kind::States, Value::Array(nodes)) => {
            return nodes.iter().for_each(|node| state(node, whose, found));
        }
        (Kind::Time, Value::Text(text) | Value::Moment(text)) => match moment(text) {
            Ok(_) => return,
            Err(message) => return found.push(Found::at(node, format!("{whose}: {message}"))),
        },
        (Kind::Table(members), _) => return table(node, members, whose, found),
        (Kind::Tables(members), Value::Array(nodes)) => {
            for (index, node) in nodes.iter().enumerate() {
                let whose = match members.what {
                    "a step" => step_name_or_number(node, index),
                    what => what.to_owned(),
                };
                table(node, members, &whose, found);
            }
            return;
        }
        _ => kind.expected(),
    };
    let message = format!("{whose} is {} and must be {expected}", node.kind());
    found.push(Found::at(node, message));
}

fn is_count(number: &str, most: u64) -> bool {
    number.parse::<u64>().is_ok_and(|count| count <= most)
}

fn state(node: &Node, whose: &str, found: &mut Vec<Found>) {
    let mut states = OperationState::ALL.iter().map(|state| state.as_str());
    let is_one = states.any(|state| node.text() == Some(state));
    if !is_one {
        let all = OperationState::ALL.iter().map(|state| state.as_str());
        let all = all.collect::<Vec<_>>().join(", ");
        found.push(Found::at(node, format!("{whose} are among {all}")));
    }
}

/// Foreign JSON is taken as it is; a moment of TOML is none.
fn foreign(node: &Node, whose: &str, found: &mut Vec<Found>) {
    match &node.value {
        Value::Object(members) => members
            .iter()
            .for_each(|member| foreign(&member.node, whose, found)),
        Value::Array(nodes) => nodes.iter().for_each(|node| foreign(node, whose, found)),
        Value::Moment(_) => {
            let message = format!("{whose}: JSON has no times; write it in quotes");
            found.push(Found::at(node, message));
        }
        _ => {}
    }
}

impl Kind {
    fn expected(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Texts => "an array of strings".to_owned(),
            Self::Count(most) => format!("a whole number from 0 to {most}"),
            Self::Number => "a number".to_owned(),
            Self::Foreign | Self::Table(_) => "an object".to_owned(),
            Self::Time => "a time".to_owned(),
            Self::States => "an array of states".to_owned(),
            Self::Tables(_) => "an array of objects".to_owned(),
        }
    }
}
