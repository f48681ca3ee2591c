//! Deciding about objects that their subsystems publish and retire.

use std::sync::Arc;

use super::{Answer, Decision};
use crate::command::Reply;
use crate::event::EventBody;
use crate::operation::{InfoUpdate, OperationInfo};
use crate::refusal::{Fault, Refusal};
use crate::state::{Limits, State};

/// The most characters of an object's name.
const NAME_CHARACTERS: usize = 1_000;

impl State {
    pub(super) fn decide_publish(
        &self,
        limits: &Limits,
        alert_name: Arc<str>,
        info: Arc<OperationInfo>,
    ) -> Result<Decision, Refusal> {
        check_name(&alert_name)?;
        InfoUpdate::whole(&info).check()?;
        if !self.objects.contains_key(&alert_name) && self.objects.len() >= limits.objects {
            let limit = limits.objects;
            return Err(Refusal::LimitReached {
                what: "objects",
                limit,
            });
        }
        Ok(alone(EventBody::ObjectPublished { alert_name, info }))
    }

    pub(super) fn decide_retire(&self, alert_name: Arc<str>) -> Result<Decision, Refusal> {
        let object = self.objects.get(&alert_name);
        let is_there = object.is_some_and(|object| !object.retired);
        match self.object(&alert_name).filter(|_| is_there) {
            Some(object) => {
                let info = object.info;
                Ok(alone(EventBody::ObjectRetired { alert_name, info }))
            }
            None => Err(Refusal::ObjectNotFound { alert_name }),
        }
    }

    /// Whether the attempt is under way and this executor carries it out.
    pub fn is_held_by(&self, lease: crate::command::Lease, executor: &str) -> bool {
        let holder = self.leased(lease).map(|held| held.executor.as_deref());
        holder.is_ok_and(|holder| holder == Some(executor))
    }
}

impl InfoUpdate {
    /// An update that replaces every member.
    fn whole(info: &OperationInfo) -> Self {
        Self {
            description: Some(info.description.clone()),
            stage_description: Some(info.stage_description.clone()),
            stage: Some(info.stage),
            percentage: Some(info.percentage),
            last_error: Some(info.last_error.clone()),
            extra_data: Some(info.extra_data.clone()),
        }
    }
}

/// An event that lets nobody start.
fn alone(event: EventBody) -> Decision {
    Decision {
        events: vec![event],
        answer: Answer::Reply(Reply::Done),
        frees: false,
        postpone: Vec::new(),
    }
}

/// `<subsystem>.task.` is where operations on no object have their names.
fn check_name(alert_name: &str) -> Result<(), Refusal> {
    let is_printable = !alert_name.chars().any(char::is_control);
    let message = match alert_name.split_once('.') {
        Some((_, object)) if object.starts_with("task.") => {
            "must not begin with <subsystem>.task: operations have these names"
        }
        Some((subsystem, object))
            if is_printable
                && !subsystem.is_empty()
                && !object.is_empty()
                && alert_name.chars().count() <= NAME_CHARACTERS =>
        {
            return Ok(());
        }
        _ => "must be <subsystem>.<object>, at most 1000 printable characters",
    };
    Err(Refusal::Invalid {
        faults: vec![Fault::new("/alertName", message)],
    })
}
