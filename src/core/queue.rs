//! Those that wait for nothing but an executor and capacity, in order of their places; each with
//! its weight. The oldest of those that are light enough is found without looking at the others: a
//! tree whose every node knows the least weight below it, balanced by numbers drawn from the places
//! (a treap), and shared by snapshots.

use std::sync::Arc;

use crate::event::Cursor;

/// A place in the queue: that of the operation, or of the flow that it is a step of, and among equals
/// its own place in the order of registration.
pub(crate) type Turn = (Cursor, Cursor);

/// A queue by turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Link);

type Link = Option<Arc<Node>>;

#[derive(Clone, Debug)]
struct Node {
    turn: Turn,
    weight: u32,
    /// The least weight of this node and all below it.
    least: u32,
    left: Link,
    right: Link,
}

impl Queue {
    pub(crate) fn insert(&mut self, turn: Turn, weight: u32) {
        let node = Node {
            turn,
            weight,
            least: weight,
            left: None,
            right: None,
        };
        insert(&mut self.0, node);
    }

    /// Takes a turn out, if it is there.
    pub(crate) fn remove(&mut self, turn: Turn) {
        remove(&mut self.0, turn);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The first turn whose weight is at most `most`, and its weight.
    pub(crate) fn first(&self, most: u32) -> Option<(Turn, u32)> {
        let mut node = self.0.as_ref().filter(|node| node.least <= most)?;
        loop {
            if let Some(left) = node.left.as_ref().filter(|left| left.least <= most) {
                node = left;
            } else if node.weight <= most {
                return Some((node.turn, node.weight));
            } else {
                node = node.right.as_ref()?;
            }
        }
    }
}

impl Node {
    fn sum(&mut self) {
        let least = |link: &Link| link.as_ref().map_or(u32::MAX, |node| node.least);
        self.least = self.weight.min(least(&self.left)).min(least(&self.right));
    }
}

/// The node with the highest rank is at the top. Places are scattered over the ranks by the
/// mixing step of SplitMix64.
fn rank((_, sequence): Turn) -> u64 {
    let mixed = (sequence ^ (sequence >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn insert(link: &mut Link, mut node: Node) {
    match link {
        Some(top) if rank(top.turn) > rank(node.turn) => {
            let top = Arc::make_mut(top);
            let side = match node.turn < top.turn {
                true => &mut top.left,
                false => &mut top.right,
            };
            insert(side, node);
            top.sum();
        }
        _ => {
            (node.left, node.right) = split(link.take(), node.turn);
            node.sum();
            *link = Some(Arc::new(node));
        }
    }
}

fn remove(link: &mut Link, turn: Turn) {
    let Some(top) = link else { return };
    if top.turn == turn {
        let top = Arc::make_mut(top);
        let (left, right) = (top.left.take(), top.right.take());
        *link = merge(left, right);
        return;
    }
    let top = Arc::make_mut(top);
    let side = match turn < top.turn {
        true => &mut top.left,
        false => &mut top.right,
    };
    remove(side, turn);
    top.sum();
}

/// Those before `turn`, and the others.
fn split(link: Link, turn: Turn) -> (Link, Link) {
    let Some(mut top) = link else {
        return (None, None);
    };
    let node = Arc::make_mut(&mut top);
    if node.turn < turn {
        let (before, behind) = split(node.right.take(), turn);
        node.right = before;
        node.sum();
        (Some(top), behind)
    } else {
        let (before, behind) = split(node.left.take(), turn);
        node.left = behind;
        node.sum();
        (before, Some(top))
    }
}

/// Both as one; all of `left` comes before all of `right`.
fn merge(left: Link, right: Link) -> Link {
    let (mut first, mut second) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return left.or(right),
    };
    if rank(first.turn) > rank(second.turn) {
        let node = Arc::make_mut(&mut first);
        node.right = merge(node.right.take(), Some(second));
        node.sum();
        Some(first)
    } else {
        let node = Arc::make_mut(&mut second);
        node.left = merge(Some(first), node.left.take());
        node.sum();
        Some(second)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Queue;

    /// The queue and a plain map, over scattered places and weights.
    #[test]
    fn the_first_that_is_light_enough_is_that_of_a_plain_map() {
        let (mut queue, mut plain) = (Queue::default(), BTreeMap::new());
        let mut state = 7_u64;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let place = ((state >> 33) % 20, (state >> 40) % 15);
            let weight = (state >> 20) as u32 % 9;
            if plain.remove(&place).is_some() {
                queue.remove(place);
            } else {
                plain.insert(place, weight);
                queue.insert(place, weight);
            }
            for most in 0..9 {
                let mut fitting = plain.iter().filter(|(_, weight)| **weight <= most);
                let due = fitting.next().map(|(place, weight)| (*place, *weight));
                assert_eq!(queue.first(most), due);
            }
            assert_eq!(queue.is_empty(), plain.is_empty());
        }
    }
}
