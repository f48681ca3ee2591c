//! The lines about flows: the steps one by one, then the flow that they belong to.

use std::sync::Arc;

use opstead_core::{RegisterFlow, RegisterStep, Time};

use super::{Words, after, json, present_lease, retry};
use crate::world::World;

/// One step of the flow that is registered next.
pub(super) fn step(words: &mut Words) -> Result<RegisterStep, String> {
    let requires = words.key("requires").unwrap_or_default();
    Ok(RegisterStep {
        name: words.next("NAME")?.into(),
        method_name: words.next("METHOD")?.into(),
        version: words.key_number("version")?,
        kwargs: json(&words.next("KWARGS").unwrap_or("{}".to_owned()))?,
        sealed: None,
        requires: requires
            .split(',')
            .filter(|name| !name.is_empty())
            .map(Arc::from)
            .collect(),
        retry: retry(words)?,
        ended: None,
    })
}

/// The flow of the steps since the last one.
pub(super) fn flow(words: &mut Words, world: &World) -> Result<RegisterFlow, String> {
    let id = words.key("id").map(Arc::<str>::from);
    let mut steps = world.next_steps();
    if let Some(id) = id.as_ref().filter(|id| world.known(id).is_err()) {
        for step in &mut steps {
            step.ended = world.archive.get(&*format!("{id}.{}", step.name)).cloned();
        }
    }
    Ok(RegisterFlow {
        name: words.next("NAME")?.into(),
        faults: Vec::new(),
        steps,
        ulid: world.next_ulid().into(),
        start_at: words.key_number("start")?.map(Time),
        start_before: words.key_number("before")?.map(Time),
        after: std::iter::from_fn(|| words.key("after"))
            .map(|text| after(&text, world))
            .collect::<Result<_, _>>()?,
        lease: words
            .key("lease")
            .map(|id| present_lease(&id, world))
            .transpose()?,
        tags: std::iter::from_fn(|| words.key("tag").map(Arc::from)).collect(),
        registered_by: "admin".into(),
        ended: id.as_ref().and_then(|id| world.ended_flow(id)),
        id,
    })
}
