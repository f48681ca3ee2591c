//! The plan of a flow, as the witness reads it: what each step has to wait for.

use std::collections::{BTreeMap, BTreeSet};

use opstead_core::{
    Change, Claim, ClaimOperation, Cursor, EventBody, Executed, RegisterFlow, Reply,
};
use serde_json::Value;

use super::witness::Witness;
use crate::simulate::model::{Cell, cell};

impl Witness {
    /// A flow is about to be registered: what its steps require, from the plan.
    pub(super) fn expect(&mut self, flow: &RegisterFlow, first: Cursor, executed: &Executed) {
        match &executed.reply {
            Reply::Registered(registration) if !registration.existing => {}
            other => panic!("a new flow is answered with {other:?}"),
        }
        let place = |name: &str| {
            let mut steps = flow.steps.iter();
            let index = steps.position(|step| *step.name == *name);
            first + 1 + index.expect("a known step") as Cursor
        };
        let mut requires: BTreeMap<Cursor, BTreeSet<Cursor>> = BTreeMap::new();
        for step in &flow.steps {
            let kwargs: Value = step.kwargs.parse().expect("kwargs are JSON");
            let taken = taken(&kwargs).into_iter();
            let taken = taken.map(|name| place(name.split('#').next().expect("a name")));
            let asked = step.requires.iter().map(|name| place(name));
            requires.insert(place(&step.name), asked.chain(taken).collect());
        }
        // In the order of their requirements, among equals as listed.
        let mut order: Vec<Cursor> = Vec::new();
        while order.len() < requires.len() {
            let free = requires.iter().find(|(step, requires)| {
                !order.contains(*step) && requires.iter().all(|required| order.contains(required))
            });
            order.push(*free.expect("no circle is registered").0);
        }
        let claims: BTreeMap<Cursor, &Vec<Claim>> = (first..)
            .zip(&executed.events)
            .filter_map(|(cursor, event)| match &event.body {
                EventBody::Operation(event) => match &event.change {
                    Change::Registered(request) => Some((cursor, &request.claims)),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        for (index, later) in order.iter().enumerate() {
            for earlier in &order[..index] {
                let [earlier_claims, later_claims] = [claims[earlier], claims[later]];
                if conflict(earlier_claims, later_claims) || conflict(later_claims, earlier_claims)
                {
                    requires.get_mut(later).expect("a step").insert(*earlier);
                }
            }
        }
        for (step, requires) in requires {
            for claim in claims[&step] {
                let mut held = claims[&first].iter();
                let covers = held.any(|held| {
                    held.resource == claim.resource
                        && strength(held.operation) >= strength(claim.operation)
                });
                assert!(covers, "the flow does not claim {claim:?}");
            }
            self.expected.insert(step, (first, requires));
        }
    }
}

/// The names of the steps whose results kwargs take.
fn taken(kwargs: &Value) -> Vec<&str> {
    match kwargs {
        Value::Object(members) => match members.get("$result") {
            Some(Value::String(name)) => vec![name],
            _ => members.values().flat_map(taken).collect(),
        },
        Value::Array(values) => values.iter().flat_map(taken).collect(),
        _ => Vec::new(),
    }
}

/// Whether the later of two has to wait for the earlier.
pub(super) fn conflict(earlier: &[Claim], later: &[Claim]) -> bool {
    earlier.iter().any(|held| {
        let mut new = later.iter().filter(|new| new.resource == held.resource);
        new.any(|new| cell(held.operation, new.operation) != Cell::Accept)
    })
}

/// Of several claims on a resource the strongest counts.
fn strength(operation: ClaimOperation) -> usize {
    let order = [
        ClaimOperation::Read,
        ClaimOperation::Update,
        ClaimOperation::Create,
        ClaimOperation::Delete,
    ];
    let mut order = order.into_iter();
    order
        .position(|known| known == operation)
        .expect("all are listed")
}
