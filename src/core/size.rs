//! How much others wrote into an event or a record: what bounds of bytes are kept by. Estimates,
//! without what every event has.

use crate::declaration::Declaration;
use crate::event::{Change, Event, EventBody, OperationEvent};
use crate::failure::Failure;
use crate::operation::{Operation, OperationInfo, Outcome, Request};

/// What one removed operation takes in an event, about.
const PURGED_BYTES: usize = 64;

/// What one offered method takes in an event beside its name, about.
const OFFER_BYTES: usize = 8;

impl Event {
    /// About the bytes of all texts in it.
    pub fn text_bytes(&self) -> usize {
        match &self.body {
            EventBody::Operation(event) => event.text_bytes(),
            EventBody::ObjectPublished { alert_name, info }
            | EventBody::ObjectRetired { alert_name, info } => alert_name.len() + info.text_bytes(),
            EventBody::Purged { operations } => operations.len() * PURGED_BYTES,
            EventBody::MethodDeclared(method) => method.text_bytes(),
            EventBody::ExecutorAttached {
                executor, offers, ..
            } => {
                let offers = offers.iter().map(|(method, _)| method.len() + OFFER_BYTES);
                executor.len() + offers.sum::<usize>()
            }
            EventBody::ExecutorDetached { executor, .. } => executor.len(),
            EventBody::WakeContinued
            | EventBody::CapacitySet { .. }
            | EventBody::CapacityReserved { .. }
            | EventBody::Placed { .. }
            | EventBody::DelayPassed { .. } => 0,
        }
    }
}

impl Declaration {
    /// About the bytes of all texts in it.
    pub fn text_bytes(&self) -> usize {
        let schema = self.kwargs_schema.as_ref();
        let object = self.object.as_ref().map_or(0, |object| object.len());
        let claims = self
            .claims
            .iter()
            .map(|claim| claim.kind.len() + claim.id.len());
        let secrets = self.secrets.iter().map(|secret| secret.len());
        let names = self.name.len() + self.summary.len() + object;
        names
            + schema.map_or(0, |schema| schema.as_str().len())
            + claims.chain(secrets).sum::<usize>()
    }
}

impl OperationEvent {
    fn text_bytes(&self) -> usize {
        let subject = &self.subject;
        let names = subject.id.len() + subject.alert_name.len() + subject.method_name.len();
        names
            + self.info.text_bytes()
            + match &self.change {
                Change::Registered(request) => request.text_bytes(),
                Change::ErrorRecorded(error) => error.failure.text_bytes(),
                Change::Completed(result) => result.as_str().len(),
                Change::Failed(failure)
                | Change::Canceled(failure)
                | Change::Skipped(failure)
                | Change::AttemptFailed { failure, .. } => failure.text_bytes(),
                Change::Postponed
                | Change::Started { .. }
                | Change::Progressed { .. }
                | Change::Retrying
                | Change::CancelRequested => 0,
            }
    }
}

impl Operation {
    /// About the bytes of all texts in it.
    pub fn text_bytes(&self) -> usize {
        let outcome = match &self.outcome {
            Some(Outcome::Completed(result)) => result.as_str().len(),
            Some(
                Outcome::Failed(failure) | Outcome::Canceled(failure) | Outcome::Skipped(failure),
            ) => failure.text_bytes(),
            None => 0,
        };
        let errors = self
            .non_fatal_errors
            .iter()
            .map(|error| error.failure.text_bytes());
        self.request.text_bytes() + self.info.text_bytes() + outcome + errors.sum::<usize>()
    }
}

impl Request {
    fn text_bytes(&self) -> usize {
        let claims = self.claims.iter().map(|claim| {
            let resource = &claim.resource;
            resource.kind.len() + resource.id.len()
        });
        let tags = self.tags.iter().map(|tag| tag.len());
        let after = self.after().iter().map(|earlier| earlier.id.len());
        let names = claims.chain(tags).chain(after);
        let sealed = self.sealed().map_or(0, |sealed| sealed.len());
        self.kwargs.as_str().len() + sealed + names.sum::<usize>()
    }
}

impl OperationInfo {
    fn text_bytes(&self) -> usize {
        let texts = self.stage_description.len() + self.last_error.message.len();
        texts + self.extra_data.as_str().len()
    }
}

impl Failure {
    fn text_bytes(&self) -> usize {
        let data = self.data.as_ref().map_or(0, |data| data.as_str().len());
        self.message.len() + data
    }
}
