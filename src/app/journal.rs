//! What the journal of a stopped daemon holds, as the command `journal` wants to know it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use opstead_client::schema::Operation;
use opstead_client::schema::params::FilterType;
use opstead_core::{Cursor, Event, EventBody, Moment, OperationState, State};

use crate::cli::{
    Checkpoint, Damage, Entry, Interrupted, JournalFault, NextStart, Recovered, Sizes,
    StoppedJournal, Summary, Which,
};
use crate::engine::recover;
use crate::filter::{Filter, FilterKind};
use crate::journal::{self, InspectError, Inspection, OpenError, silence_storage_panics};
use crate::rpc::convert;

/// The data folder of a stopped daemon.
pub struct StoppedFolder {
    inspection: Inspection,
    /// What was recovered; nothing if it cannot be.
    state: Option<State>,
    summary: Summary,
}

impl StoppedJournal for StoppedFolder {
    fn open(
        folder: &Path,
        workspace: &Path,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, JournalFault> {
        silence_storage_panics();
        let inspection = Inspection::open(folder, workspace, is_over)
            .map_err(|error| fault(error, workspace))?;
        let (state, unrecovered) = match recovered(&inspection) {
            Ok(state) => (state, None),
            Err(message) => (None, Some(message)),
        };
        let mut summary = summary(folder, &inspection, state.as_ref());
        // A checkpoint is read only now, and by the daemon, too.
        if summary.next_start.refused.is_none() {
            summary.next_start.refused = unrecovered;
        }
        Ok(Self {
            inspection,
            state,
            summary,
        })
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }

    fn operation(&self, id: &str) -> Result<Option<Operation>, String> {
        if let Some(state) = &self.state
            && let Some(operation) = state.operation(id)
        {
            let mut reasons = state.reasons(operation, Moment::default());
            // A delay stands still while no daemon runs.
            reasons.iter_mut().for_each(|reason| reason.until = None);
            return Ok(Some(convert::operation(operation, &reasons)));
        }
        let Some(reader) = self.inspection.reader() else {
            return Ok(None);
        };
        let ended = reader.ended(id).map_err(sentence)?;
        Ok(ended.map(|operation| convert::operation(&operation, &[])))
    }

    fn events(
        &self,
        which: &Which,
        see: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), JournalFault> {
        let filter = which.filter.as_ref().map(parse).transpose()?;
        for block in self.inspection.blocks(which.after) {
            let block = match block {
                Ok(block) => block,
                Err(found) => {
                    let damage = damage(found);
                    if !see(Entry::Damage { damage }) {
                        return Ok(());
                    }
                    continue;
                }
            };
            for (cursor, event) in block.events() {
                if cursor > which.after
                    && is_wanted(event, which, filter.as_ref())
                    && !see(entry(event, cursor))
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The state that the next start would recover, or the one before the damage.
fn recovered(inspection: &Inspection) -> Result<Option<State>, String> {
    let is_told = match &inspection.report().opened {
        Ok(_) => true,
        Err(error) => matches!(
            error,
            OpenError::Damaged { .. }
                | OpenError::Shorter { .. }
                | OpenError::MissingMarker
                | OpenError::DamagedMarker(_)
        ),
    };
    let reader = inspection.reader().filter(|_| is_told);
    reader
        .map(|reader| recover(&*reader).map_err(sentence))
        .transpose()
}

fn summary(folder: &Path, inspection: &Inspection, state: Option<&State>) -> Summary {
    let report = inspection.report();
    let reader = inspection.reader();
    let opened = report.opened.as_ref();
    let (found, more_damage) = inspection.damage();
    Summary {
        folder: folder.to_owned(),
        log_id: report.log_id.clone(),
        cursor: reader.as_ref().map_or(0, |reader| reader.head()),
        oldest_cursor: reader.as_ref().map_or(0, |reader| reader.oldest()),
        acknowledged: report.acknowledged,
        checkpoints: report.checkpoints.iter().map(checkpoint).collect(),
        sizes: Sizes {
            log_bytes: report.log_bytes,
            event_bytes: report.block_bytes,
            ended_operation_bytes: reader.as_ref().map_or(0, |reader| reader.archive_bytes()),
        },
        damage: found.into_iter().map(damage).collect(),
        more_damage,
        next_start: NextStart {
            refused: opened.err().map(sentence),
            begins_anew: opened.is_ok_and(|opened| opened.created),
            cut_after: opened.ok().and_then(|opened| opened.cut_after),
            checkpoint: opened.ok().and_then(|opened| opened.checkpoint),
        },
        state: state.map(|state| Recovered {
            cursor: state.head(),
            counts: counts(inspection, state),
            objects: state.objects_after("", "").count() as u64,
            interrupted: interrupted(state),
        }),
    }
}

fn counts(
    inspection: &Inspection,
    state: &State,
) -> BTreeMap<opstead_client::schema::OperationState, u64> {
    let archive = inspection.reader().map(|reader| reader.archive());
    let mut counts = BTreeMap::new();
    let ended = archive.iter().flat_map(|archive| archive.counts());
    for (state, count) in state.counts().iter().chain(ended) {
        *counts.entry(convert::state(*state)).or_default() += count;
    }
    counts
}

fn interrupted(state: &State) -> Vec<Interrupted> {
    let is_interrupted =
        |state| matches!(state, OperationState::Running | OperationState::Canceling);
    state
        .operations_after(0)
        .filter(|operation| is_interrupted(operation.state))
        .map(|operation| Interrupted {
            id: operation.subject.id.to_string(),
            method_name: operation.subject.method_name.to_string(),
            state: convert::state(operation.state),
            attempt: operation.attempt,
            on_interrupt: convert::on_interrupt(operation.request.on_interrupt),
        })
        .collect()
}

fn checkpoint(report: &journal::CheckpointReport) -> Checkpoint {
    Checkpoint {
        cursor: report.head,
        bytes: report.bytes,
        damage: report.fault.clone(),
    }
}

fn damage(found: journal::Damage) -> Damage {
    Damage {
        cursor: found.at,
        what: found.what,
    }
}

fn parse(filter: &opstead_client::Filter) -> Result<Filter, JournalFault> {
    let kind = match filter.filter_type {
        FilterType::Glob => FilterKind::Glob,
        FilterType::Regexp => FilterKind::Regexp,
    };
    Filter::parse(kind, &filter.pattern).map_err(|error| JournalFault::Filter(error.to_string()))
}

fn is_wanted(event: &Event, which: &Which, filter: Option<&Filter>) -> bool {
    match &event.body {
        EventBody::Operation(event) => {
            let id = which.operation.as_deref();
            id.is_none_or(|id| *event.subject.id == *id)
                && filter.is_none_or(|filter| filter.matches(&event.subject.alert_name))
        }
        EventBody::ObjectPublished { alert_name, .. }
        | EventBody::ObjectRetired { alert_name, .. } => {
            which.operation.is_none() && filter.is_none_or(|filter| filter.matches(alert_name))
        }
        _ => which.operation.is_none() && filter.is_none(),
    }
}

fn entry(event: &Event, cursor: Cursor) -> Entry {
    if let Some(alert) = convert::alert(event, cursor) {
        return Entry::Alert(alert);
    }
    let (event_word, detail) = match &event.body {
        EventBody::Operation(event) => ("operation", event.subject.id.to_string()),
        EventBody::ObjectPublished { alert_name, .. } => ("object", alert_name.to_string()),
        EventBody::ObjectRetired { alert_name, .. } => ("retired", alert_name.to_string()),
        EventBody::MethodDeclared(method) => (
            "declared",
            format!("{}, version {}", method.name, method.version),
        ),
        EventBody::ExecutorAttached {
            executor, capacity, ..
        } => ("attached", format!("{executor}, capacity {capacity}")),
        EventBody::ExecutorDetached { executor, .. } => ("detached", executor.to_string()),
        EventBody::CapacitySet { capacity } => ("capacity", capacity.to_string()),
        EventBody::CapacityReserved { sequence } => ("reserved", registered_at(*sequence)),
        EventBody::Placed { sequence } => ("placed", registered_at(Some(*sequence))),
        EventBody::DelayPassed { sequence } => ("delayPassed", registered_at(Some(*sequence))),
        EventBody::WakeContinued => ("woken", "more of those who waited".to_owned()),
        EventBody::Purged { operations } => {
            ("purged", format!("ended operations: {}", operations.len()))
        }
    };
    Entry::Other {
        cursor,
        time: convert::time(event.time),
        event: event_word,
        detail,
    }
}

/// Which operation, by its place in the log.
fn registered_at(sequence: Option<Cursor>) -> String {
    match sequence {
        Some(sequence) => format!("the operation registered at {sequence}"),
        None => "for nobody".to_owned(),
    }
}

fn fault(error: InspectError, workspace: &Path) -> JournalFault {
    match error {
        InspectError::NoJournal(folder) => JournalFault::NoJournal(folder),
        InspectError::InUse(folder) => JournalFault::InUse(folder),
        InspectError::NoRoom {
            needed_bytes,
            free_bytes,
        } => JournalFault::NoRoom {
            folder: workspace.parent().unwrap_or(workspace).to_owned(),
            needed_bytes,
            free_bytes,
        },
        InspectError::Copy { ref source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            JournalFault::NotPermitted(sentence(error))
        }
        InspectError::Copy { .. } | InspectError::BrokenOff => {
            JournalFault::Failed(sentence(error))
        }
    }
}

/// An error with its causes.
fn sentence(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
