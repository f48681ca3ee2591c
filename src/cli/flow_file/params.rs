//! The request that a file asks for.

use opstead_client::schema::params::FlowsRegisterParams;
use opstead_client::schema::{FlowStep, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Found;
use crate::cli::arguments::moment;
use crate::cli::document::{Node, Value, without_place};

/// The request, of a file whose shape is right.
pub(super) fn params(root: &Node) -> Result<FlowsRegisterParams, Found> {
    let steps = root.member("steps").map(|member| member.node.items());
    let steps = steps.unwrap_or_default().iter().map(as_type::<FlowStep>);
    let member = |name| root.member(name).map(|member| &member.node);
    // As the daemon would read it, with what stands for what is left out.
    let others = json!({
        "name": member("name"),
        "id": member("id"),
        "tags": member("tags"),
        "after": member("after"),
        "steps": [],
    });
    let others = serde_json::from_value(others);
    let mut params: FlowsRegisterParams =
        others.map_err(|error| Found::at(root, without_place(&error)))?;
    params.steps = steps.collect::<Result<_, _>>()?;
    params.start_at = time(root, "startAt")?;
    params.start_before = time(root, "startBefore")?;
    Ok(params)
}

fn as_type<T: DeserializeOwned>(node: &Node) -> Result<T, Found> {
    let read = serde_json::to_string(node).and_then(|text| serde_json::from_str(&text));
    // The place is in the text of that node alone.
    read.map_err(|error| Found::at(node, without_place(&error)))
}

fn time(root: &Node, name: &str) -> Result<Option<Timestamp>, Found> {
    let Some(member) = root.member(name) else {
        return Ok(None);
    };
    match &member.node.value {
        Value::Text(text) | Value::Moment(text) => {
            let time = moment(text).map_err(|message| Found::at(&member.node, message))?;
            Ok(Some(time))
        }
        _ => Ok(None),
    }
}
