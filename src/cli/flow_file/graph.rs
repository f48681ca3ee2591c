//! What the steps of a flow take from one another: that all of them are there once, and that there
//! is an order in which they can run. Of a flow whose shape is right.

use std::collections::HashMap;

use super::{Found, shape};
use crate::cli::document::{Node, Value};
use crate::cli::similar;
use crate::cli::words::brief;

/// What takes another step's result.
const RESULT: &str = "$result";
/// Of so many faults it is told what may have been meant: each is compared with all there is.
pub(super) const MOST_ADVICE: usize = 20;

/// That a step must wait for another, and where this is said.
#[derive(Clone, Copy)]
struct Edge<'a> {
    name: &'a str,
    offset: usize,
}

/// All that is wrong with the steps' names and with their order.
pub(super) fn faults(root: &Node) -> Vec<Found> {
    let steps = root.member("steps").map(|member| member.node.items());
    let steps = steps.unwrap_or_default();
    let mut found = Vec::new();
    let mut places = HashMap::new();
    for (index, step) in steps.iter().enumerate() {
        let Some(name) = step.member("name") else {
            continue;
        };
        let text = name.node.text().unwrap_or_default();
        if places.insert(text, index).is_some() {
            let message = format!(
                "there is a step {:?} before; each has a name of its own",
                brief(text)
            );
            found.push(Found::at(&name.node, message));
        }
    }
    let edges: Vec<Vec<Edge<'_>>> = steps.iter().map(|step| edges(step, &mut found)).collect();
    // The first of those that are equally alike is meant, whatever their order in memory.
    let mut names: Vec<&str> = places.keys().copied().collect();
    names.sort_unstable();
    let mut advice = MOST_ADVICE;
    for (step, edges) in steps.iter().zip(&edges) {
        for edge in edges.iter().filter(|edge| !places.contains_key(edge.name)) {
            let compared = if advice > 0 { names.as_slice() } else { &[] };
            advice = advice.saturating_sub(1);
            found.push(stranger(step, *edge, compared));
        }
    }
    if found.is_empty() {
        found.extend(cycle(steps, &edges, &places));
    }
    found
}

/// What a step requires, and what it takes results of.
fn edges<'a>(step: &'a Node, found: &mut Vec<Found>) -> Vec<Edge<'a>> {
    let mut edges = Vec::new();
    let requires = step.member("requires");
    for node in requires
        .map(|member| member.node.items())
        .unwrap_or_default()
    {
        edges.extend(node.text().map(|name| Edge {
            name,
            offset: node.offset,
        }));
    }
    if let Some(kwargs) = step.member("kwargs") {
        results(&kwargs.node, step, &mut edges, found);
    }
    edges
}

fn results<'a>(node: &'a Node, step: &Node, edges: &mut Vec<Edge<'a>>, found: &mut Vec<Found>) {
    if let Some(result) = node.member(RESULT) {
        match taken(node, &result.node) {
            Ok(edge) => edges.push(edge),
            Err(message) => {
                let message = format!("{}: {message}", shape::step_name(step));
                found.push(Found::at(&result.node, message));
            }
        }
        return;
    }
    let members = node.members().iter().map(|member| &member.node);
    for node in members.chain(node.items()) {
        results(node, step, edges, found);
    }
}

/// Whose result is taken; or why it is none.
fn taken<'a>(around: &Node, node: &'a Node) -> Result<Edge<'a>, String> {
    let Value::Text(text) = &node.value else {
        return Err(format!(
            "`{RESULT}` is {} and must be a string: the name of a step, or \"name#/pointer\"",
            node.kind()
        ));
    };
    if around.members().len() > 1 {
        return Err(format!("beside `{RESULT}` nothing else can stand"));
    }
    let (name, pointer) = text.split_once('#').unwrap_or((text, ""));
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(format!(
            "`{RESULT}` has the JSON pointer {:?}, which must begin with /",
            brief(pointer)
        ));
    }
    Ok(Edge {
        name,
        offset: node.offset,
    })
}

fn stranger(step: &Node, edge: Edge<'_>, names: &[&str]) -> Found {
    let whose = shape::step_name(step);
    let advice = match similar::name(edge.name, names.iter().copied()) {
        Some(meant) => format!("; did you mean {:?}?", brief(meant)),
        None => String::new(),
    };
    Found {
        offset: edge.offset,
        message: format!(
            "{whose} waits for a step {:?}, and there is none{advice}",
            brief(edge.name)
        ),
    }
}

/// Steps that wait for one another, if there are any.
fn cycle(steps: &[Node], edges: &[Vec<Edge<'_>>], places: &HashMap<&str, usize>) -> Option<Found> {
    let stuck = stuck(edges, places);
    let mut way: Vec<usize> = Vec::new();
    let mut at = stuck.iter().position(|&is_stuck| is_stuck)?;
    // Whoever is stuck waits for somebody who is, so this way comes back to where it was.
    loop {
        if let Some(begin) = way.iter().position(|&before| before == at) {
            let name = |&index: &usize| steps[index].member("name")?.node.text();
            let round = way[begin..].iter().chain(&way[begin..=begin]);
            let names: Vec<String> = round.filter_map(name).map(brief).collect();
            let edge = edge_to(&edges[at], places, |next| {
                next == *way.get(begin + 1).unwrap_or(&at)
            })?;
            let message = match names.as_slice() {
                [own, _] => format!("step {own:?} waits for itself"),
                names => format!("steps wait for one another: {}", names.join(" for ")),
            };
            return Some(Found {
                offset: edge.offset,
                message,
            });
        }
        way.push(at);
        let edge = edge_to(&edges[at], places, |next| stuck[next])?;
        at = *places.get(edge.name)?;
    }
}

fn edge_to<'a>(
    edges: &[Edge<'a>],
    places: &HashMap<&str, usize>,
    is_wanted: impl Fn(usize) -> bool,
) -> Option<Edge<'a>> {
    let mut edges = edges.iter();
    let wanted = edges.find(|edge| places.get(edge.name).is_some_and(|&next| is_wanted(next)));
    wanted.copied()
}

/// Of each step, whether it could never start: what is left when all that can run have.
fn stuck(edges: &[Vec<Edge<'_>>], places: &HashMap<&str, usize>) -> Vec<bool> {
    let mut followers = vec![Vec::new(); edges.len()];
    let mut waits: Vec<usize> = edges.iter().map(Vec::len).collect();
    for (index, edges) in edges.iter().enumerate() {
        for edge in edges {
            if let Some(&before) = places.get(edge.name) {
                followers[before].push(index);
            }
        }
    }
    let mut free: Vec<usize> = (0..edges.len())
        .filter(|&index| waits[index] == 0)
        .collect();
    while let Some(index) = free.pop() {
        for &follower in &followers[index] {
            waits[follower] -= 1;
            if waits[follower] == 0 {
                free.push(follower);
            }
        }
    }
    waits.into_iter().map(|waits| waits > 0).collect()
}
