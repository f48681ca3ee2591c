//! An operation with those that it registered: a flow with its steps, and whatever these registered
//! themselves. Read as a whole, and kept up with alerts.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `rows` | the tree as lines |
//! | `live` | the tree while it changes |

mod live;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use opstead_client::schema::params::OperationsListParams;
use opstead_client::schema::{Alert, ErrorCode, ErrorObject, LastError, Operation, OperationState};
use opstead_client::{Client, Error, Filter};

use super::pages;
use super::words::exactly;
pub(super) use live::LiveTree;

/// How many operations below the first one are read, which is also how many steps a flow may have.
const MOST: usize = 10_000;
/// How far below the first one is read.
const DEPTH: usize = 16;
/// Longer filters are as good as one for everything.
const FILTER_BYTES: usize = 8 * 1024;
/// What the method of a flow begins with.
const FLOW: &str = "flow.";

/// Whether it is a flow, and what it registered are its steps.
pub(super) fn is_flow(operation: &Operation) -> bool {
    operation.method_name.starts_with(FLOW)
}

/// An operation and all below it that are kept.
#[derive(Debug)]
pub(super) struct Tree {
    root: Operation,
    /// By id.
    below: BTreeMap<String, Operation>,
    /// Of whom all that are kept are in it.
    read: BTreeSet<String>,
}

impl Tree {
    /// An operation of which is only known whom it registered.
    pub(super) const fn alone(root: Operation) -> Self {
        Self {
            root,
            below: BTreeMap::new(),
            read: BTreeSet::new(),
        }
    }

    /// Reads an operation and, if it has any, all below it.
    pub(super) async fn read(client: &Client, id: &str) -> Result<Self, Error> {
        let mut tree = Self::alone(client.operation(id).await?);
        let mut parents = match tree.root.spawned_tasks.is_empty() {
            true => Vec::new(),
            false => vec![(tree.root.id.clone(), 1)],
        };
        while let Some((parent, depth)) = parents.pop() {
            let Some(limit) = NonZeroUsize::new(MOST.saturating_sub(tree.below.len())) else {
                break;
            };
            let params = OperationsListParams {
                parent: Some(parent.clone()),
                ..OperationsListParams::default()
            };
            let listed = pages::operations(client, params, limit).await?;
            if !listed.more {
                tree.read.insert(parent);
            }
            for child in listed.found {
                if !child.spawned_tasks.is_empty() && depth < DEPTH {
                    parents.push((child.id.clone(), depth + 1));
                }
                tree.below.insert(child.id.clone(), child);
            }
        }
        Ok(tree)
    }

    pub(super) const fn root(&self) -> &Operation {
        &self.root
    }

    /// Whether nothing more happens by itself: it is done, or somebody has to decide.
    pub(super) const fn is_settled(&self) -> bool {
        self.root.done || matches!(self.root.state, OperationState::RevertFailed)
    }

    /// The alerts of all that is in it.
    pub(super) fn filter(&self) -> Filter {
        let mut pattern = String::from("{");
        for operation in std::iter::once(&self.root).chain(self.below.values()) {
            if pattern.len() > 1 {
                pattern.push(',');
            }
            pattern += &exactly(&operation.alert_name);
            if pattern.len() > FILTER_BYTES {
                return Filter::glob("*");
            }
        }
        Filter::glob(pattern + "}")
    }

    /// Takes over what an alert tells; whether it told anything new of somebody in the tree.
    pub(super) fn hear(&mut self, alert: &Alert) -> bool {
        let Some(id) = &alert.operation_id else {
            return false;
        };
        let operation = match *id == self.root.id {
            true => Some(&mut self.root),
            false => self.below.get_mut(id),
        };
        // What lies before the record is in it.
        let Some(operation) = operation.filter(|operation| operation.cursor < alert.cursor) else {
            return false;
        };
        operation.cursor = alert.cursor;
        operation.operation_info = alert.operation_info.clone();
        if let Some(state) = alert.state {
            operation.state = state;
        }
        let LastError { code, message } = &alert.operation_info.last_error;
        // Later alerts tell of its revert.
        if operation.state == OperationState::Failed && *code != 0 {
            operation.error = Some(ErrorObject {
                code: *code,
                message: message.clone(),
                data: None,
            });
        }
        true
    }

    /// The step by which a flow failed: its error is the flow's.
    pub(super) fn failed_step(&self) -> Option<&str> {
        let of_all = self.root.error.as_ref().filter(|_| is_flow(&self.root))?;
        // That all of it was canceled is no step's doing.
        if of_all.known() == Some(ErrorCode::Canceled) {
            return None;
        }
        let is_it = |id: &&String| {
            let error = self.below.get(*id).and_then(|step| step.error.as_ref());
            error.is_some_and(|error| error.code == of_all.code && error.message == of_all.message)
        };
        let id = self.root.spawned_tasks.iter().find(is_it)?;
        Some(Self::name(&self.root, id))
    }

    /// What an operation is called among its siblings: a step by its name.
    fn name<'a>(parent: &Operation, id: &'a str) -> &'a str {
        let step = is_flow(parent).then(|| {
            let rest = id.strip_prefix(parent.id.as_str())?;
            rest.strip_prefix('.')
        });
        step.flatten().unwrap_or(id)
    }
}
