//! The order of a flow's steps: what each requires, with those before it that it conflicts with.

use std::collections::{BTreeMap, BTreeSet};

use super::register::invalid;
use crate::operation::{ClaimOperation, Operation, Resource};
use crate::refusal::{Fault, Refusal};

/// What each step requires: the indices of others.
pub(super) type Requires = Vec<BTreeSet<usize>>;

/// What each step requires, with those before it that it conflicts with. The order is that of the
/// requirements, among equals as listed.
pub(super) fn ordered(steps: &[&Operation], mut requires: Requires) -> Result<Requires, Refusal> {
    let order = sorted(&requires).map_err(|circle| circle_refused(steps, &circle))?;
    let mut lasts: BTreeMap<&Resource, Last> = BTreeMap::new();
    for index in order {
        for claim in &steps[index].request.claims {
            let last = lasts.entry(&*claim.resource).or_default();
            requires[index].extend(last.before(claim.operation));
            last.push(index, claim.operation);
        }
    }
    Ok(requires)
}

/// The last steps on a resource that others may have to wait for.
#[derive(Default)]
struct Last {
    exclusive: Option<usize>,
    /// Reads behind it.
    reads: Vec<usize>,
}

impl Last {
    /// Those that a claim waits for; they have waited for the others. A read waits for an update,
    /// too: outside of a flow it may pass one, but here the order is known, and is gone back.
    fn before(&self, operation: ClaimOperation) -> Vec<usize> {
        let reads = match operation {
            ClaimOperation::Read => &[][..],
            _ => &self.reads,
        };
        self.exclusive
            .into_iter()
            .chain(reads.iter().copied())
            .collect()
    }

    fn push(&mut self, index: usize, operation: ClaimOperation) {
        if operation == ClaimOperation::Read {
            return self.reads.push(index);
        }
        self.exclusive = Some(index);
        self.reads.clear();
    }
}

/// The steps in an order in which each comes behind those that it requires, among equals as listed;
/// those that require one another in a circle, if there are any.
fn sorted(requires: &Requires) -> Result<Vec<usize>, Vec<usize>> {
    let mut followers = vec![Vec::new(); requires.len()];
    let mut unmet: Vec<usize> = requires.iter().map(BTreeSet::len).collect();
    for (index, required) in requires.iter().enumerate() {
        for other in required {
            followers[*other].push(index);
        }
    }
    let mut free: BTreeSet<usize> = (0..unmet.len())
        .filter(|index| unmet[*index] == 0)
        .collect();
    let mut order = Vec::with_capacity(unmet.len());
    while let Some(index) = free.pop_first() {
        order.push(index);
        for follower in &followers[index] {
            unmet[*follower] -= 1;
            if unmet[*follower] == 0 {
                free.insert(*follower);
            }
        }
    }
    if order.len() == requires.len() {
        return Ok(order);
    }
    let stuck = |index: &usize| unmet[*index] > 0;
    let mut at = (0..unmet.len()).find(stuck).unwrap_or_default();
    let mut way = Vec::new();
    // Whoever is stuck requires somebody who is: following that leads into a circle.
    while !way.contains(&at) {
        way.push(at);
        at = requires[at].iter().copied().find(stuck).unwrap_or(at);
    }
    let start = way
        .iter()
        .position(|index| *index == at)
        .unwrap_or_default();
    Err(way.split_off(start))
}

fn circle_refused(steps: &[&Operation], circle: &[usize]) -> Refusal {
    const NAMED: usize = 16;
    let mut names: Vec<_> = circle
        .iter()
        .take(NAMED)
        .map(|index| steps[*index].step_name())
        .collect();
    names.push(if circle.len() > NAMED {
        "…"
    } else {
        names[0]
    });
    let message = format!(
        "the steps require one another in a circle: {}",
        names.join(" → ")
    );
    invalid(Fault::new(
        format!("/steps/{}/requires", circle[0]),
        message,
    ))
}
